"""Departures: a guide leaves, and everything of theirs goes on to others, step by step.

A departure is said by a person or shown by WeCom's list of customers without a guide. From its
first moment the guide sees nothing and nobody is given to them.
"""

from datetime import datetime, timedelta

from sqlalchemy import BigInteger, Index, func, text
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.sql.expression import SelectOfScalar

from store.audit import note
from store.columns import big_key, link
from store.db import Session
from store.errors import NotAllowed
from store.jobs import Job, after_commit
from store.organisation import Guide, GuideStatus, Shop

# So long it may take until we know that somebody has left.
_UNNOTICED = timedelta(days=7)


class Departure(SQLModel, table=True):
    """One guide's leaving. `successor_id` takes everything over, else the shop shares it out."""

    __tablename__ = "departures"
    __table_args__ = (
        Index(
            "uq_departures_open", "guide_id", unique=True, postgresql_where="finished_at IS NULL"
        ),
        Index("ix_departures_open", "id", postgresql_where="finished_at IS NULL"),
    )
    id: int = big_key()
    guide_id: int = link("guides.id")
    successor_id: int | None = link("guides.id", index=False, default=None, nullable=True)
    actor: str
    began_at: datetime
    # The members have been handed over; their contacts in WeCom follow at the platform's pace.
    finished_at: datetime | None = None
    members: int = 0
    tasks: int = 0
    contacts: int = 0
    nobody: int = 0
    # Contacts up to this one have been planned to go on.
    last_contact_id: int = Field(default=0, sa_type=BigInteger)


class BadSuccessor(NotAllowed):
    """Who is to take over is the same guide, has left, or belongs to another brand."""

    def __init__(self, userid: str) -> None:
        self.userid = userid
        super().__init__(f"The guide {userid!r} cannot take over: name one in post of this brand.")


class StillLeaving(NotAllowed):
    """What the guide had is still being handed over."""

    def __init__(self, userid: str) -> None:
        self.userid = userid
        super().__init__(f"What the guide {userid!r} had is being handed over; try again soon.")


def begin(
    session: Session, guide_id: int, *, successor_id: int | None, actor: str, now: datetime
) -> Departure:
    """The guide leaves now. A repeat gives the departure that is under way, or is over."""
    guide = _locked(session, guide_id)
    known = of_guide(session, guide_id)
    if known is not None and guide.status is GuideStatus.LEFT:
        return known
    if successor_id is not None:
        _check_successor(session, guide, successor_id)
    guide.status, guide.left_at = GuideStatus.LEFT, guide.left_at or now
    departure = Departure(guide_id=guide_id, successor_id=successor_id, actor=actor, began_at=now)
    session.add(departure)
    session.flush()
    note(session, actor, "guide.depart", subject=f"guide:{guide_id}", now=now)
    after_commit(session, Job.HAND_OVER, departure.id)
    return departure


def come_back(session: Session, guide_id: int, *, actor: str, now: datetime) -> Guide:
    """A guide who had left is in post again, with nothing of what was handed over.

    Refuses while it is still being handed over; who is in post is left alone.
    """
    guide = _locked(session, guide_id)
    if guide.status is GuideStatus.ACTIVE:
        return guide
    known = of_guide(session, guide_id)
    if known is not None and known.finished_at is None:
        raise StillLeaving(guide.userid)
    guide.status, guide.left_at = GuideStatus.ACTIVE, None
    session.flush()
    note(session, actor, "guide.come_back", subject=f"guide:{guide_id}", now=now)
    return guide


def gone_by(session: Session, actor: str) -> list[str]:
    """Userids of those who left by the word of `actor`, and are handed over."""
    newest = select(func.max(Departure.id)).group_by(col(Departure.guide_id))
    query = select(Guide.userid).join(Departure, col(Departure.guide_id) == Guide.id)
    query = query.where(Guide.status == GuideStatus.LEFT, col(Departure.id).in_(newest))
    query = query.where(Departure.actor == actor, col(Departure.finished_at).is_not(None))
    return list(session.exec(query).all())


def of_guide(session: Session, guide_id: int) -> Departure | None:
    """The newest departure of a guide."""
    query = select(Departure).where(Departure.guide_id == guide_id)
    return session.exec(query.order_by(col(Departure.id).desc()).limit(1)).one_or_none()


def lock_open(session: Session, departure_id: int) -> Departure | None:
    """A departure that is under way, locked; none when it is over or in another worker's hands."""
    query = select(Departure).where(
        Departure.id == departure_id, col(Departure.finished_at).is_(None)
    )
    query = query.with_for_update(skip_locked=True).execution_options(populate_existing=True)
    return session.exec(query).one_or_none()


def waiting() -> SelectOfScalar[int]:
    """Departures that are under way."""
    query = select(Departure.id).where(col(Departure.finished_at).is_(None))
    return query.order_by(col(Departure.id))


def owned(session: Session, guide_id: int, *, limit: int) -> list[int]:
    """Members who still belong to a guide, in the order of their ids."""
    found = session.execute(_OWNED, {"guide": guide_id, "limit": limit})
    return list(found.scalars())


def unplanned(session: Session, departure: Departure, *, limit: int) -> list[int]:
    """Contacts of the guide that have not been looked at yet, in the order of their ids.

    Once a guide has left, WeCom shows their contacts no more, also before we know of it. So those
    that it stopped to show of late count as well.
    """
    facts = {
        "guide": departure.guide_id,
        "after": departure.last_contact_id,
        "since": departure.began_at - _UNNOTICED,
        "limit": limit,
    }
    return list(session.execute(_UNPLANNED, facts).scalars())


def _locked(session: Session, guide_id: int) -> Guide:
    """The guide's row, which whoever gives somebody to them locks, too."""
    return session.get_one(Guide, guide_id, with_for_update=True, populate_existing=True)


def _check_successor(session: Session, guide: Guide, successor_id: int) -> None:
    successor = session.get_one(Guide, successor_id)
    brands = {session.get_one(Shop, one.shop_id).brand_id for one in (guide, successor)}
    is_in_post = successor.status is GuideStatus.ACTIVE
    if successor.id == guide.id or not is_in_post or len(brands) > 1:
        raise BadSuccessor(successor.userid)


_OWNED = text("""
SELECT member_id FROM ownerships WHERE guide_id = :guide AND until IS NULL
ORDER BY member_id LIMIT :limit
""")
_UNPLANNED = text("""
SELECT id FROM contacts
WHERE guide_id = :guide AND id > :after AND changed_at IS NOT NULL
AND (ended_by IS NULL OR (ended_by = 'platform' AND changed_at > :since))
ORDER BY id LIMIT :limit
""")
