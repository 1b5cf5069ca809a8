"""Migrations: bring a database to the newest revision, and say which revision it is at."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from store.db import make_engine
from store.errors import Refusal

_FOLDER = Path(__file__).parent / "migrations"
# Any number that nothing else in this database uses as an advisory lock.
_LOCK = 7_260_100


class UnknownRevision(Refusal):
    """The database was migrated by another version of the code."""

    def __init__(self, revision: str) -> None:
        self.revision = revision
        super().__init__(
            f"The database is at revision {revision}, which this version does not know: "
            "install the version that made it, or start with another database or var folder."
        )


def upgrade(url: str) -> None:
    """Bring the database at `url` to the newest revision; two at once take turns."""
    with _connection(url) as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        config = _config()
        _check_known(connection, ScriptDirectory.from_config(config))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _check_known(connection: Connection, scripts: ScriptDirectory) -> None:
    revision = MigrationContext.configure(connection).get_current_revision()
    known = {script.revision for script in scripts.walk_revisions()}
    if revision is not None and revision not in known:
        raise UnknownRevision(revision)


def current(url: str) -> str | None:
    """The revision the database at `url` is at; None when it was never migrated."""
    with _connection(url) as connection:
        return MigrationContext.configure(connection).get_current_revision()


def heads() -> list[str]:
    """The newest revisions in the code; more than one means two were written side by side."""
    return list(ScriptDirectory.from_config(_config()).get_heads())


@contextmanager
def _connection(url: str) -> Iterator[Connection]:
    engine = make_engine(url, pool_size=1)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def _config() -> Config:
    config = Config()
    # Alembic reads % as the start of a variable.
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    return config
