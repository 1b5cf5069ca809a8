"""Bare trips: statements that go to the database together, as one transaction of their own.

The event loop drives them. A mapper around them, or a thread to wait for them, would cost more than
the database does (decision 0008).
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any

from psycopg import AsyncConnection
from psycopg.pq import TransactionStatus
from sqlalchemy import URL

from store import resting
from store.trips import Rows, Statement

# Whoever is locked for longer keeps nobody else waiting.
_WAIT = "SET lock_timeout = '200ms'"


class Lines:
    """The connections for bare trips, as many as are under way at once.

    Nudges are for transactions with a session: nothing is handed over here.
    """

    def __init__(self, url: URL) -> None:
        self._url = url.set(drivername="postgresql").render_as_string(hide_password=False)
        # The one that was used last is used next: it knows its statements.
        self._resting: list[tuple[AsyncConnection[Any], float]] = []

    async def fetch(self, statement: Statement) -> Rows:
        """The rows of a statement, and what it wrote is durable. A fault is psycopg's own.

        It waits 200 ms for a lock at most.
        """
        told, facts = statement
        async with self._line() as raw:
            return await (await raw.execute(told, facts, prepare=True)).fetchall()

    async def fetch_each(self, statements: Sequence[Statement]) -> list[Rows]:
        """The same of several in one trip: each looks at what is committed by then.

        All that they wrote is durable, or nothing is. The driver loses its place where a constraint
        that waits for the commit fails, so the schema has none.
        """
        async with self._line() as raw:
            async with raw.pipeline():
                cursors = [
                    await raw.execute(told, facts, prepare=True) for told, facts in statements
                ]
            return [await cursor.fetchall() for cursor in cursors]

    def close(self) -> None:
        """Hang up all that rests, which no loop has to run for."""
        while self._resting:
            raw, _ = self._resting.pop()
            raw.pgconn.finish()

    @asynccontextmanager
    async def _line(self) -> AsyncIterator[AsyncConnection[Any]]:
        raw = self._rested() or await self._made()
        try:
            yield raw
        finally:
            if raw.info.transaction_status is TransactionStatus.IDLE:
                self._resting.append((raw, monotonic()))
            else:
                # Broken, or in the middle of what nobody waits for any more.
                raw.pgconn.finish()

    def _rested(self) -> AsyncConnection[Any] | None:
        while self._resting:
            raw, since = self._resting.pop()
            if monotonic() - since < resting.LONG and resting.is_silent(raw):
                return raw
            raw.pgconn.finish()
        return None

    async def _made(self) -> AsyncConnection[Any]:
        raw = await AsyncConnection.connect(self._url, autocommit=True)
        await raw.execute(_WAIT)
        return raw
