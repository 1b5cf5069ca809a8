"""What every test may lean on: real servers, a migrated database, a session that is rolled back.

The servers are embedded ones, or those of ZHIYIN_DATABASE_URL and ZHIYIN_REDIS_URL. Each run works
in databases of its own making, so several runs can share a server.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import hypothesis
import pytest
from hypothesis import HealthCheck
from pydantic_settings import SettingsConfigDict
from redis import Redis
from sqlalchemy import Connection, Engine, make_url, text
from sqlmodel import Session

from store import migrate
from store.db import Database, make_engine
from store.embedded import Servers, hold_servers
from store.settings import Settings
from store.tables import metadata
from tests.times import at

# Where tests keep what they put into an outside Redis, unless its URL names another database.
_REDIS_NUMBER = 15

# A busy machine may take its time over an example. Where examples share a fixture, each clears up
# behind itself.
hypothesis.settings.register_profile(
    "ours",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
hypothesis.settings.load_profile("ours")


class _Settings(Settings):
    """Settings that do not read the `.env` of whoever runs the tests."""

    model_config = SettingsConfigDict(env_file=None)


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """PostgreSQL and Redis: those of the environment, else embedded ones just for this run."""
    var = tmp_path_factory.mktemp("servers")
    settings = _Settings(var_dir=var)
    with hold_servers(settings, print) as held:
        yield held
    shutil.rmtree(var, ignore_errors=True)


@pytest.fixture(scope="session")
def template_name(servers: Servers) -> Iterator[str]:
    """The name of a migrated, empty database that others are copied from."""
    with _made_database(servers, "template") as name:
        migrate.upgrade(_url(servers, name))
        yield name


@pytest.fixture(scope="session")
def engine(servers: Servers, template_name: str) -> Iterator[Engine]:
    """The engine of the database whose tests are rolled back."""
    with _made_database(servers, "shared", template_name) as name:
        engine = make_engine(_url(servers, name))
        yield engine
        engine.dispose()


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    """One connection in a transaction that is rolled back at the end of the test."""
    with engine.connect() as connection:
        transaction = connection.begin()
        yield connection
        transaction.rollback()


@pytest.fixture
def session(connection: Connection) -> Iterator[Session]:
    """A real session; whatever the test commits is gone afterwards."""
    with Session(
        connection, expire_on_commit=False, join_transaction_mode="create_savepoint"
    ) as session:
        yield session


@pytest.fixture(scope="session")
def fresh_engine(servers: Servers, template_name: str) -> Iterator[Engine]:
    """The engine of the database for tests that really commit; see `fresh_database`."""
    with _made_database(servers, "fresh", template_name) as name:
        engine = make_engine(_url(servers, name))
        yield engine
        engine.dispose()


@pytest.fixture
def fresh_database(fresh_engine: Engine) -> Iterator[Database]:
    """A migrated database for tests that need real commits; as empty as new after each test."""
    database = Database(fresh_engine)
    yield database
    database.lines.close()
    _empty(fresh_engine)


@pytest.fixture
def database(fresh_database: Database) -> Database:
    """The same under its everyday name: for acts that open transactions themselves."""
    return fresh_database


@pytest.fixture
def database_url(fresh_database: Database) -> str:
    """The URL of `fresh_database`, for what is started as a process."""
    return fresh_database.engine.url.render_as_string(hide_password=False)


@pytest.fixture
def two_connections(fresh_database: Database) -> Iterator[tuple[Session, Session]]:
    """Two sessions on two real connections, for races; the test commits or rolls back itself."""
    with Session(fresh_database.engine) as one, Session(fresh_database.engine) as other:
        yield one, other


@pytest.fixture
def redis_url(servers: Servers) -> str:
    """The Redis database that belongs to tests."""
    if servers.embedded or servers.redis_url.rsplit("/", 1)[-1].isdecimal():
        return servers.redis_url
    return f"{servers.redis_url.rstrip('/')}/{_REDIS_NUMBER}"


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    """A client of the tests' own Redis database, empty at the start."""
    client = Redis.from_url(redis_url)
    client.flushdb()
    yield client
    client.close()


@pytest.fixture
def now() -> datetime:
    """A Sunday afternoon, when no rule is in the way."""
    return at("2026-03-01 14:00")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a deployment that set nothing, with a `var` of its own."""
    return _Settings(database_url=None, redis_url=None, var_dir=tmp_path / "var")


@contextmanager
def _made_database(servers: Servers, role: str, template: str = "template0") -> Iterator[str]:
    name = f"zhiyin_test_{os.getpid()}_{role}"
    engine = make_engine(servers.database_url, pool_size=1).execution_options(
        isolation_level="AUTOCOMMIT"
    )
    with engine.connect() as connection:
        connection.execute(text(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))
        connection.execute(text(f'CREATE DATABASE "{name}" TEMPLATE "{template}" ENCODING UTF8'))
        yield name
        connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))
    engine.dispose()


def _url(servers: Servers, database: str) -> str:
    url = make_url(servers.database_url).set(database=database)
    return url.render_as_string(hide_password=False)


def _empty(engine: Engine) -> None:
    names = ", ".join(f'"{table.name}"' for table in metadata.sorted_tables)
    with engine.begin() as connection:
        # A test that failed in the middle may have left a transaction open on this database.
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND state LIKE 'idle in transaction%'"
                " AND pid <> pg_backend_pid()"
            )
        )
        connection.execute(text(f"TRUNCATE {names} RESTART IDENTITY CASCADE"))
