"""Connections that the server hung up on, and statements that share a trip."""

from threading import Thread

import psycopg
import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlmodel import Session

from store import db, resting, trips
from store.db import Database, make_engine
from tests.waiting import until

_HANG_UP = text("""
    SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
      AND application_name = 'test-of-the-pool'
""")
_WAITS = text("""
    SELECT EXISTS (SELECT FROM pg_stat_activity WHERE :pid = ANY(pg_blocking_pids(pid)))
""")


def _named(database: Database) -> Database:
    url = database.engine.url.update_query_dict({"application_name": "test-of-the-pool"})
    return Database(make_engine(url.render_as_string(hide_password=False)))


def _pid(database: Database) -> int:
    with database.transaction() as session:
        return _pid_of(session)


def _pid_of(session: Session) -> int:
    return int(session.connection().execute(text("SELECT pg_backend_pid()")).scalar_one())


def _waits_for(pid: int, database: Database) -> bool:
    """Somebody waits for a lock of this server process. Of one transaction, the answer would stay
    the same.
    """
    with database.transaction() as session:
        return bool(session.connection().execute(_WAITS, {"pid": pid}).scalar_one())


def _hang_up(database: Database) -> None:
    with database.transaction() as session:
        assert session.connection().execute(_HANG_UP).scalars().all() == [True]


@pytest.mark.parametrize("long_rest", [30.0, 0.0])
def test_a_connection_that_the_server_hung_up_on_is_replaced(
    fresh_database: Database, monkeypatch: pytest.MonkeyPatch, long_rest: float
) -> None:
    monkeypatch.setattr(resting, "LONG", long_rest)
    ours = _named(fresh_database)
    before = _pid(ours)
    _hang_up(fresh_database)

    after = _pid(ours)

    assert after != before
    ours.engine.dispose()


def test_without_the_look_it_is_handed_out(fresh_database: Database) -> None:
    ours = _named(fresh_database)
    event.remove(ours.engine, "checkout", db._refuse_dead)
    _pid(ours)
    _hang_up(fresh_database)

    with pytest.raises(OperationalError):
        _pid(ours)

    ours.engine.dispose()


def test_a_connection_that_lives_is_kept(fresh_database: Database) -> None:
    ours = _named(fresh_database)

    assert _pid(ours) == _pid(ours)

    ours.engine.dispose()


def test_statements_of_one_trip_each_see_what_was_committed_before_them(
    fresh_database: Database,
) -> None:
    """The first waits for a lock; the second must see what its holder wrote."""
    with fresh_database.transaction() as session:
        session.connection().execute(text("CREATE TABLE said (id int PRIMARY KEY, words text)"))
        session.connection().execute(text("INSERT INTO said VALUES (1, 'old')"))
    seen: list[trips.Rows] = []

    def wait_and_read() -> None:
        with fresh_database.transaction() as session:
            lock = ("SELECT id FROM said WHERE id = %(id)s FOR NO KEY UPDATE", {"id": 1})
            seen.extend(trips.fetch_each(session, [lock, ("SELECT count(*) FROM said", {})]))

    with fresh_database.transaction() as session:
        session.connection().execute(text("SELECT 1 FROM said WHERE id = 1 FOR UPDATE"))
        other = Thread(target=wait_and_read)
        other.start()
        until(lambda: _waits_for(_pid_of(session), fresh_database))
        session.connection().execute(text("INSERT INTO said VALUES (2, 'new')"))
    other.join()

    assert seen == [[(1,)], [(2,)]]


def test_who_waits_too_long_for_a_lock_is_told_so_and_can_go_on(fresh_database: Database) -> None:
    with fresh_database.transaction() as session:
        session.connection().execute(text("CREATE TABLE held (id int PRIMARY KEY)"))
        session.connection().execute(text("INSERT INTO held VALUES (1)"))
    lock = ("SELECT id FROM held WHERE id = %(id)s FOR UPDATE", {"id": 1})

    with fresh_database.transaction() as holder, fresh_database.transaction() as session:
        trips.fetch(holder, *lock)
        session.connection().execute(text("SET LOCAL lock_timeout = 50"))
        with pytest.raises(OperationalError) as caught, session.begin_nested():
            trips.fetch_each(session, [lock, ("SELECT 2", {})])
        after = trips.fetch_each(session, [("SELECT 3", {}), ("SELECT 4", {})])

    assert isinstance(caught.value.orig, psycopg.errors.LockNotAvailable)
    assert after == [[(3,)], [(4,)]]


def test_a_fault_is_raised_as_the_mapper_does_and_shows_no_parameter(session: Session) -> None:
    with pytest.raises(DBAPIError) as caught:
        trips.fetch(session, "SELECT CAST(%(mobile)s AS text) || 1 / 0", {"mobile": "13800001111"})

    assert isinstance(caught.value.orig, psycopg.errors.DivisionByZero)
    assert "13800001111" not in str(caught.value)


def test_a_trip_that_loses_its_connection_leaves_the_pool_well(fresh_database: Database) -> None:
    ours = _named(fresh_database)

    def lose_it() -> None:
        with ours.transaction() as session:
            trips.fetch(session, "SELECT 1", {})
            _hang_up(fresh_database)
            trips.fetch(session, "SELECT 1", {})

    with pytest.raises(OperationalError):
        lose_it()

    assert _pid(ours)
    ours.engine.dispose()
