"""A server's process: start it, stop it, find one that an earlier run left."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_POLL_SECONDS = 0.03
_LOG_BYTES = 5_000_000

Tick = Callable[[], None]
Say = Callable[[str], None]


class EmbeddedServerError(Exception):
    """An embedded server did not start or did not stay; the message says what to do."""


def spawn(
    command: Sequence[str], *, log: Path, folder: Path, dies_with_us: signal.Signals | None
) -> subprocess.Popen[bytes]:
    """Start a server that writes to `log` and gets `dies_with_us` when this process ends."""
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > _LOG_BYTES:
        log.unlink()
    with log.open("ab") as out:
        return subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=_plain_environment(),
            start_new_session=True,
            # Safe here: the keeper has one thread.
            preexec_fn=_tied_to_parent(dies_with_us),
        )


def stop(
    process: subprocess.Popen[bytes],
    signals: Sequence[signal.Signals],
    *,
    seconds: float,
    tick: Tick,
) -> None:
    """Ask with each signal in turn, giving `seconds` after each."""
    for asked in signals:
        if process.poll() is not None:
            return
        process.send_signal(asked)
        wait_until(lambda: process.poll() is not None, seconds=seconds, tick=tick)


def stop_leftover(
    pid: int, signals: Sequence[signal.Signals], *, seconds: float, tick: Tick
) -> bool:
    """Stop a process that is not our child; False when it would not go."""
    for asked in signals:
        try:
            os.kill(pid, asked)
        except ProcessLookupError:
            return True
        if wait_until(lambda: not _runs(pid), seconds=seconds, tick=tick):
            return True
    return False


def wait_until(done: Callable[[], bool], *, seconds: float, tick: Tick) -> bool:
    """Poll `done` for so many seconds, calling `tick` in between; the last answer of `done`."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            return False
        tick()
        time.sleep(_POLL_SECONDS)
    return True


def leftover(pid_file: Path, *, program: str) -> int | None:
    """The pid written in `pid_file`, if that is a running `program` at work in the file's folder.

    A pid alone proves nothing: after a reboot it may belong to any process.
    """
    try:
        pid = int(pid_file.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None
    return pid if _is_program(pid, program, pid_file.parent) else None


def last_lines(log: Path, count: int = 6) -> str:
    """The end of a log, for a message to a person."""
    try:
        text = log.read_bytes()[-4000:].decode(errors="replace")
    except OSError:
        return "(no log)"
    return "\n".join(text.splitlines()[-count:])


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return not _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] == "Z"


def _is_program(pid: int, program: str, folder: Path) -> bool:
    if not _runs(pid):
        return False
    proc = Path(f"/proc/{pid}")
    if proc.exists():
        return _link(proc / "exe").name.startswith(program) and _link(proc / "cwd") == folder
    # Without /proc (macOS) the name alone has to do.
    found = subprocess.run(
        ["/bin/ps", "-p", str(pid), "-o", "comm="], capture_output=True, text=True, check=False
    )
    return Path(found.stdout.strip()).name.startswith(program)


def _link(path: Path) -> Path:
    try:
        return path.readlink()
    except OSError:
        return Path()


def _plain_environment() -> Mapping[str, str]:
    # libpq and PostgreSQL read PG*; a person's settings for another server must not reach ours.
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}


def _tied_to_parent(asked: signal.Signals | None) -> Callable[[], None] | None:
    if asked is None or not sys.platform.startswith("linux"):
        return None
    # Loaded here, in the parent: a child between fork and exec should not import.
    libc = ctypes.CDLL(None, use_errno=True)
    return lambda: libc.prctl(_PR_SET_PDEATHSIG, int(asked), 0, 0, 0)
