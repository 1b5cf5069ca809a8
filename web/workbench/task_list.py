"""The guide's list of care tasks: open ones first, by deadline and then by the member's value."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Select, and_, case, exists, func, literal, or_, tuple_
from sqlalchemy import select as wide_select
from sqlmodel import Session, col, select

from fatigue.quiet_hours import span
from fatigue.rules import Period
from store.attributions import Attribution
from store.campaigns import REACHED, WITH_GUIDE, Assignment, Campaign, CareTask, TaskState
from store.members import Member, mask
from store.orders import MemberFacts
from store.touches import Touch, TouchState

PAGE_SIZE = 50
_IN_HAND = WITH_GUIDE | {TaskState.SENDING}
_TO_DO = _IN_HAND | REACHED | {TaskState.SKIPPED, TaskState.FAILED}

_RANK = case(
    (col(CareTask.state).in_(WITH_GUIDE), 0),
    (col(CareTask.state) == TaskState.SENDING, 1),
    else_=2,
)
_VALUE = func.coalesce(col(MemberFacts.spent_365_fen), 0)
_KEYS: tuple[Any, ...] = (_RANK, col(CareTask.deadline_at), -_VALUE, col(CareTask.id))
_SOLD = (
    select(func.coalesce(func.sum(Attribution.amount_fen), 0))
    .where(Attribution.care_task_id == CareTask.id)
    .correlate(CareTask)
    .scalar_subquery()
)
_LATER = and_(
    col(CareTask.state) == TaskState.SENDING,
    exists().where(col(Touch.care_task_id) == CareTask.id, col(Touch.state) == TouchState.ASKED),
)


@dataclass(frozen=True, slots=True)
class TaskRow:
    """One line of the list; money in fen, `sold_fen` is what the care of this task has sold.

    `is_later`: the guide has sent it, and the system keeps it until the gate lets it go.
    """

    token: str
    member: str
    mobile: str
    reason: str
    campaign: str
    state: TaskState
    is_open: bool
    is_later: bool
    is_edited: bool
    deadline_at: datetime
    value_fen: int
    sold_fen: int


@dataclass(frozen=True, slots=True)
class TaskPage:
    """Up to 50 lines, and the token after which the next page begins."""

    rows: list[TaskRow]
    after: str | None


@dataclass(frozen=True, slots=True)
class Day:
    """How far the guide is today: `sent` of `tasks`, who is left in peace, and what was sold."""

    tasks: int
    open: int
    sent: int
    in_peace: int
    orders: int
    sold_fen: int


@dataclass(frozen=True, slots=True)
class Share:
    """What a card is about: one campaign, until its deadline."""

    token: str
    campaign: str
    deadline_at: datetime


@dataclass(frozen=True, slots=True)
class Scope:
    """Which tasks of a guide are listed: those of today, or those of one assignment."""

    guide_id: int
    since: datetime
    now: datetime
    assignment_id: int | None = None
    is_put_off: bool = False

    def clauses(self) -> list[ColumnElement[bool]]:
        """The conditions of the list; what waits for later is left out until then."""
        own = col(CareTask.guide_id) == self.guide_id
        waits = col(CareTask.waits_until)
        if self.is_put_off:
            return [own, waits > self.now, col(CareTask.state).in_(WITH_GUIDE)]
        begun = or_(waits.is_(None), waits <= self.now)
        if self.assignment_id is not None:
            return [own, begun, col(CareTask.assignment_id) == self.assignment_id]
        in_hand = col(CareTask.state).in_(_IN_HAND)
        return [own, begun, or_(in_hand, col(CareTask.moved_at) >= self.since)]


def today(guide_id: int, *, zone: ZoneInfo, now: datetime) -> Scope:
    """What is in the guide's hands, and what moved since midnight."""
    midnight, _, _ = span(Period.DAY, now, zone)
    return Scope(guide_id, midnight, now)


def put_off(guide_id: int, *, now: datetime) -> Scope:
    """What the guide, or a full day, has left for later."""
    return Scope(guide_id, now, now, is_put_off=True)


def of_assignment(assignment: Assignment, *, zone: ZoneInfo, now: datetime) -> Scope:
    """The whole share of the guide in one campaign."""
    midnight, _, _ = span(Period.DAY, now, zone)
    return Scope(assignment.guide_id, midnight, now, assignment.id)


def share(session: Session, assignment: Assignment) -> Share:
    """The head of the page that a card opens."""
    campaign = session.get_one(Campaign, assignment.campaign_id)
    return Share(assignment.token, campaign.name, campaign.deadline_at)


def read(session: Session, scope: Scope, after: str | None) -> TaskPage:
    """One page of the list; an unknown `after` begins at the top."""
    query: Select[Any] = (
        wide_select(
            CareTask,
            col(Member.name),
            col(Member.mobile),
            col(Campaign.name),
            _VALUE,
            _SOLD,
            _LATER,
        )
        .join(Member, col(Member.id) == CareTask.member_id)
        .join(Campaign, col(Campaign.id) == CareTask.campaign_id)
        .join(MemberFacts, col(MemberFacts.member_id) == CareTask.member_id, isouter=True)
        .where(*scope.clauses())
    )
    anchor = _anchor(session, scope, after)
    if anchor is not None:
        query = query.where(tuple_(*_KEYS) > anchor)
    found = session.execute(query.order_by(*_KEYS).limit(PAGE_SIZE + 1)).all()
    rows = [_row(one) for one in found[:PAGE_SIZE]]
    return TaskPage(rows, rows[-1].token if len(found) > PAGE_SIZE else None)


def _anchor(session: Session, scope: Scope, after: str | None) -> Any:
    """The place of the task `after` in the order of the list."""
    if not after:
        return None
    place = session.execute(
        wide_select(*_KEYS)
        .select_from(CareTask)
        .join(MemberFacts, col(MemberFacts.member_id) == CareTask.member_id, isouter=True)
        .where(*scope.clauses(), col(CareTask.token) == after)
    ).first()
    return tuple_(*(literal(value) for value in place)) if place else None


def _row(found: Any) -> TaskRow:
    task, member, mobile, campaign, value, sold, is_later = found
    return TaskRow(
        token=task.token,
        member=member,
        mobile=mask(mobile),
        reason=task.reason,
        campaign=campaign,
        state=task.state,
        is_open=task.state in WITH_GUIDE,
        is_later=is_later,
        is_edited=task.edited_text is not None,
        deadline_at=task.deadline_at,
        value_fen=int(value),
        sold_fen=int(sold),
    )


def day(session: Session, scope: Scope) -> Day:
    """The figures above the list."""
    query = select(CareTask.state, func.count()).where(*scope.clauses()).group_by(CareTask.state)
    states = Counter(dict(session.exec(query).all()))
    orders, sold = session.exec(_sales(scope)).one()
    return Day(
        tasks=sum(states[state] for state in _TO_DO),
        open=sum(states[state] for state in WITH_GUIDE),
        sent=sum(states[state] for state in REACHED | {TaskState.SENDING}),
        in_peace=states[TaskState.SUPPRESSED],
        orders=orders,
        sold_fen=int(sold),
    )


def _sales(scope: Scope) -> Any:
    """Orders and fen credited to the guide since midnight, or through the assignment."""
    query = select(func.count(), func.coalesce(func.sum(Attribution.amount_fen), 0)).where(
        Attribution.guide_id == scope.guide_id
    )
    if scope.assignment_id is None:
        return query.where(Attribution.attributed_at >= scope.since)
    return query.join(CareTask, col(CareTask.id) == Attribution.care_task_id).where(
        CareTask.assignment_id == scope.assignment_id
    )


def next_open(session: Session, scope: Scope) -> str | None:
    """The token of the first task that still waits for the guide."""
    query = (
        select(CareTask.token)
        .join(MemberFacts, col(MemberFacts.member_id) == CareTask.member_id, isouter=True)
        .where(*scope.clauses(), col(CareTask.state).in_(WITH_GUIDE))
        .order_by(*_KEYS)
        .limit(1)
    )
    return session.exec(query).first()
