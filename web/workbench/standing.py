"""How the sending of a care task stands, in the few kinds that a guide needs to tell apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from math import ceil

from sqlalchemy import func
from sqlmodel import Session, col, select

from content.rule_phrases import rule_phrase
from fatigue.gate import Forecast
from store.campaigns import REACHED, WITH_GUIDE, CareTask, TaskState
from store.members import Member
from store.touches import COUNTED, Category, Channel, Touch, TouchState

_DAY, _WEEK = timedelta(days=1), timedelta(days=7)


class Kind(StrEnum):
    """What became of a task, seen from the guide's chair."""

    OPEN = "open"
    PUT_OFF = "put_off"
    WAITING = "waiting"
    LATER = "later"
    # Sent in a chat, and the phone has not said whether it went.
    UNSURE = "unsure"
    SENT = "sent"
    FAILED = "failed"
    IN_PEACE = "in_peace"
    SKIPPED = "skipped"
    BY_BRAND = "by_brand"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Standing:
    """A task's kind; `at` is when a deferred message goes, or a task that was put off comes back.

    `why` is the first reason in words.
    """

    kind: Kind
    member: str
    is_edited: bool
    at: datetime | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Lately:
    """How often the member heard from us in the last `days`, their own business left aside."""

    days: int
    times: int


@dataclass(frozen=True, slots=True)
class Advice:
    """What the gate would say now: `at` is when it would go, `reasons` are words for the guide."""

    outcome: str
    at: datetime | None
    reasons: Sequence[str]
    lately: Lately | None = None


_KINDS: dict[TaskState, Kind] = {
    TaskState.PLANNED: Kind.OVER,
    TaskState.SUPPRESSED: Kind.IN_PEACE,
    TaskState.SENDING: Kind.WAITING,
    TaskState.SKIPPED: Kind.SKIPPED,
    TaskState.EXPIRED: Kind.OVER,
    TaskState.FELL_BACK: Kind.BY_BRAND,
    TaskState.FAILED: Kind.FAILED,
    **dict.fromkeys(WITH_GUIDE, Kind.OPEN),
    TaskState.SNOOZED: Kind.PUT_OFF,
    **dict.fromkeys(REACHED, Kind.SENT),
}


def of_task(session: Session, task: CareTask) -> Standing:
    """How `task` stands, with the newest touch that was made for it."""
    name = session.exec(select(Member.name).where(Member.id == task.member_id)).one()
    kind = _KINDS[task.state]
    touch = _last_touch(session, task) if kind in {Kind.WAITING, Kind.BY_BRAND} else None
    is_deferred = touch is not None and touch.state is TouchState.ASKED
    if kind is Kind.WAITING and touch is not None:
        kind = _in_hand(touch)
    return Standing(
        kind=kind,
        member=name,
        is_edited=task.edited_text is not None,
        at=task.waits_until if kind is Kind.PUT_OFF else _retry_at(touch if is_deferred else None),
        why=_why(task, touch),
    )


def _in_hand(touch: Touch) -> Kind:
    """What a task that is being sent waits for: its hour, the phone's word, or the guide's tap."""
    if touch.state is TouchState.ASKED:
        return Kind.LATER
    return Kind.UNSURE if touch.channel is Channel.WECOM_SIDEBAR else Kind.WAITING


def _retry_at(touch: Touch | None) -> datetime | None:
    return touch.retry_at if touch is not None else None


def advice_of(session: Session, forecast: Forecast, *, now: datetime) -> Advice:
    """The gate's forecast in words, each reason once, and how much the member heard lately."""
    reasons = dict.fromkeys(rule_phrase(found.rule) for found in forecast.violations)
    lately = _lately(session, forecast.member_id, now)
    return Advice(forecast.outcome, forecast.retry_at, list(reasons), lately)


def _lately(session: Session, member_id: int, now: datetime) -> Lately | None:
    """What was said within a week, told in the fewest days that hold all of it."""
    query = select(func.count(), func.min(Touch.counted_at)).where(
        Touch.member_id == member_id,
        col(Touch.state).in_(COUNTED),
        Touch.category != Category.SERVICE,
        col(Touch.counted_at) > now - _WEEK,
    )
    times, first = session.exec(query).one()
    return Lately(max(1, ceil((now - first) / _DAY)), times) if first is not None else None


def _last_touch(session: Session, task: CareTask) -> Touch | None:
    query = (
        select(Touch)
        .where(Touch.care_task_id == task.id)
        .order_by(col(Touch.id).desc())
        .limit(1)
        .execution_options(populate_existing=True)
    )
    return session.exec(query).first()


def _why(task: CareTask, touch: Touch | None) -> str:
    if task.state is TaskState.SUPPRESSED:
        return rule_phrase(task.state_reason)
    violations = touch.verdict.get("violations", []) if touch else []
    return rule_phrase(str(violations[0]["rule"])) if violations else ""
