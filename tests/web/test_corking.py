"""What one turn of the loop writes goes out as one, whole and in order."""

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from web import corking
from web.corking import Corked


class Recorder:
    """A transport that keeps what it is told to send."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.is_closed = False

    def write(self, data: bytes) -> None:
        """Keep it."""
        assert not self.is_closed
        self.sent.append(data)

    def close(self) -> None:
        """Nothing may be sent after this."""
        self.is_closed = True

    def is_closing(self) -> bool:
        """Whether it was closed."""
        return self.is_closed

    def get_extra_info(self, name: str) -> str:
        """What is known of the connection."""
        return name.upper()


def sent(act: Callable[[Corked, Recorder], Awaitable[None]]) -> list[bytes]:
    """What goes out of one corked connection, two turns of the loop later."""

    async def turns() -> list[bytes]:
        recorder: Any = Recorder()
        await act(Corked(recorder, asyncio.get_running_loop()), recorder)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return list(recorder.sent)

    return asyncio.run(turns())


def test_what_is_written_in_one_turn_goes_out_as_one() -> None:
    async def act(corked: Corked, recorder: Recorder) -> None:
        corked.write(b"head ")
        corked.write(b"body")
        assert recorder.sent == []

    assert sent(act) == [b"head body"]


def test_each_turn_sends_what_is_its_own() -> None:
    async def act(corked: Corked, _recorder: Recorder) -> None:
        corked.write(b"one")
        await asyncio.sleep(0)
        corked.write(b"two")

    assert sent(act) == [b"one", b"two"]


def test_a_close_sends_what_is_held_first() -> None:
    async def act(corked: Corked, recorder: Recorder) -> None:
        corked.write(b"last")
        corked.close()
        assert recorder.is_closed

    assert sent(act) == [b"last"]


def test_much_does_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corking, "_MOST", 4)

    async def act(corked: Corked, recorder: Recorder) -> None:
        corked.write(b"12")
        corked.write(b"345")
        corked.write(b"6")
        assert recorder.sent == [b"12345"]

    assert sent(act) == [b"12345", b"6"]


def test_a_connection_that_is_gone_is_left_alone() -> None:
    async def act(corked: Corked, recorder: Recorder) -> None:
        corked.write(b"for nobody")
        recorder.is_closed = True

    assert sent(act) == []


def test_all_else_is_the_transports() -> None:
    loop: Any = SimpleNamespace()
    transport: Any = Recorder()

    assert Corked(transport, loop).get_extra_info("peername") == "PEERNAME"
