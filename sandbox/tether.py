"""Ties a process to its parent: `python -m sandbox.tether FD COMMAND…`, run by `sandbox.processes`.

It leads a session of its own, in which the command and whatever the command starts live. When FD,
a pipe that only the parent holds open, ends (the parent is gone, even by kill -9), or when it is
asked by SIGTERM, it asks the command to stop, and after five seconds ends the whole session.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

STOP_SECONDS = 5.0
_POLL_SECONDS = 0.1
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class _AskedToStop(Exception):  # noqa: N818 -- a request, not a fault
    """SIGTERM has come."""


def end_session(leader: int) -> None:
    """Kill what still runs in the session of `leader`, except this process."""
    for pid in _session(leader):
        if pid != os.getpid():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue


def main(parent: int, command: list[str]) -> int:
    """Run the command until it ends or the parent does; its exit code."""
    os.set_inheritable(parent, False)
    signal.signal(signal.SIGTERM, _ask)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    child = subprocess.Popen(command, preexec_fn=_prepare(), stdin=subprocess.DEVNULL)
    try:
        _watch(child, parent)
    except _AskedToStop:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _stop(child)
    end_session(os.getsid(0))
    code = child.wait()
    return code if code >= 0 else 128 - code


def _watch(child: subprocess.Popen[bytes], parent: int) -> None:
    while child.poll() is None:
        ended, _, _ = select.select([parent], [], [], _POLL_SECONDS)
        if ended:
            return


def _stop(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is not None:
        return
    child.terminate()
    deadline = time.monotonic() + STOP_SECONDS
    while child.poll() is None and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS / 2)
    if child.poll() is None:
        child.kill()


def _session(leader: int) -> list[int]:
    """The processes of a session; groups inside it do not matter, and RQ makes some."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(folder.name)) == leader:
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def _prepare() -> Callable[[], None]:
    """What the child does before it becomes the command: die with this process, hear Ctrl-C."""
    libc = ctypes.CDLL(None) if sys.platform.startswith("linux") else None

    def prepare() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if libc is not None:
            libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)

    return prepare


def _ask(_number: int, _frame: FrameType | None) -> None:
    raise _AskedToStop


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
