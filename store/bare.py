"""A bare transaction: all that is read in one trip, what is written and the commit in another.

No mapper stands around it: its own work would cost more than the database's (decision 0008).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from psycopg import Connection

from store import trips
from store.db import Database
from store.trips import Rows, Statement


class Bare:
    """One transaction on one connection; it begins with the first statement."""

    def __init__(self, raw: Connection[Any]) -> None:
        self._raw = raw

    def fetch_each(self, statements: Sequence[Statement]) -> list[Rows]:
        """The rows of each statement, all in one trip; each looks at what is committed by then."""
        return trips.send(self._raw, statements)

    def fetch_and_commit(self, statement: Statement) -> Rows:
        """The rows of the last statement, in one trip with the commit: they are durable by now."""
        told, facts = statement
        with self._raw.pipeline():
            cursor = self._raw.execute(told, facts, prepare=True)
            self._raw.commit()
        return cursor.fetchall()


@contextmanager
def transaction(database: Database) -> Iterator[Bare]:
    """A bare transaction, rolled back unless it was committed; a fault is psycopg's own.

    Nudges are for transactions with a session: nothing is handed over here.
    """
    pooled = database.engine.raw_connection()
    raw = pooled.driver_connection
    assert isinstance(raw, Connection)
    try:
        yield Bare(raw)
    finally:
        if raw.closed:
            pooled.invalidate()
        # The pool rolls back what was left open.
        pooled.close()
