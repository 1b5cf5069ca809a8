"""Races over guides and customers: a departure against who is just given, one contact, one step."""

from datetime import timedelta

import pytest
from sqlmodel import Session, col, select

from store import contacts, departures, inbound, members, relations, sync_runs, transfers
from store.accounts import Account, Platform
from store.contacts import Contact, EndedBy
from store.db import Database
from store.inbound import Heard, InboundMessage
from store.members import Identity, IdentityChannel
from store.organisation import Guide, GuideStatus
from store.relations import Friendship, GuideNotInPost, Ownership
from store.sync_runs import SyncKind, SyncRun
from tests.bot.builders import an_account
from tests.builders import NOW, a_brand, a_guide, a_member, an_identity
from tests.races.racing import race, waiting, winners

pytestmark = pytest.mark.race
LATER = NOW + timedelta(minutes=1)


@pytest.fixture
def pair(database: Database) -> tuple[int, int, int]:
    """A member, a guide, and the member's identity in WeCom."""
    with database.transaction() as session:
        li, wang = a_member(session), a_guide(session)
        identity = an_identity(session, li, channel=IdentityChannel.WECOM, account="ww1")
        return li.id, wang.id, identity.id


def _owned(database: Database, guide_id: int) -> int:
    with database.transaction() as session:
        query = select(Ownership).where(
            Ownership.guide_id == guide_id, col(Ownership.until).is_(None)
        )
        return len(session.exec(query).all())


def _met(session: Session, guide_id: int, identity_id: int) -> tuple[Identity, Contact]:
    identity = session.get_one(Identity, identity_id)
    return identity, contacts.of_pair(session, guide_id, identity)


def _hand_over(session: Session, guide_id: int) -> None:
    """What a departure does right after it has begun, in a transaction of its own."""
    for member_id in departures.owned(session, guide_id, limit=10):
        relations.disown(session, member_id, guide_id, now=LATER)


def test_nobody_is_left_with_a_guide_who_leaves_at_the_same_time(
    database: Database, pair: tuple[int, int, int]
) -> None:
    member_id, guide_id, _ = pair

    outcomes = race(
        database,
        [
            lambda session: departures.begin(
                session, guide_id, successor_id=None, actor="hq", now=NOW
            ),
            lambda session: relations.own(session, member_id, guide_id, now=NOW),
        ],
    )
    with database.transaction() as session:
        _hand_over(session, guide_id)

    assert _owned(database, guide_id) == 0
    assert all(
        isinstance(one, departures.Departure | Ownership | GuideNotInPost) for one in outcomes
    )


def test_somebody_is_left_with_a_guide_who_leaves_without_the_lock(
    database: Database, pair: tuple[int, int, int]
) -> None:
    member_id, guide_id, _ = pair
    # The status is read before the departure, the row is written after it.
    with database.transaction() as session:
        member = members.lock(session, member_id)
        guide = session.get_one(Guide, guide_id)
        assert guide.status is GuideStatus.ACTIVE
        session.expunge(guide)

    with database.transaction() as session:
        departures.begin(session, guide_id, successor_id=None, actor="hq", now=NOW)
    with database.transaction() as session:
        _hand_over(session, guide_id)
    with database.transaction() as session:
        session.add(Ownership(member_id=member.id, guide_id=guide_id, since=NOW))

    assert _owned(database, guide_id) == 1


def test_two_departures_of_one_guide_at_once_are_one(
    database: Database, pair: tuple[int, int, int]
) -> None:
    _, guide_id, _ = pair

    def begin(session: Session) -> int:
        return departures.begin(session, guide_id, successor_id=None, actor="hq", now=NOW).id

    assert len(set(race(database, [begin] * 4))) == 1


def test_contact_made_by_two_workers_at_once_is_one(
    database: Database, pair: tuple[int, int, int]
) -> None:
    _, guide_id, identity_id = pair

    def meet(session: Session) -> int:
        identity, contact = _met(session, guide_id, identity_id)
        contacts.met(session, contact, identity, at=NOW)
        return contact.id

    assert len(set(race(database, [meet] * 4))) == 1
    with database.transaction() as session:
        assert len(session.exec(select(Friendship)).all()) == 1


def test_end_and_beginning_heard_at_once_leave_the_later_one(
    database: Database, pair: tuple[int, int, int]
) -> None:
    _, guide_id, identity_id = pair

    def met(session: Session) -> None:
        identity, contact = _met(session, guide_id, identity_id)
        contacts.met(session, contact, identity, at=NOW)

    def ended(session: Session) -> None:
        identity, contact = _met(session, guide_id, identity_id)
        contacts.ended(session, contact, identity, by=EndedBy.CUSTOMER, at=LATER)

    race(database, [met, ended, met, ended])

    with database.transaction() as session:
        assert session.exec(select(Contact.ended_by)).one() is EndedBy.CUSTOMER
        assert session.exec(select(Friendship).where(col(Friendship.until).is_(None))).all() == []


def test_contact_is_stepped_by_one_worker(database: Database, pair: tuple[int, int, int]) -> None:
    _, guide_id, identity_id = pair
    with database.transaction() as session:
        _, contact = _met(session, guide_id, identity_id)
        contacts.want(session, contact, now=NOW)
        contact_id = contact.id

    found = race(database, [lambda session: contacts.claim(session, contact_id, now=NOW)] * 4)

    assert len([one for one in found if one is not None]) == 1


def test_contact_is_stepped_by_many_without_the_lease(
    database: Database, pair: tuple[int, int, int]
) -> None:
    _, guide_id, identity_id = pair
    with database.transaction() as session:
        _, contact = _met(session, guide_id, identity_id)
        contacts.want(session, contact, now=NOW)
        contact_id = contact.id

    def unlocked(session: Session) -> bool:
        return session.get_one(Contact, contact_id).leased_until is None

    assert race(database, [waiting(2, unlocked)] * 2) == [True, True]


def test_customer_is_planned_to_move_once(database: Database, pair: tuple[int, int, int]) -> None:
    _, guide_id, identity_id = pair
    with database.transaction() as session:
        identity = session.get_one(Identity, identity_id)
        contact_id = contacts.of_pair(session, guide_id, identity).id
        taker_id = a_guide(session).id

    def plan(session: Session) -> int | None:
        contact = session.get_one(Contact, contact_id)
        return transfers.plan(session, contact, taker_id, has_left=True, now=NOW)

    assert len([one for one in winners(race(database, [plan] * 4)) if one is not None]) == 1


def test_callback_is_kept_once_and_taken_up_once(database: Database) -> None:
    account_id = _an_account(database)
    heard = Heard(account_id, "a" * 64, "sys", "change_external_contact", {})

    kept = race(database, [lambda session: inbound.keep(session, heard, now=NOW)] * 4)
    row_id = next(one for one in kept if one is not None)
    taken = race(database, [lambda session: inbound.take_up(session, row_id, now=NOW)] * 4)

    assert len([one for one in kept if one is not None]) == 1
    assert len([one for one in taken if isinstance(one, InboundMessage)]) == 1


def test_run_is_begun_once_and_claimed_by_one(database: Database) -> None:
    account_id = _an_account(database)

    def begin(session: Session) -> int | None:
        return sync_runs.begin(session, account_id, SyncKind.CONTACTS, now=NOW)

    begun = [one for one in race(database, [begin] * 4) if one is not None]
    claimed = race(database, [lambda session: sync_runs.claim(session, begun[0], now=NOW)] * 4)

    assert len(begun) == 1
    assert len([one for one in claimed if isinstance(one, SyncRun)]) == 1


def _an_account(database: Database) -> int:
    with database.transaction() as session:
        account: Account = an_account(session, a_brand(session), platform=Platform.WECOM, now=NOW)
        return account.id
