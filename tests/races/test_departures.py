"""Races about who leaves, each beside its twin without the lock: said, handed over, passed on.

Where the record's own promise stands behind a lock, the twin shows the loser break on it. What
else races with a departure stands beside its subject: a task in `test_hands`, a customer who is
just given in `test_people`.
"""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select

from guide_tasks import departures as engine
from guide_tasks import next_in_line
from store import contacts, departures, members, relations, transfers
from store.contacts import Contact
from store.db import Database
from store.departures import Departure
from store.members import IdentityChannel, Member
from store.organisation import Guide
from store.relations import Ownership
from store.transfers import OPEN, Transfer, TransferState
from tests.builders import NOW, a_guide, a_member, a_shop, an_identity
from tests.races.racing import Act, race, waiting, winners

pytestmark = pytest.mark.race

_ROUNDS = range(3)
_CUSTOMERS = 3


class Shop:
    """Wang, whose three customers are her contacts in WeCom, too; Sun is the only colleague."""

    def __init__(self, database: Database) -> None:
        self.database = database
        with database.transaction() as session:
            shop = a_shop(session)
            self.wang_id, self.sun_id = (a_guide(session, shop=shop).id for _ in range(2))
            found = [self.a_customer(session, shop.id) for _ in range(_CUSTOMERS)]
            self.contact_id = found[0].id

    def a_customer(self, session: Session, shop_id: int) -> Contact:
        """One of Wang's."""
        li = a_member(session, shop_id=shop_id)
        relations.own(session, li.id, self.wang_id, now=NOW)
        identity = an_identity(session, li, channel=IdentityChannel.WECOM, account="ww1")
        contact = contacts.of_pair(session, self.wang_id, identity)
        contacts.met(session, contact, identity, at=NOW)
        return contact

    def leave(self, session: Session) -> int:
        """Somebody says that Wang leaves."""
        return departures.begin(session, self.wang_id, successor_id=None, actor="hq", now=NOW).id

    def left(self) -> int:
        """The departure, before anything was handed over."""
        with self.database.transaction() as session:
            return self.leave(session)

    def a_full_transfer(self) -> int:
        """Sun was asked to take over the first customer, and has too many; nobody else is there."""
        with self.database.transaction() as session:
            contact = session.get_one(Contact, self.contact_id)
            transfer_id = transfers.plan(session, contact, self.sun_id, has_left=True, now=NOW)
            row = session.get_one(Transfer, transfer_id)
            transfers.move(row, TransferState.ASKING, due_at=NOW, now=NOW)
            transfers.move(row, TransferState.FULL, failure="taker_full", now=NOW)
            return row.id


def handing_over(departure_id: int) -> Act:
    """A worker's turn at a departure: how many members it gave on, none when another has it."""

    def act(session: Session) -> int | None:
        departure = departures.lock_open(session, departure_id)
        if departure is None:
            return None
        before = departure.members
        engine._chunk(session, departure, NOW)
        return departure.members - before

    return act


def passing_on(transfer_id: int) -> Act:
    """A worker looks for the next in line: of whom a customer is left with nobody, if so."""
    return lambda session: next_in_line._pass_on(session, transfer_id, NOW)


def unlocked(kind: type[Any]) -> Callable[[Session, int], Any]:
    """A read of one row that locks nothing."""
    return lambda session, row_id: session.get_one(kind, row_id)


@pytest.mark.parametrize("round_number", _ROUNDS)
def test_a_departure_said_by_many_at_once_is_one(
    fresh_database: Database, round_number: int
) -> None:
    del round_number
    shop = Shop(fresh_database)

    found = race(fresh_database, [shop.leave] * 3)

    assert len(winners(found)) == 3
    assert len(set(found)) == 1


def test_without_the_lock_each_of_them_begins_a_departure(
    fresh_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index keeps one; whoever came second is shown a fault instead of the departure."""
    shop = Shop(fresh_database)
    monkeypatch.setattr(departures, "_locked", waiting(2, unlocked(Guide)))

    found = race(fresh_database, [shop.leave] * 2)

    assert len(winners(found)) == 1
    assert [type(one) for one in found if isinstance(one, Exception)] == [IntegrityError]


@pytest.mark.parametrize("round_number", _ROUNDS)
def test_each_member_is_handed_over_by_one_worker(
    fresh_database: Database, round_number: int
) -> None:
    del round_number
    shop = Shop(fresh_database)
    departure_id = shop.left()

    found = race(fresh_database, [handing_over(departure_id)] * 3)

    assert sum(one or 0 for one in found) == _CUSTOMERS
    assert _owned(fresh_database) == [shop.sun_id] * _CUSTOMERS


def test_without_the_lock_both_workers_hand_over_every_member(
    fresh_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop(fresh_database)
    departure_id = shop.left()
    monkeypatch.setattr(departures, "lock_open", unlocked(Departure))
    monkeypatch.setattr(departures, "owned", waiting(2, departures.owned))

    found = race(fresh_database, [handing_over(departure_id)] * 2)

    assert found == [_CUSTOMERS] * 2


@pytest.mark.parametrize("round_number", _ROUNDS)
def test_a_customer_whom_nobody_can_take_is_told_of_by_one_worker(
    fresh_database: Database, round_number: int
) -> None:
    del round_number
    shop = Shop(fresh_database)
    transfer_id = shop.a_full_transfer()

    found = race(fresh_database, [passing_on(transfer_id)] * 3)

    assert sorted(found, key=str) == [shop.wang_id, None, None]


def test_without_the_locks_both_workers_tell_of_the_customer(
    fresh_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop(fresh_database)
    transfer_id = shop.a_full_transfer()
    monkeypatch.setattr(members, "lock", unlocked(Member))
    monkeypatch.setattr(transfers, "lock_full", waiting(2, unlocked(Transfer)))

    found = race(fresh_database, [passing_on(transfer_id)] * 2)

    assert found == [shop.wang_id] * 2


def test_without_the_index_in_one_statement_two_plans_break_for_one_worker(
    fresh_database: Database,
) -> None:
    """The twin of `test_customer_is_planned_to_move_once`: looked up first, and then written."""
    shop = Shop(fresh_database)
    looked_up = waiting(2, _under_way)

    def plan(session: Session) -> int:
        assert looked_up(session, shop.contact_id) is None
        row = Transfer(
            contact_id=shop.contact_id,
            giver_id=shop.wang_id,
            taker_id=shop.sun_id,
            planned_at=NOW,
            due_at=NOW,
        )
        session.add(row)
        session.flush()
        return row.id

    found = race(fresh_database, [plan] * 2)

    assert len(winners(found)) == 1
    assert [type(one) for one in found if isinstance(one, Exception)] == [IntegrityError]


@pytest.mark.parametrize("round_number", _ROUNDS)
def test_a_guide_who_leaves_takes_nobody_over_from_one_who_leaves(
    fresh_database: Database, round_number: int
) -> None:
    """Sun leaves while she is given Wang's customers; the lock is that of `test_people`."""
    del round_number
    shop = Shop(fresh_database)
    departure_id = shop.left()

    def sun_leaves(session: Session) -> int:
        return departures.begin(session, shop.sun_id, successor_id=None, actor="hq", now=NOW).id

    race(fresh_database, [handing_over(departure_id), sun_leaves])
    with fresh_database.transaction() as session:
        waiting_ones = session.exec(departures.waiting()).all()
    for one in waiting_ones:
        engine.hand_over(fresh_database, one, now=NOW)

    assert _owned(fresh_database) == []


def _under_way(session: Session, contact_id: int) -> int | None:
    query = select(Transfer.id).where(Transfer.contact_id == contact_id)
    return session.exec(query.where(col(Transfer.state).in_(OPEN))).first()


def _owned(database: Database) -> list[int]:
    """The guides whom members have, one for each."""
    with database.transaction() as session:
        query = select(Ownership.guide_id).where(col(Ownership.until).is_(None))
        return list(session.exec(query).all())
