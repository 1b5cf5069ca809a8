"""Trips: statements for which the mapper would cost more than the database does (decision 0008)."""

from collections.abc import Mapping
from typing import Any

from psycopg import Connection
from sqlmodel import Session


def fetch(session: Session, statement: str, facts: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """The rows of a statement in the session's transaction; `%(name)s` stands for a fact.

    What goes wrong is raised as psycopg's own error.
    """
    session.flush()
    raw = session.connection().connection.driver_connection
    assert isinstance(raw, Connection)
    return raw.execute(statement, facts).fetchall()
