"""What a manager sees of the team: how far everybody is, and what lies with one of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import func, literal, tuple_
from sqlmodel import Session, col, select

from fatigue.quiet_hours import span
from fatigue.rules import Period
from store import visibility
from store.attributions import Attribution
from store.campaigns import WITH_GUIDE, CareTask
from store.errors import NotFound
from store.leaves import Leave
from store.members import Member, mask
from store.organisation import Guide, GuideStatus, Shop

PAGE_SIZE = 50
_DUE_WITHIN = timedelta(hours=24)
_SALES_OF = timedelta(days=30)
_KEYS = (col(Shop.name), col(Guide.id))


@dataclass(frozen=True, slots=True)
class Mate:
    """One of the team; `sold_fen` is of thirty days, `back_at` the end of a leave."""

    userid: str
    name: str
    shop: str
    open: int
    due: int
    sent: int
    sold_fen: int
    back_at: datetime | None


@dataclass(frozen=True, slots=True)
class TeamPage:
    """Up to 50 people by shop, and the userid after which the next page begins."""

    rows: list[Mate]
    after: str | None


@dataclass(frozen=True, slots=True)
class OpenTask:
    """A task in somebody's hands."""

    token: str
    member: str
    mobile: str
    reason: str
    deadline_at: datetime


@dataclass(frozen=True, slots=True)
class Taker:
    """A colleague of the same shop who could take over, and what lies there already."""

    userid: str
    name: str
    open: int


def team(
    session: Session, reader: Guide, after: str | None, *, zone: ZoneInfo, now: datetime
) -> TeamPage:
    """One page of the people whose work the reader sees; an unknown `after` begins at the top."""
    query = _people(zone, now).where(col(Guide.id).in_(visibility.guides(reader.id)))
    anchor = _anchor(session, reader, after)
    if anchor is not None:
        query = query.where(tuple_(*_KEYS) > anchor)
    found = session.execute(query.order_by(*_KEYS).limit(PAGE_SIZE + 1)).all()
    rows = [Mate(*row) for row in found[:PAGE_SIZE]]
    return TeamPage(rows, rows[-1].userid if len(found) > PAGE_SIZE else None)


def mate(session: Session, reader: Guide, userid: str, *, zone: ZoneInfo, now: datetime) -> Mate:
    """One of them."""
    query = _people(zone, now).where(col(Guide.id) == guide_of(session, reader, userid).id)
    return Mate(*session.execute(query).one())


def guide_of(session: Session, reader: Guide, userid: str) -> Guide:
    """The guide in post whom the reader leads."""
    query = select(Guide).where(Guide.userid == userid, Guide.status == GuideStatus.ACTIVE)
    found = session.exec(query.where(col(Guide.id).in_(visibility.guides(reader.id)))).first()
    if found is None:
        raise NotFound("There is no such guide in this team.")
    return found


def open_tasks(session: Session, reader: Guide, guide: Guide) -> Sequence[OpenTask]:
    """The first fifty tasks in a guide's hands, the first due on top."""
    query = (
        select(CareTask, Member.name, Member.mobile)
        .join(Member, col(Member.id) == CareTask.member_id)
        .where(CareTask.guide_id == guide.id, visibility.sees_task(reader.id))
        .where(col(CareTask.state).in_(WITH_GUIDE))
        .order_by(col(CareTask.deadline_at), col(CareTask.id))
        .limit(PAGE_SIZE)
    )
    return [
        OpenTask(task.token, name, mask(mobile), task.reason, task.deadline_at)
        for task, name, mobile in session.exec(query).all()
    ]


def takers(session: Session, reader: Guide, guide: Guide, *, now: datetime) -> list[Taker]:
    """Colleagues of the guide who are at work, the least busy first."""
    away = select(Leave.guide_id).where(Leave.since <= now, Leave.until > now)
    busy = _count(col(CareTask.state).in_(WITH_GUIDE))
    query = (
        select(Guide.userid, Guide.name, busy)
        .where(Guide.shop_id == guide.shop_id, Guide.id != guide.id)
        .where(Guide.status == GuideStatus.ACTIVE, col(Guide.id).not_in(away))
        .where(col(Guide.id).in_(visibility.guides(reader.id)))
        .order_by(busy, col(Guide.id))
        .limit(PAGE_SIZE)
    )
    return [Taker(*row) for row in session.exec(query).all()]


def _people(zone: ZoneInfo, now: datetime) -> Any:
    midnight, _, _ = span(Period.DAY, now, zone)
    is_open = col(CareTask.state).in_(WITH_GUIDE)
    sold = (
        select(func.coalesce(func.sum(Attribution.amount_fen), 0))
        .where(Attribution.guide_id == Guide.id, Attribution.attributed_at >= now - _SALES_OF)
        .correlate(Guide)
        .scalar_subquery()
    )
    back_at = (
        select(func.max(Leave.until))
        .where(Leave.guide_id == Guide.id, Leave.since <= now, Leave.until > now)
        .correlate(Guide)
        .scalar_subquery()
    )
    return (
        select(  # type: ignore[call-overload]  # sqlmodel types no more than four columns
            Guide.userid,
            Guide.name,
            col(Shop.name),
            _count(is_open),
            _count(is_open & (col(CareTask.deadline_at) <= now + _DUE_WITHIN)),
            _count(col(CareTask.sent_at) >= midnight),
            sold,
            back_at,
        )
        .join(Shop, col(Shop.id) == Guide.shop_id)
        .where(Guide.status == GuideStatus.ACTIVE)
    )


def _count(condition: Any) -> Any:
    return (
        select(func.count())
        .select_from(CareTask)
        .where(CareTask.guide_id == Guide.id, condition)
        .correlate(Guide)
        .scalar_subquery()
    )


def _anchor(session: Session, reader: Guide, after: str | None) -> Any:
    if not after:
        return None
    place = session.exec(
        select(*_KEYS)
        .select_from(Guide)
        .join(Shop, col(Shop.id) == Guide.shop_id)
        .where(Guide.userid == after, col(Guide.id).in_(visibility.guides(reader.id)))
    ).first()
    return tuple_(*(literal(value) for value in place)) if place else None
