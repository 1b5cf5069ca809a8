"""One `zhiyin demo` as a process of its own, with a view of every process that belongs to it."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import httpx
from sqlalchemy import text

from store.db import Engine, make_engine
from store.embedded import hold_servers
from store.settings import Settings
from tests.ctrl_c import hear_ctrl_c

_ROOT = Path(__file__).parents[2]
INTERRUPTED = 128 + signal.SIGINT
_POLL_SECONDS = 0.05
# On a busy machine with a slow disk everything takes long, PostgreSQL to shut down not least.
_PATIENCE_SECONDS = 300
_GONE_SECONDS = 120
_SENDING = """
    SELECT count(*) FROM touches
    WHERE state = 'sending' AND channel = :channel AND provider_id IS NULL
"""
_ROLES = {
    "sandbox": "web.cli sandbox ",
    "web": "web.cli serve ",
    "worker": "web.cli worker ",
    "cron": "web.cli cron ",
    "keeper": "store.embedded.keeper ",
    "backend": "postgres: postgres zhiyin ",
}


class Show:
    """A running demo of a small slice under `var`, in a session of its own."""

    def __init__(self, var: Path, *options: str) -> None:
        self.var = var
        self.log = var.with_name(f"{var.name}-{time.monotonic_ns()}.log")
        command = [sys.executable, "-m", "web.cli", "demo", "--members", "100", *options]
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                command,
                cwd=_ROOT,
                env=_environment(var),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=hear_ctrl_c,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for pid in [self.process.pid, *processes(self.var)]:
            _kill(pid)
        self.process.wait()

    def said(self) -> str:
        """All that it has printed so far, lines joined where the terminal broke them."""
        return re.sub(r"\s+", " ", self.log.read_text(errors="replace"))

    def until(self, sentence: str, seconds: float = _PATIENCE_SECONDS) -> None:
        """Wait until it has said this."""
        is_over = wait_for(
            lambda: sentence in self.said() or self.process.poll() is not None, seconds
        )
        assert is_over, f"{sentence!r} was not said within {seconds} s:\n{self.log.read_text()}"
        assert sentence in self.said(), f"It ended before {sentence!r}:\n{self.log.read_text()}"

    def end(self, seconds: float = _PATIENCE_SECONDS) -> int:
        """Wait until it has ended; its exit code."""
        return self.process.wait(seconds)

    def interrupt(self) -> int:
        """Ctrl-C as a terminal sends it, to the whole group; the exit code."""
        os.killpg(self.process.pid, signal.SIGINT)
        code = self.end()
        # Where Ctrl-C met code made by `exec`, CPython ends by the signal; a shell calls both 130.
        return INTERRUPTED if code == -signal.SIGINT else code

    def kill(self, role: str) -> None:
        """`kill -9` of one process; of the demo's whole process group for `group`."""
        if role == "group":
            os.killpg(self.process.pid, signal.SIGKILL)
        elif role in ("postgres", "valkey"):
            name = {"postgres": "postgres/postmaster.pid", "valkey": "valkey/valkey.pid"}[role]
            _kill(int((self.var / name).read_text().split()[0]))
        else:
            assert wait_for(lambda: self._pids(role) != [], 60), f"There is no {role} to kill."
            _kill(self._pids(role)[0])

    def misbehave(self, server: str, path: str, how: str, **facts: float) -> None:
        """Tell the sandbox to misbehave at every call of a path."""
        told = httpx.post(
            f"http://127.0.0.1:{self._sandbox_port()}/sandbox/misbehave",
            json={"server": server, "path": path, "how": how, "times": 1000, **facts},
            trust_env=False,
            timeout=60,
        )
        assert told.is_success

    def wait_until_sending(self, channel: str, seconds: float = _PATIENCE_SECONDS) -> None:
        """Wait until a touch has passed the fence and the platform has not answered yet."""
        assert wait_for(lambda: self._sending(channel) > 0, seconds), f"Nothing left by {channel}."

    def _sending(self, channel: str) -> int:
        sockets = (self.var / "keeper").read_text()
        engine = make_engine(f"postgresql://postgres@/zhiyin?host={sockets}", pool_size=1)
        try:
            with engine.begin() as connection:
                found = connection.execute(text(_SENDING), {"channel": channel})
                return int(found.scalar_one())
        finally:
            engine.dispose()

    def _sandbox_port(self) -> int:
        words = _command(self._pids("sandbox")[0]).split()
        return int(words[words.index("--port") + 1])

    def _pids(self, role: str) -> list[int]:
        found = [pid for pid in processes(self.var) if _ROLES[role] in _command(pid)]
        return [pid for pid in found if "sandbox.tether" not in _command(pid)]


def processes(var: Path) -> list[int]:
    """Every process that was started for this `var`, whoever is its parent by now."""
    mark = f"ZHIYIN_VAR_DIR={var}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            # PostgreSQL's own children write over their environment, but stay in their folder.
            is_ours = (
                mark in (folder / "environ").read_bytes().split(b"\0")
                or var in (folder / "cwd").readlink().parents
            )
        except OSError:
            continue
        if is_ours:
            found.append(int(folder.name))
    return found


def left_running(var: Path) -> Sequence[str]:
    """What still runs after a while in which everything should have ended."""
    wait_for(lambda: not processes(var), _GONE_SECONDS)
    return [_command(pid) for pid in processes(var)]


def wait_for(happens: Callable[[], bool], seconds: float) -> bool:
    """Look again and again for so long; whether it happened."""
    deadline = time.monotonic() + seconds
    while not happens():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


@contextmanager
def record(var: Path) -> Iterator[Engine]:
    """The database that a demo has left under `var`, opened again."""
    unset = {"database_url": None, "redis_url": None}
    with hold_servers(Settings(var_dir=var).model_copy(update=unset), print) as held:
        engine = make_engine(held.database_url)
        try:
            yield engine
        finally:
            engine.dispose()


def _environment(var: Path) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("ZHIYIN_")}
    # Blank beats the .env of whoever runs the tests: these servers are always embedded ones.
    blank = {"ZHIYIN_DATABASE_URL": "", "ZHIYIN_REDIS_URL": ""}
    return {**kept, **blank, "ZHIYIN_VAR_DIR": str(var), "PYTHONUNBUFFERED": "1", "COLUMNS": "200"}


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode() + " "
    except OSError:
        return ""


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
