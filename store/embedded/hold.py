"""The users' side of the embedded servers: find or start the keeper, hold on, let go."""

import fcntl
import hashlib
import json
import os
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from store.embedded.process import EmbeddedServerError, last_lines
from store.settings import Settings

# A keeper on its way out may need this long to let PostgreSQL shut down.
_JOIN_SECONDS = 90.0
_LEAVE_SECONDS = 90.0
_RETRY_SECONDS = 0.05
_REAP_SECONDS = 0.2
_MESSAGE_BYTES = 65536
# A unix socket's path has at most 107 bytes (sockaddr_un); names of sockets need some of them.
_FOLDER_BYTES = 80
# Commas and quotes have a meaning in PostgreSQL's list of socket folders, others in a URL.
_AWKWARD = set(" ,\"'%?#&+")

# A keeper may outlive the block that started it; kept here, it is not warned about as forgotten.
_STARTED: list[subprocess.Popen[bytes]] = []

_ROOT = Path(__file__).parents[2]

Say = Callable[[str], None]


@dataclass(frozen=True)
class Servers:
    """Where the database and Redis answer, and whether one of them is ours."""

    database_url: str
    redis_url: str
    embedded: bool
    line: socket.socket | None = None

    def environment(self) -> dict[str, str]:
        """The settings that lead a child process to the same servers."""
        return {"ZHIYIN_DATABASE_URL": self.database_url, "ZHIYIN_REDIS_URL": self.redis_url}

    def is_alive(self) -> bool:
        """False once an embedded server has died (its keeper then lets everyone go)."""
        return self.fault() is None

    def fault(self) -> str | None:
        """What became of the embedded servers, in whole sentences; none while they are there."""
        if self.line is None:
            return None
        try:
            told = self.line.recv(_MESSAGE_BYTES, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None
        except OSError:
            told = b""
        # Once it has served, the keeper says nothing more except why it ends.
        if told.endswith(b"\n"):
            return str(json.loads(told)["failed"])
        return "The keeper of the embedded servers has ended, and the servers with it."


@contextmanager
def hold_servers(settings: Settings, say: Say) -> Iterator[Servers]:
    """Servers for as long as the block runs: those of the settings, embedded ones for the rest.

    `say` is told, in whole sentences, what takes time and what was healed. Raises
    EmbeddedServerError.
    """
    urls = {"postgres": settings.database_url, "valkey": settings.redis_url}
    wanted = [name for name, url in urls.items() if not url]
    if not wanted:
        yield _servers(urls, line=None)
        return
    line, embedded_urls = _join(settings.var_dir, wanted, say)
    try:
        yield _servers({**urls, **embedded_urls}, line=line)
    finally:
        _leave(line)


def _servers(urls: Mapping[str, str | None], line: socket.socket | None) -> Servers:
    database_url, redis_url = urls["postgres"], urls["valkey"]
    assert database_url
    assert redis_url
    return Servers(database_url, redis_url, embedded=line is not None, line=line)


def _join(var_dir: Path, wanted: list[str], say: Say) -> tuple[socket.socket, dict[str, str]]:
    var = _own_folder(var_dir)
    deadline = time.monotonic() + _JOIN_SECONDS
    while time.monotonic() < deadline:
        started = _start_keeper(var)
        line = started or _connect(var)
        if line is None:
            time.sleep(_RETRY_SECONDS)
            continue
        try:
            urls = _ask(line, wanted, say)
        except BaseException:
            line.close()
            raise
        if urls is not None:
            return line, urls
        line.close()
        if started is not None:
            raise EmbeddedServerError(
                f"The embedded servers did not start. The end of {_log(var)}:\n"
                f"{last_lines(_log(var))}"
            )
    raise EmbeddedServerError(
        f"The embedded servers of {var} are held up by another process; see {_log(var)}."
    )


def _own_folder(var_dir: Path) -> Path:
    var = var_dir.resolve()
    try:
        (var / "log").mkdir(parents=True, exist_ok=True)
        (var / "keeper").touch()
    except PermissionError as fault:
        raise EmbeddedServerError(
            f"{var} belongs to another user: run as that user, remove it, or set ZHIYIN_VAR_DIR."
        ) from fault
    return var


def _start_keeper(var: Path) -> socket.socket | None:
    """Start the keeper unless one runs, and give the line to it.

    Who gets the lock starts it. The keeper inherits the lock and its first holder's line, so that
    it misses nobody, however early the one who started it goes.
    """
    sockets = str(_socket_folder(var))
    with (var / "keeper").open("r+b") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return None
        ours, theirs = socket.socketpair()
        with theirs, _log(var).open("ab") as log:
            inherited = [lock.fileno(), theirs.fileno()]
            arguments = [str(var), sockets, *map(str, inherited)]
            keeper = subprocess.Popen(
                [sys.executable, "-m", "store.embedded.keeper", *arguments],
                cwd=_ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=inherited,
                start_new_session=True,
            )
    _STARTED.append(keeper)
    return ours


def _connect(var: Path) -> socket.socket | None:
    line = socket.socket(socket.AF_UNIX)
    try:
        # The file is the lock, and holds the folder of the keeper's sockets once it listens.
        line.connect(f"{(var / 'keeper').read_text()}/keeper")
    except OSError:
        line.close()
        return None
    return line


def _ask(line: socket.socket, wanted: list[str], say: Say) -> dict[str, str] | None:
    """The URLs of the servers asked for; None when the keeper went away instead."""
    try:
        line.sendall(json.dumps({"want": wanted}).encode() + b"\n")
        with line.makefile("rb") as lines:
            for text in lines:
                told = json.loads(text)
                if "failed" in told:
                    raise EmbeddedServerError(told["failed"])
                if "ready" in told:
                    return dict(told["ready"])
                say(told["say"])
    except (BrokenPipeError, ConnectionResetError):
        return None
    return None


def _leave(line: socket.socket) -> None:
    """Let go; the last holder waits until the servers are down, so that nothing is left running."""
    with line:
        line.settimeout(_LEAVE_SECONDS)
        try:
            line.shutdown(socket.SHUT_WR)
            while line.recv(4096):
                pass
        except OSError:
            return
    _STARTED[:] = [keeper for keeper in _STARTED if not _has_ended(keeper)]


def _has_ended(keeper: subprocess.Popen[bytes]) -> bool:
    try:
        keeper.wait(_REAP_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return True


def _socket_folder(var: Path) -> Path:
    """A short private folder outside the checkout, always the same for this `var` and user."""
    name = hashlib.sha256(f"{os.geteuid()}:{var}".encode()).hexdigest()[:16]
    base = tempfile.gettempdir()
    if len(os.fsencode(base)) + len(name) > _FOLDER_BYTES - 8 or _AWKWARD & set(base):
        base = "/tmp"  # noqa: S108 -- made private and checked below
    folder = Path(base) / f"zhiyin-{name}"
    folder.mkdir(mode=0o700, exist_ok=True)
    facts = folder.lstat()
    if facts.st_uid != os.geteuid() or stat.S_IMODE(facts.st_mode) != stat.S_IRWXU:
        raise EmbeddedServerError(f"{folder} is not a private folder of this user; remove it.")
    return folder


def _log(var: Path) -> Path:
    return var / "log" / "servers.log"
