"""The processes of the demo: started together, watched, stopped together, never left behind."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

import httpx

from sandbox.tether import STOP_SECONDS, end_session

_POLL_SECONDS = 0.1
_LAST_LINES = 12
# The tether needs a moment beyond the time it gives its command.
_TETHER_SECONDS = STOP_SECONDS + 3.0
_MOMENT_SECONDS = 1.0
_HTTP_SERVER_ERROR = 500

Say = Callable[[str], None]
Ground = Callable[[], str | None]


class CrewError(Exception):
    """A process has ended or does not answer; the message names it and its last words."""


@dataclass(frozen=True)
class _Hand:
    name: str
    log: Path
    process: subprocess.Popen[bytes]


class Crew:
    """Child processes that live and end with this one: at its exit, a signal, even its kill -9.

    Use it as a context in the main thread. SIGTERM and SIGHUP then leave the block as SystemExit.
    `ground` tells what became of the servers that all of them stand on; nothing while these run.
    """

    def __init__(
        self, log_folder: Path, say: Say = lambda _sentence: None, ground: Ground | None = None
    ) -> None:
        self._log_folder = log_folder
        self._say = say
        self._ground = ground
        self._hands: list[_Hand] = []
        # Nothing is ever written; that it ends tells the tethers that this process has.
        self._pipe_read, self._pipe_write = os.pipe()
        self._handlers: dict[int, signal._HANDLER] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGTERM, signal.SIGHUP):
            self._handlers[number] = signal.signal(number, _leave)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start `command` in this environment (added to ours); it writes to `<name>.log`."""
        self._log_folder.mkdir(parents=True, exist_ok=True)
        log = self._log_folder / f"{name}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "sandbox.tether", str(self._pipe_read), *command],
                env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                pass_fds=[self._pipe_read],
                start_new_session=True,
            )
        self._hands.append(_Hand(name, log, process))

    def check(self) -> None:
        """Raise CrewError if a process has ended by itself, or what they all stand on has gone."""
        self._check_ground()
        for hand in self._hands:
            code = hand.process.poll()
            if code is not None:
                self._check_ground(after=_MOMENT_SECONDS)
                raise CrewError(
                    f"The {hand.name} process ended by itself (exit code {code}). "
                    f"The end of {hand.log}:\n{_last_lines(hand.log)}"
                )

    def find_dead(self, seconds: float) -> None:
        """Check for so long: somebody has noticed a death, which may not be known here yet."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.check()
            time.sleep(_POLL_SECONDS)

    def watch(self, seconds: float | None = None) -> None:
        """Wait so long (None: until interrupted) while checking that everyone is there."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while deadline is None or time.monotonic() < deadline:
            self.check()
            time.sleep(_POLL_SECONDS)

    def wait_until_answers(self, url: str, seconds: float) -> None:
        """Wait until `url` answers; CrewError if a process ends first or the time is over."""
        wait_until_answers(url, seconds, check=self.check)

    def pid(self, name: str) -> int:
        """The process to kill when a test wants `name` to die; what it started dies with it."""
        return next(hand.process.pid for hand in self._hands if hand.name == name)

    def stop(self) -> None:
        """Stop everyone, the last started first; a second Ctrl-C does not interrupt this."""
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            for hand in reversed(self._hands):
                self._stop_one(hand)
            self._hands.clear()
        finally:
            signal.signal(signal.SIGINT, before)
        for end in (self._pipe_read, self._pipe_write):
            if end >= 0:
                os.close(end)
        self._pipe_read = self._pipe_write = -1

    def _check_ground(self, *, after: float = 0.0) -> None:
        if self._ground is None:
            return
        # Whoever loses the ground may fall before it is told that it has gone.
        time.sleep(after)
        if lost := self._ground():
            raise CrewError(lost)

    def _stop_one(self, hand: _Hand) -> None:
        process = hand.process
        process.terminate()
        try:
            process.wait(_TETHER_SECONDS)
        except subprocess.TimeoutExpired:
            self._say(f"The {hand.name} process did not stop in time and was killed.")
            process.kill()
            process.wait()
        end_session(process.pid)


def wait_until_answers(
    url: str, seconds: float, *, check: Callable[[], None] = lambda: None
) -> None:
    """Wait until `url` gives an answer that is no server error; CrewError if none comes."""
    deadline = time.monotonic() + seconds
    while not _answers(url):
        check()
        if time.monotonic() > deadline:
            raise CrewError(f"{url} did not answer within {seconds:.0f} s.")
        time.sleep(_POLL_SECONDS)


def free_port(preferred: int, say: Say = lambda _sentence: None) -> int:
    """`preferred` if it is free on this machine, else another one, which is said.

    It is kept from other demos for as long as this process lives.
    """
    if _is_free(preferred) and _claim(preferred):
        return preferred
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    say(f"Port {preferred} is busy; using {port} instead.")
    return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # Connections of an earlier run that are still fading away do not make a port busy.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _claim(port: int) -> bool:
    """Take a port before anybody listens there: two demos that start at once would share it."""
    if not sys.platform.startswith("linux"):
        return True
    # A name without a file (unix(7)): it is free again when this process ends, however it ends.
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0zhiyin-port-{port}")
    except OSError:
        claim.close()
        return False
    claim.detach()
    return True


def _answers(url: str) -> bool:
    try:
        # A proxy of this machine's environment must not stand between us and our own server.
        return httpx.get(url, timeout=2.0, trust_env=False).status_code < _HTTP_SERVER_ERROR
    except httpx.HTTPError:
        return False


def _last_lines(log: Path) -> str:
    text = log.read_bytes()[-8000:].decode(errors="replace")
    return "\n".join(text.splitlines()[-_LAST_LINES:]) or "(it said nothing)"


def _leave(number: int, _frame: FrameType | None) -> None:
    # One request is enough; a second one would interrupt the stopping.
    signal.signal(number, signal.SIG_IGN)
    sys.exit(128 + number)
