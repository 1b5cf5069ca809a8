"""Leave: spans in which a guide is in post and away, so that others look after the customers."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import CheckConstraint
from sqlmodel import Session, SQLModel, col, select

from store.columns import big_key, link
from store.errors import Refusal


class Leave(SQLModel, table=True):
    """A guide is away from `since` until `until`."""

    __tablename__ = "leaves"
    __table_args__ = (CheckConstraint("since < until", name="ck_leaves_order"),)
    id: int = big_key()
    guide_id: int = link("guides.id")
    since: datetime
    until: datetime


class LeaveEndsFirst(Refusal):
    """A leave that is over before it begins."""

    def __init__(self, since: datetime, until: datetime) -> None:
        self.since, self.until = since, until
        super().__init__("until: a leave ends after it begins.")


def grant(session: Session, guide_id: int, *, since: datetime, until: datetime) -> Leave:
    """Write down that a guide will be away."""
    if until <= since:
        raise LeaveEndsFirst(since, until)
    leave = Leave(guide_id=guide_id, since=since, until=until)
    session.add(leave)
    session.flush()
    return leave


def away(session: Session, guide_ids: Collection[int], *, now: datetime) -> set[int]:
    """Those of the guides who are on leave at this moment."""
    query = select(Leave.guide_id).where(
        col(Leave.guide_id).in_(guide_ids), Leave.since <= now, Leave.until > now
    )
    return set(session.exec(query).all())
