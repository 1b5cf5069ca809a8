"""Hostile callbacks are refused in one way, tell nothing, and keep nobody else waiting."""

import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from statistics import quantiles

import httpx
import pytest

from bot.fields import BadCallback
from bot.wechat import crypto
from bot.wechat.parsing import read
from store import clock
from store.accounts import CallbackMode
from tests.bot.builders import (
    AES_KEY,
    OTHER_AES_KEY,
    SECRET_KEY,
    TOKEN,
    credentials,
    text_xml,
)
from tests.protocol.conftest import Served
from tests.protocol.hostile import MARKER, bodies
from tests.protocol.platform import Platform
from tests.times import at

_NOW = at("2026-03-01 14:00")
_BODIES, _OVER_HTTP, _GOOD = 100_000, 2_000, 100
_REFUSED = 403
_people = count(1)


@pytest.mark.parametrize(
    ("mode", "number", "seed"),
    [
        (CallbackMode.SAFE, _BODIES * 8 // 10, 1),
        (CallbackMode.COMPATIBLE, _BODIES // 10, 2),
        (CallbackMode.PLAIN, _BODIES // 10, 3),
    ],
)
def test_any_of_many_bodies_is_a_message_or_refused(
    mode: CallbackMode, number: int, seed: int
) -> None:
    account = replace(credentials(previous=OTHER_AES_KEY), mode=mode)
    why: Counter[str] = Counter()
    for push in bodies(seed, number, _NOW):
        try:
            opened = crypto.open_body(account, push.query, push.body, now=_NOW)
            why[type(read(opened.plain).message).__name__] += 1
        except BadCallback as refusal:
            why[str(refusal)] += 1

    assert sum(why.values()) == number
    # Each way to refuse came up, in words of our own that repeat nothing of what came in.
    assert len(why) < 40
    assert not [words for words in why if MARKER in words or TOKEN in words]
    assert why["The body is larger than 64 KiB."] > 0
    assert why["The body is not well-formed XML."] > 0


@pytest.fixture
def door(served: Served) -> Iterator[str]:
    """The door of an account, in a process of its own."""
    with served(1) as doors:
        yield doors[0]


def test_hostile_flood_gets_no_error_no_word_and_no_delay(
    door: str,
    platform: Platform,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for _ in range(20):
        platform.push(door, _good())
    before = _good_times(platform, door)
    seen: Counter[tuple[int, str]] = Counter()
    flood = threading.Thread(target=_flood, args=(platform, door, seen))
    flood.start()
    during = _good_times(platform, door, until=lambda: not flood.is_alive())
    flood.join()
    after = _good_times(platform, door)

    with capsys.disabled():
        figures = f"p99 {_p99(before)} ms before, {_p99(during)} during, {_p99(after)} after"
        sys.stdout.write(f"\n  {sum(seen.values())} hostile bodies: {dict(seen)}\n  {figures}\n")
    assert sum(seen.values()) == _OVER_HTTP
    assert {status for status, _ in seen} == {200, _REFUSED}
    assert {told for status, told in seen if status == _REFUSED} == {""}
    assert {told for status, told in seen if status == 200} <= {"success", "sealed"}
    told = (tmp_path / "web-1.log").read_text()
    assert "callback refused: BadCallback" in told
    assert not [word for word in (MARKER, TOKEN, AES_KEY, SECRET_KEY, "Traceback") if word in told]


def test_door_that_nobody_has_is_refused(door: str, platform: Platform) -> None:
    query, body = platform.seal(text_xml("x"))
    found = set()
    for path in ("%00", "brand%00", "..%2Fbrand", "%F0%9F%98%80", "a" * 5000, "'"):
        address = door.removesuffix("brand") + path
        pushed = httpx.post(address, params=query, content=body, trust_env=False)
        checked = httpx.get(address, params=query | {"echostr": "1"}, trust_env=False)
        found |= {pushed.status_code, checked.status_code}
        assert "Traceback" not in pushed.text + checked.text

    # 404 where the address leads to no door at all.
    assert found == {_REFUSED, 404}


def _good() -> str:
    """Somebody new asks for something: the whole way, with a row for everything."""
    return text_xml("我的积分", sender=f"oGood{next(_people):023}")


def _flood(platform: Platform, door: str, seen: Counter[tuple[int, str]]) -> None:
    for push in bodies(4, _OVER_HTTP, clock.now()):
        answer = platform.knock(door, push.query, push.body)
        # What was opened by the one whose key it is has no marker left to show.
        is_sealed = answer.raw.startswith(b"<xml><Encrypt>") and MARKER.encode() not in answer.raw
        told = "sealed" if is_sealed else answer.raw.decode()
        seen[answer.status, told] += 1


def _good_times(platform: Platform, door: str, until: object = None) -> list[float]:
    """How long good callbacks take, in seconds: so many, or for as long as the flood lasts."""
    times: list[float] = []
    while not (until() if callable(until) and len(times) >= 2 else len(times) >= _GOOD):
        began = time.perf_counter()
        answer = platform.push(door, _good())
        times.append(time.perf_counter() - began)
        assert answer.reply is not None
    return times


def _p99(times: list[float]) -> float:
    return round(quantiles(times, n=100)[98] * 1000, 1)
