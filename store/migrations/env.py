"""Runs migrations on the connection `store.migrate` hands over, else as the settings say."""

from typing import Literal

from alembic import context
from sqlalchemy import Connection, DateTime, TypeDecorator
from sqlalchemy.dialects import postgresql

from store.db import make_engine
from store.settings import Settings
from store.tables import metadata


def _plain(kind: str, item: object, _autogen: object) -> str | Literal[False]:
    """A revision names SQLAlchemy's own types, so that it outlives every library above it."""
    if kind != "type" or not isinstance(item, TypeDecorator):
        return False
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped
    inner = item.load_dialect_impl(dialect)
    return "sa.DateTime(timezone=True)" if isinstance(inner, DateTime) else f"sa.{inner!r}"


def _run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        compare_server_default=False,
        render_item=_plain,
    )
    with context.begin_transaction():
        context.run_migrations()


def _run_on_settings() -> None:
    url = Settings().database_url
    if url is None:
        raise SystemExit("Set ZHIYIN_DATABASE_URL, or run `zhiyin migrate` for embedded servers.")
    engine = make_engine(url)
    with engine.connect() as connection:
        _run(connection)
        connection.commit()
    engine.dispose()


handed_over: Connection | None = context.config.attributes.get("connection")
if handed_over is None:
    _run_on_settings()
else:
    _run(handed_over)
