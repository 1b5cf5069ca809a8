"""Counting what is asked of the database."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from sqlalchemy import Connection, Engine, event
from sqlmodel import Session

from store import trips
from store.trips import Rows, Statement


@contextmanager
def counted(asked: Engine | Connection) -> Iterator[list[str]]:
    """The statements that run inside the `with`, also those that go past the mapper."""
    seen: list[str] = []
    fetch_each = trips.fetch_each

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        seen.append(statement)

    def noting(session: Session, statements: Sequence[Statement]) -> list[Rows]:
        seen.extend(statement for statement, _ in statements)
        return fetch_each(session, statements)

    event.listen(asked, "before_cursor_execute", note)
    try:
        with patch.object(trips, "fetch_each", noting):
            yield seen
    finally:
        event.remove(asked, "before_cursor_execute", note)
