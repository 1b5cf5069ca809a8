"""Trips: statements for which the mapper would cost more than the database does (decision 0008).

Those that are asked together go in one trip, each with its own look at what is committed by then.
"""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import psycopg
from psycopg import Connection
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

# A statement and its facts; `%(name)s` stands for a fact.
Statement = tuple[str, Mapping[str, Any]]
Rows = list[tuple[Any, ...]]


def fetch(session: Session, statement: str, facts: Mapping[str, Any]) -> Rows:
    """The rows of a statement in the session's transaction."""
    return fetch_each(session, [(statement, facts)])[0]


def fetch_each(session: Session, statements: Sequence[Statement]) -> list[Rows]:
    """The rows of each statement, all in one trip, in their order."""
    session.flush()
    connection = session.connection()
    raw = connection.connection.driver_connection
    assert isinstance(raw, Connection)
    try:
        return send(raw, statements)
    except psycopg.Error as fault:
        if raw.closed:
            connection.invalidate(fault)
        # As the mapper raises it; parameters are people's names and codes.
        raise DBAPIError.instance(
            None,
            None,
            fault,
            psycopg.Error,
            hide_parameters=True,
            connection_invalidated=raw.closed,
            dialect=connection.dialect,
        ) from fault


def send(raw: Connection[Any], statements: Sequence[Statement]) -> list[Rows]:
    """The same on a connection of the driver's; a fault is psycopg's own."""
    with raw.pipeline() if len(statements) > 1 else nullcontext():
        cursors = [raw.execute(told, facts, prepare=True) for told, facts in statements]
    return [cursor.fetchall() for cursor in cursors]
