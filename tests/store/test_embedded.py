"""The embedded servers: started, shared, stopped, and healed after every kind of killing."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from sqlalchemy import text

from store.db import make_engine
from store.embedded import EmbeddedServerError, hold_servers
from store.embedded.process import leftover
from store.settings import Settings
from tests.waiting import until

_HOLD = """
import sys, time
from pathlib import Path
from store.embedded import hold_servers
from store.settings import Settings
settings = Settings(var_dir=Path(sys.argv[1]), database_url=None, redis_url=None)
with hold_servers(settings, lambda sentence: None):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def said() -> list[str]:
    """What the servers told the person who waits."""
    return []


@pytest.fixture
def other_holder(settings: Settings) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the servers."""
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(settings.var_dir)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    with holder.stdout as lines:
        assert lines.readline() == "held\n"
        yield holder
    holder.kill()
    holder.wait()
    until(lambda: not _sockets_of(settings))


def test_servers_answer_when_nothing_is_set(settings: Settings, said: list[str]) -> None:
    with hold_servers(settings, said.append) as servers:
        version = _ask(servers.database_url, "SHOW server_version")
        with Redis.from_url(servers.redis_url) as redis:
            pong = redis.ping()

    assert (servers.embedded, int(version.split(".")[0]) >= 15, pong) == (True, True, True)
    assert said == ["Making the database (first start)."]


def test_servers_are_gone_when_the_last_holder_has_left(settings: Settings) -> None:
    with hold_servers(settings, print):
        running = _postgres_pid(settings)
        sockets = _sockets_of(settings)

    assert [_runs(running), [folder for folder in sockets if folder.exists()]] == [False, []]


def test_data_survives_and_later_starts_are_quick(settings: Settings, said: list[str]) -> None:
    began = time.monotonic()
    with hold_servers(settings, print) as servers:
        first = time.monotonic() - began
        _ask(servers.database_url, "CREATE TABLE kept AS SELECT 7 AS n; SELECT 7")

    later = []
    for _ in range(3):
        began = time.monotonic()
        with hold_servers(settings, said.append) as servers:
            later.append(time.monotonic() - began)
            assert _ask(servers.database_url, "SELECT n FROM kept") == "7"

    # Nothing was made or mended, and nobody waited for it. How many seconds that is, is the
    # machine's affair.
    assert said == []
    assert min(later) < first


@pytest.mark.usefixtures("other_holder")
def test_a_second_process_joins_the_same_servers(settings: Settings) -> None:
    before = _postgres_pid(settings)

    with hold_servers(settings, print) as servers:
        _ask(servers.database_url, "SELECT 1")

    assert (_postgres_pid(settings), _runs(before)) == (before, True)


def test_servers_stop_when_their_only_holder_is_killed(
    settings: Settings, other_holder: subprocess.Popen[str]
) -> None:
    running = _postgres_pid(settings)

    other_holder.kill()

    until(lambda: not _runs(running))


def test_holders_notice_and_the_next_start_heals_when_postgresql_is_killed(
    settings: Settings, said: list[str]
) -> None:
    with hold_servers(settings, print) as servers:
        _ask(servers.database_url, "CREATE TABLE kept AS SELECT 7 AS n; SELECT 7")
        os.kill(_postgres_pid(settings), signal.SIGKILL)
        until(lambda: not servers.is_alive())

    with hold_servers(settings, said.append) as servers:
        kept = _ask(servers.database_url, "SELECT n FROM kept")

    assert kept == "7"
    assert said == ["PostgreSQL was killed in an earlier run; it recovers its data now."]


def test_holders_notice_when_valkey_is_killed(settings: Settings) -> None:
    with hold_servers(settings, print) as servers:
        running = _postgres_pid(settings)
        os.kill(int((settings.var_dir / "valkey/valkey.pid").read_text()), signal.SIGKILL)

        until(lambda: not servers.is_alive())

    until(lambda: not _runs(running))


def test_the_next_start_works_when_the_keeper_is_killed(settings: Settings) -> None:
    with hold_servers(settings, print) as servers:
        _ask(servers.database_url, "CREATE TABLE kept AS SELECT 7 AS n; SELECT 7")
        os.kill(_parent(_postgres_pid(settings)), signal.SIGKILL)

    with hold_servers(settings, print) as servers:
        kept = _ask(servers.database_url, "SELECT n FROM kept")

    assert kept == "7"


def test_start_is_not_fooled_by_a_pid_that_another_program_got(
    settings: Settings, said: list[str]
) -> None:
    with hold_servers(settings, print):
        pid_file = settings.var_dir / "postgres/postmaster.pid"
        stale = pid_file.read_text()
    rest = stale.split("\n", 1)[1]
    pid_file.write_text(f"{os.getpid()}\n{rest}")

    with hold_servers(settings, said.append) as servers:
        answer = _ask(servers.database_url, "SELECT 1")

    assert answer == "1"
    assert said == ["PostgreSQL was killed in an earlier run; it recovers its data now."]


def test_servers_live_in_a_path_with_spaces_and_chinese(tmp_path: Path) -> None:
    settings = Settings(var_dir=tmp_path / "a b, 'c' 知音%20 $x")

    with hold_servers(settings.model_copy(update=_UNSET), print) as servers:
        answer = _ask(servers.database_url, "SELECT 1")

    assert answer == "1"


def test_only_the_missing_server_is_started(settings: Settings) -> None:
    half = settings.model_copy(update={"database_url": "postgresql://db.example/brand"})

    with hold_servers(half, print) as servers, Redis.from_url(servers.redis_url) as redis:
        pong = redis.ping()

    assert (servers.database_url, pong) == ("postgresql://db.example/brand", True)
    assert not (settings.var_dir / "postgres").exists()


def test_nothing_is_started_when_both_urls_are_set(settings: Settings) -> None:
    outside = {"database_url": "postgresql://db.example/brand", "redis_url": "redis://r.example"}

    with hold_servers(settings.model_copy(update=outside), print) as servers:
        assert servers.environment() == {
            "ZHIYIN_DATABASE_URL": "postgresql://db.example/brand",
            "ZHIYIN_REDIS_URL": "redis://r.example",
        }

    assert not settings.var_dir.exists()


def test_a_start_that_fails_says_why(settings: Settings) -> None:
    with hold_servers(settings, print):
        pass
    (settings.var_dir / "postgres/PG_VERSION").write_text("9\n")

    refused = pytest.raises(EmbeddedServerError, match="initialized by PostgreSQL version 9")
    with refused, hold_servers(settings, print):
        pass


def test_a_pid_file_of_another_program_is_not_a_leftover(tmp_path: Path) -> None:
    (tmp_path / "postmaster.pid").write_text(f"{os.getpid()}\n")

    assert leftover(tmp_path / "postmaster.pid", program="postgres") is None


_UNSET = {"database_url": None, "redis_url": None}


def _ask(url: str, query: str) -> str:
    engine = make_engine(url, pool_size=1)
    try:
        with engine.begin() as connection:
            *changes, question = query.split(";")
            for change in changes:
                connection.execute(text(change))
            return str(connection.scalar(text(question)))
    finally:
        engine.dispose()


def _postgres_pid(settings: Settings) -> int:
    return int((settings.var_dir / "postgres/postmaster.pid").read_text().split()[0])


def _sockets_of(settings: Settings) -> list[Path]:
    folder = Path((settings.var_dir / "keeper").read_text())
    return [folder] if folder.exists() else []


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _runs(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
