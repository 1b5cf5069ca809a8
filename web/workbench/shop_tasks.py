"""Tasks of the shop that anyone there may take, once; and how many wait aside of today's list."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, func, literal, or_, tuple_
from sqlmodel import Session, col, select

from store import visibility
from store.campaigns import WITH_GUIDE, CareTask
from store.members import Member, mask
from store.organisation import Guide

PAGE_SIZE = 50
_KEYS = (col(CareTask.deadline_at), col(CareTask.id))


@dataclass(frozen=True, slots=True)
class ShopTask:
    """One task to take; the words are seen by whoever takes it."""

    token: str
    member: str
    mobile: str
    reason: str
    deadline_at: datetime


@dataclass(frozen=True, slots=True)
class ShopPage:
    """Up to 50 tasks, the first due on top, and the token after which the next page begins."""

    rows: list[ShopTask]
    after: str | None


@dataclass(frozen=True, slots=True)
class Aside:
    """What is not on today's list: tasks put off, and tasks of the shop to take."""

    later: int
    shop: int


def aside(session: Session, guide: Guide, *, now: datetime) -> Aside:
    """Both figures in one query."""
    later = and_(col(CareTask.guide_id) == guide.id, col(CareTask.waits_until) > now)
    shop = and_(*_of_shop(guide, now))
    query = select(func.count().filter(later), func.count().filter(shop)).where(
        or_(later, shop), col(CareTask.state).in_(WITH_GUIDE)
    )
    return Aside(*session.exec(query).one())


def read(session: Session, guide: Guide, after: str | None, *, now: datetime) -> ShopPage:
    """One page; an unknown `after` begins at the top."""
    query = (
        select(CareTask, Member.name, Member.mobile)
        .join(Member, col(Member.id) == CareTask.member_id)
        .where(*_of_shop(guide, now), visibility.sees_task(guide.id))
    )
    anchor = session.exec(select(*_KEYS).where(CareTask.token == after)).first() if after else None
    if anchor is not None:
        query = query.where(tuple_(*_KEYS) > tuple_(*(literal(value) for value in anchor)))
    found = session.exec(query.order_by(*_KEYS).limit(PAGE_SIZE + 1)).all()
    rows = [
        ShopTask(task.token, name, mask(mobile), task.reason, task.deadline_at)
        for task, name, mobile in found[:PAGE_SIZE]
    ]
    return ShopPage(rows, rows[-1].token if len(found) > PAGE_SIZE else None)


def _of_shop(guide: Guide, now: datetime) -> list[ColumnElement[bool]]:
    return [
        col(CareTask.guide_id).is_(None),
        col(CareTask.shop_id) == guide.shop_id,
        col(CareTask.state).in_(WITH_GUIDE),
        col(CareTask.deadline_at) > now,
    ]
