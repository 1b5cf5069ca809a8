"""Races at the gate: real connections ask for one member at once, and the caps hold."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from threading import Barrier
from typing import TypeVar

import pytest
from sqlmodel import Session, select

from fatigue import facts, gate
from fatigue.gate import Ask, KeyReused
from store.db import Database
from store.touches import Touch, TouchState
from tests.fatigue.people import a_grant, a_member, an_ask

pytestmark = pytest.mark.race

_ASKERS = 6
_SECONDS = 120
T = TypeVar("T")


def at_once(acts: list[Callable[[], T]]) -> list[T]:
    """Run every act in its own thread; they start together."""
    start = Barrier(len(acts))

    def run(act: Callable[[], T]) -> T:
        start.wait(_SECONDS)
        return act()

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts, timeout=_SECONDS))


def asks_for_one_member(database: Database, now: datetime) -> list[Ask]:
    with database.transaction() as session:
        li = a_member(session, now=now)
        return [an_ask(session, li) for _ in range(_ASKERS)]


def test_one_of_many_askers_at_once_gets_the_only_slot(
    fresh_database: Database, now: datetime
) -> None:
    asks = asks_for_one_member(fresh_database, now)

    def asking(ask: Ask) -> Callable[[], TouchState]:
        def act() -> TouchState:
            with fresh_database.transaction() as session:
                return gate.ask(session, ask, now=now).state

        return act

    states = at_once([asking(ask) for ask in asks])

    assert sorted(states) == sorted([TouchState.RESERVED] + [TouchState.ASKED] * (_ASKERS - 1))


def test_without_the_members_lock_every_asker_gets_the_only_slot(
    fresh_database: Database, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same race with the lock taken away: what the test above would see if it did not hold."""
    asks = asks_for_one_member(fresh_database, now)
    monkeypatch.setattr(facts, "locking", lambda *_: ("SELECT 1", {}))
    decided = Barrier(_ASKERS)

    def asking(ask: Ask) -> Callable[[], TouchState]:
        def act() -> TouchState:
            with fresh_database.transaction() as session:
                touch = gate.ask(session, ask, now=now)
                decided.wait(_SECONDS)
                return touch.state

        return act

    states = at_once([asking(ask) for ask in asks])

    assert states == [TouchState.RESERVED] * _ASKERS


def test_one_key_asked_by_many_at_once_is_one_touch(
    fresh_database: Database, now: datetime
) -> None:
    ask = asks_for_one_member(fresh_database, now)[0]

    def act() -> int:
        with fresh_database.transaction() as session:
            return gate.ask(session, ask, now=now).id

    ids = at_once([act] * _ASKERS)

    assert len(set(ids)) == 1


def test_one_key_for_two_members_at_once_is_refused_to_one(
    fresh_database: Database, now: datetime
) -> None:
    with fresh_database.transaction() as session:
        people = [a_member(session, now=now) for _ in range(2)]
        asks = [an_ask(session, person, key="one key") for person in people]

    def asking(ask: Ask) -> Callable[[], bool]:
        def act() -> bool:
            try:
                with fresh_database.transaction() as session:
                    gate.ask(session, ask, now=now)
            except KeyReused:
                return False
            return True

        return act

    assert sorted(at_once([asking(ask) for ask in asks])) == [False, True]


def test_one_of_many_workers_at_once_passes_the_fence(
    fresh_database: Database, now: datetime
) -> None:
    ask = asks_for_one_member(fresh_database, now)[0]
    with fresh_database.transaction() as session:
        touch_id = gate.ask(session, ask, now=now).id

    def act() -> bool:
        with fresh_database.transaction() as session:
            return gate.fence(session, touch_id, now=now).refusal is None

    passed = at_once([act] * _ASKERS)

    assert sum(passed) == 1


def test_batches_in_opposite_order_do_not_wait_for_each_other_for_ever(
    fresh_database: Database, now: datetime
) -> None:
    with fresh_database.transaction() as session:
        people = [a_member(session, now=now) for _ in range(20)]
        batches = [
            [an_ask(session, person) for person in order]
            for order in (people, people[::-1], people, people[::-1])
        ]

    def asking(batch: list[Ask]) -> Callable[[], int]:
        def act() -> int:
            with fresh_database.transaction() as session:
                touches = gate.ask_many(session, batch, now=now)
                return sum(touch.state is TouchState.RESERVED for touch in touches)

        return act

    reserved = at_once([asking(batch) for batch in batches])

    assert sum(reserved) == len(people)


def test_writers_about_one_member_who_then_ask_do_not_wait_for_each_other_for_ever(
    fresh_database: Database, now: datetime
) -> None:
    """A row about the member locks the member's key; the gate's lock must leave it free."""
    ask, other = asks_for_one_member(fresh_database, now)[:2]
    written = Barrier(2)

    def writing(wish: Ask) -> Callable[[], TouchState]:
        def act() -> TouchState:
            with fresh_database.transaction() as session:
                a_grant(session, wish.member_id, now=now)
                written.wait(_SECONDS)
                return gate.ask(session, wish, now=now).state

        return act

    states = at_once([writing(ask), writing(other)])

    assert sorted(states) == sorted([TouchState.RESERVED, TouchState.ASKED])


def test_sweeper_and_worker_at_a_lease_end_never_both_have_the_touch(
    fresh_database: Database, now: datetime
) -> None:
    ask = asks_for_one_member(fresh_database, now)[0]
    with fresh_database.transaction() as session:
        touch = gate.ask(session, ask, now=now)
        lease_end = touch.lease_until
    assert lease_end is not None

    def fence() -> bool:
        with fresh_database.transaction() as session:
            return gate.fence(session, touch.id, now=lease_end).refusal is None

    def sweep() -> bool:
        with fresh_database.transaction() as session:
            return gate.free_leases(session, lease_end) == 1

    at_once([fence, sweep, sweep])

    with Session(fresh_database.engine) as session:
        left = session.exec(select(Touch)).one()
        assert (left.state, left.retry_at) == (TouchState.ASKED, lease_end)
