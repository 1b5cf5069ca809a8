"""A bare trip keeps all that it wrote or nothing, and its line is used again while it is well."""

import asyncio
from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import text

from store import resting
from store.db import Database
from store.trips import Rows, Statement

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


def told(database: Database, *statements: Statement) -> list[Rows]:
    """What they gave, together in one trip."""
    return asyncio.run(database.lines.fetch_each(statements))


def marks(database: Database) -> int:
    """How many marks are kept."""
    [[(number,)]] = told(database, _COUNT)
    return int(number)


def server_process(database: Database) -> int:
    """Who answers at the server's end of the line."""
    [[(process,)]] = told(database, ("SELECT pg_backend_pid()", {}))
    return int(process)


def test_what_is_written_is_kept(marked: Database) -> None:
    assert told(marked, _MARK, _COUNT) == [[("one",)], [(1,)]]
    assert asyncio.run(marked.lines.fetch(_MARK)) == [("one",)]
    assert marks(marked) == 2


def test_a_fault_keeps_nothing_of_its_trip(marked: Database) -> None:
    with pytest.raises(psycopg.DataError):
        told(marked, _MARK, ("SELECT 1 / %(zero)s::int", {"zero": 0}))

    assert marks(marked) == 0


def test_a_commit_that_fails_is_heard_of(marked: Database) -> None:
    with marked.engine.begin() as connection:
        late = "UNIQUE (mark) DEFERRABLE INITIALLY DEFERRED"
        connection.execute(text(f"ALTER TABLE bare_marks ADD {late}"))
    twice = ("INSERT INTO bare_marks VALUES ('two'), ('two') RETURNING mark", dict[str, str]())

    with pytest.raises(psycopg.errors.UniqueViolation):
        asyncio.run(marked.lines.fetch(twice))

    assert marks(marked) == 0


def test_no_constraint_waits_for_the_commit(marked: Database) -> None:
    waiting = ("SELECT conname FROM pg_constraint WHERE condeferrable", dict[str, str]())

    assert told(marked, waiting) == [[]]


def test_a_line_is_used_again(marked: Database) -> None:
    assert server_process(marked) == server_process(marked)


def test_a_line_that_broke_in_use_is_not_used_again(marked: Database) -> None:
    with pytest.raises(psycopg.OperationalError):
        told(marked, ("SELECT pg_terminate_backend(pg_backend_pid())", {}))

    assert marks(marked) == 0


def test_a_line_that_broke_while_it_rested_is_not_used_again(marked: Database) -> None:
    before = server_process(marked)
    with marked.engine.begin() as connection:
        connection.execute(text("SELECT pg_terminate_backend(:pid, 10000)"), {"pid": before})

    assert server_process(marked) != before


def test_a_line_that_rested_for_long_is_not_trusted(
    marked: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = server_process(marked)
    monkeypatch.setattr(resting, "LONG", 0.0)

    assert server_process(marked) != before


def test_trips_at_once_have_a_line_each(marked: Database) -> None:
    who: Statement = ("SELECT pg_backend_pid() FROM pg_sleep(0.1)", {})

    async def both() -> list[Rows]:
        return list(await asyncio.gather(marked.lines.fetch(who), marked.lines.fetch(who)))

    one, other = asyncio.run(both())

    assert one != other


def test_nobody_waits_long_for_a_lock(marked: Database) -> None:
    told(marked, _MARK)

    with marked.engine.begin() as connection:
        connection.execute(text("DELETE FROM bare_marks"))
        with pytest.raises(psycopg.errors.LockNotAvailable):
            told(marked, ("DELETE FROM bare_marks RETURNING mark", {}))
