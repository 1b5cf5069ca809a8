"""A guide leaves: members, tasks and contacts go on to a successor, or are shared out in the shop.

In chunks, each its own transaction, so that two thousand customers stop nobody; a crash goes on
where it stopped, for what was handed over is not the guide's any more. Talks and codes follow by
themselves: whoever tends them looks for guides who have left.
"""

from collections import Counter
from collections.abc import Collection
from datetime import datetime

from sqlalchemy import func
from sqlmodel import Session, col, select

from guide_tasks import duty, tasks
from store import departures, members, relations, transfers
from store.contacts import Contact
from store.db import Database
from store.departures import Departure
from store.members import Identity, Member
from store.organisation import Guide, GuideStatus
from store.relations import Ownership

_CHUNK = 100
# Why a task lies with another guide now.
_WHY = "left"


def hand_over(database: Database, departure_id: int, *, now: datetime) -> None:
    """Hand over all that still is the guide's; a second worker with the same does nothing."""
    while True:
        with database.transaction() as session:
            departure = departures.lock_open(session, departure_id)
            if departure is None or not _chunk(session, departure, now):
                return


def _chunk(session: Session, departure: Departure, now: datetime) -> bool:
    """Some members, then some tasks, then contacts; gives whether there may be more."""
    owned = departures.owned(session, departure.guide_id, limit=_CHUNK)
    for member_id in owned:
        _give_member(session, departure, member_id, now)
    if owned:
        return True
    moved = _give_tasks(session, departure, now)
    departure.tasks += moved
    if moved:
        return True
    if _plan_transfers(session, departure, now):
        return True
    departure.finished_at = now
    return False


def _give_member(session: Session, departure: Departure, member_id: int, now: datetime) -> None:
    """Make the successor the member's own guide; with nobody there, the member has none."""
    member = members.lock(session, member_id)
    heir = _heir(session, departure, member.id)
    if heir is not None:
        relations.own(session, member.id, heir.id, now=now)
        departure.members += 1
        return
    relations.disown(session, member.id, departure.guide_id, now=now)
    departure.nobody += 1


def _give_tasks(session: Session, departure: Departure, now: datetime) -> int:
    heir = _successor(session, departure)
    return tasks.hand_over(session, departure.guide_id, to=heir, why=_WHY, now=now)


def _plan_transfers(session: Session, departure: Departure, now: datetime) -> bool:
    """Plan where each contact goes: to the member's own guide of now. WeCom does it later."""
    found = departures.unplanned(session, departure, limit=_CHUNK)
    for contact_id in found:
        contact = session.get_one(Contact, contact_id)
        identity = session.get_one(Identity, contact.identity_id)
        member = session.get_one(Member, identity.member_id)
        own = relations.guide_of(session, member.id)
        taker = own or _heir(session, departure, member.id)
        if taker is not None:
            transfers.plan(session, contact, taker.id, has_left=True, now=now)
            departure.contacts += 1
    departure.last_contact_id = found[-1] if found else departure.last_contact_id
    return bool(found)


def _successor(session: Session, departure: Departure) -> Guide | None:
    """The named successor, while in post."""
    if departure.successor_id is None:
        return None
    guide = session.get_one(Guide, departure.successor_id)
    return guide if guide.status is GuideStatus.ACTIVE else None


def _heir(session: Session, departure: Departure, member_id: int) -> Guide | None:
    """Who takes a member: the successor, else who would answer for them, the least burdened."""
    named = _successor(session, departure)
    if named is not None:
        return named
    return duty.on_duty(
        session, member_id, load=lambda ids: owned_by(session, ids), besides={departure.guide_id}
    )


def owned_by(session: Session, guide_ids: Collection[int]) -> Counter[int]:
    """How many members are each guide's own."""
    query = select(Ownership.guide_id, func.count()).where(
        col(Ownership.guide_id).in_(guide_ids), col(Ownership.until).is_(None)
    )
    return Counter(dict(session.exec(query.group_by(col(Ownership.guide_id))).all()))
