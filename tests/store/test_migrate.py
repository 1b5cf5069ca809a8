"""Migrations as commands of the product."""

import pytest
from sqlalchemy import text

from store import migrate
from store.db import make_engine
from store.migrate import UnknownRevision


def test_upgrade_is_refused_with_the_way_out_when_the_revision_is_unknown(
    database_url: str,
) -> None:
    engine = make_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'from-tomorrow'"))

    with pytest.raises(UnknownRevision, match="from-tomorrow"):
        migrate.upgrade(database_url)

    with engine.begin() as connection:
        connection.execute(
            text("UPDATE alembic_version SET version_num = :head"), {"head": migrate.heads()[0]}
        )
    engine.dispose()
