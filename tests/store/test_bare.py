"""A bare transaction keeps what it commits and nothing else."""

from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import text

from store import bare
from store.db import Database
from store.trips import Statement

_MAKE = "CREATE TABLE bare_marks (mark text)"
_MARK = ("INSERT INTO bare_marks VALUES (%(mark)s) RETURNING mark", {"mark": "one"})
_COUNT = ("SELECT count(*) FROM bare_marks", dict[str, str]())


@pytest.fixture
def marked(database: Database) -> Iterator[Database]:
    """A database with a table to write into."""
    with database.engine.begin() as connection:
        connection.execute(text(_MAKE))
    yield database
    with database.engine.begin() as connection:
        connection.execute(text("DROP TABLE bare_marks"))


def marks(database: Database) -> int:
    """How many marks are kept."""
    with bare.transaction(database) as trip:
        [[(number,)]] = trip.fetch_each([_COUNT])
    return int(number)


def mark_and_commit(database: Database, last: Statement) -> None:
    """Leave a mark, then end with a statement."""
    with bare.transaction(database) as trip:
        trip.fetch_each([_MARK])
        trip.fetch_and_commit(last)


def test_what_is_fetched_and_committed_is_kept(marked: Database) -> None:
    with bare.transaction(marked) as trip:
        told = trip.fetch_and_commit(_MARK)

    assert (told, marks(marked)) == ([("one",)], 1)


def test_what_is_not_committed_is_rolled_back(marked: Database) -> None:
    with bare.transaction(marked) as trip:
        told = trip.fetch_each([_MARK, _COUNT])

    assert (told, marks(marked)) == ([[("one",)], [(1,)]], 0)


def test_a_fault_before_the_commit_keeps_nothing(marked: Database) -> None:
    with pytest.raises(psycopg.DataError):
        mark_and_commit(marked, ("SELECT 1 / %(zero)s::int", {"zero": 0}))

    assert marks(marked) == 0


def test_a_commit_that_fails_is_heard_of(marked: Database) -> None:
    with marked.engine.begin() as connection:
        late = "UNIQUE (mark) DEFERRABLE INITIALLY DEFERRED"
        connection.execute(text(f"ALTER TABLE bare_marks ADD {late}"))

    with pytest.raises(psycopg.errors.UniqueViolation):
        mark_and_commit(marked, _MARK)

    assert marks(marked) == 0


def test_a_lost_connection_is_not_given_out_again(marked: Database) -> None:
    with pytest.raises(psycopg.OperationalError), bare.transaction(marked) as trip:
        trip.fetch_each([("SELECT pg_terminate_backend(pg_backend_pid())", {})])

    assert marks(marked) == 0
