"""The keeper: one process per `var_dir` that owns the embedded servers while anyone holds them.

Run by `store.embedded.hold` as `python -m store.embedded.keeper VAR SOCKETS LOCK LINE`. LOCK is the
locked file `var/keeper`, which falls with this process, and LINE the connection of the first
holder; both come along as open files. Holders speak JSON lines: they send `{"want": [...]}` and
hear `{"say": ...}`, then `{"ready": {...}}` or `{"failed": ...}`. A holder has gone when its
connection ends, whatever ended it.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from store.embedded.postgres import Postgres
from store.embedded.process import EmbeddedServerError
from store.embedded.valkey import Valkey

_POLL_SECONDS = 0.05
# So that one command can follow another without a stop in between.
_GRACE_SECONDS = 0.3
_MESSAGE_BYTES = 65536


class _NobodyLeft(Exception):  # noqa: N818 -- the everyday end of a keeper
    """The last holder has gone."""


@dataclass
class _Holder:
    line: socket.socket
    wants: frozenset[str] = frozenset()
    received: bytes = b""
    is_served: bool = False


@dataclass
class Keeper:
    """Serves the holders on a unix socket and runs the servers they want."""

    var: Path
    sockets: Path
    door: socket.socket
    holders: list[_Holder] = field(default_factory=list)
    leaving: list[_Holder] = field(default_factory=list)
    lonely_at: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.known: dict[str, Postgres | Valkey] = {
            "postgres": Postgres(self.var, self.sockets),
            "valkey": Valkey(self.var, self.sockets),
        }
        self.running: dict[str, Postgres | Valkey] = {}

    def run(self) -> None:
        """Serve until nobody is left or a server dies."""
        while True:
            self.tick()
            self._start_wanted()
            self._serve_ready()
            for server in self.running.values():
                if fault := server.fault():
                    raise EmbeddedServerError(fault)
            time.sleep(_POLL_SECONDS)

    def let_in(self, line: socket.socket) -> None:
        """Take a new holder, who says later what it wants."""
        line.setblocking(False)
        self.holders.append(_Holder(line))

    def tick(self) -> None:
        """Let holders in and out; called also while a server starts. Raises _NobodyLeft."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self.let_in(self.door.accept()[0])
        for holder in list(self.holders):
            self._hear(holder)
        if self.holders:
            self.lonely_at = time.monotonic() + _GRACE_SECONDS
            self._close(self.leaving)
        elif time.monotonic() > self.lonely_at:
            raise _NobodyLeft

    def say(self, sentence: str) -> None:
        """Tell everyone who waits, and the log."""
        _note(sentence)
        for holder in self.holders:
            if not holder.is_served:
                _tell(holder, {"say": sentence})

    def fail(self, sentence: str) -> None:
        """Tell everyone that there are no servers, or will be none."""
        _note(sentence)
        for holder in self.holders:
            _tell(holder, {"failed": sentence})

    def stop(self) -> None:
        """Close the door, stop the servers, and only then let the last holders see the end."""
        (self.sockets / "keeper").unlink(missing_ok=True)
        self.door.close()
        for server in reversed(self.known.values()):
            server.stop(_nothing)
        shutil.rmtree(self.sockets, ignore_errors=True)
        self._close(self.leaving)
        self._close(self.holders)

    def _hear(self, holder: _Holder) -> None:
        try:
            received = holder.line.recv(_MESSAGE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            received = b""
        if not received:
            self.holders.remove(holder)
            self.leaving.append(holder)
            return
        holder.received += received
        if holder.received.endswith(b"\n"):
            holder.wants = frozenset(json.loads(holder.received)["want"])

    def _start_wanted(self) -> None:
        wanted = frozenset[str]().union(*(holder.wants for holder in self.holders))
        for name, server in self.known.items():
            if name in wanted and name not in self.running:
                server.start(self.say, self.tick)
                self.running[name] = server

    def _serve_ready(self) -> None:
        for holder in self.holders:
            if not holder.is_served and holder.wants and holder.wants <= self.running.keys():
                holder.is_served = True
                _tell(holder, {"ready": {name: self.running[name].url for name in holder.wants}})

    def _close(self, holders: list[_Holder]) -> None:
        for holder in holders:
            holder.line.close()
        holders.clear()


def main(var: Path, sockets: Path, lock: int, line: int) -> None:
    """Open the door, serve, and stop everything at the end, however it comes."""
    for inherited in (lock, line):
        os.set_inheritable(inherited, False)
    signal.signal(signal.SIGTERM, _leave_at_once)
    signal.signal(signal.SIGINT, _leave_at_once)
    keeper = Keeper(var, sockets, _open_door(sockets))
    keeper.let_in(socket.socket(fileno=line))
    os.pwrite(lock, os.fsencode(sockets), 0)
    os.ftruncate(lock, len(os.fsencode(sockets)))
    try:
        keeper.run()
    except _NobodyLeft:
        _note("The last holder has gone; stopping.")
    except EmbeddedServerError as fault:
        keeper.fail(str(fault))
    finally:
        keeper.stop()
        _note("Stopped.")


def _open_door(sockets: Path) -> socket.socket:
    path = sockets / "keeper"
    # We hold the lock, so a socket that is there has no listener.
    path.unlink(missing_ok=True)
    door = socket.socket(socket.AF_UNIX)
    door.bind(str(path))
    door.listen(64)
    door.setblocking(False)
    return door


def _tell(holder: _Holder, message: dict[str, object]) -> None:
    # A holder that does not listen is not waited for; one that has gone is noticed when heard.
    with contextlib.suppress(OSError):
        holder.line.send(json.dumps(message).encode() + b"\n")


def _note(sentence: str) -> None:
    sys.stdout.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {sentence}\n")
    sys.stdout.flush()


def _nothing() -> None:
    """While stopping there is nobody to let in."""


def _leave_at_once(number: int, _frame: FrameType | None) -> None:
    # A second request would interrupt the stopping itself.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(128 + number)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
