"""Broadcasts that lie before a guide longer than they may: stopped, then given up.

A guide can confirm a broadcast at any moment until the platform is told to stop it, and only then
may another channel speak. None outlives the span for which the gate counts it, whatever it is for.
`bot.stopping` talks to the platform.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlmodel import Session, col, func, or_, select

from fatigue import facts, gate
from guide_tasks import progress
from store import letters
from store.campaigns import CareTask, TaskState
from store.touches import HUMAN_PATIENCE, Channel, Touch, TouchState

# A confirmation of the last second may reach the results a little after the stop.
GRACE = timedelta(minutes=2)
_WITH_GUIDE = (TouchState.SENDING, TouchState.UNKNOWN)
# Stopped a little before the gate counts it no more: the stop takes a round and its grace.
_LONGEST = HUMAN_PATIENCE[Channel.WECOM_BROADCAST] - timedelta(hours=1)


def overdue(session: Session, *, now: datetime, limit: int = 300) -> Sequence[Touch]:
    """Broadcasts before guides too long, or past the deadline of their task or fallback."""
    is_late = or_(
        (col(CareTask.state) == TaskState.SENDING) & (col(CareTask.deadline_at) <= now),
        (col(CareTask.state) == TaskState.FELL_BACK) & (col(CareTask.fallback_until) <= now),
        col(Touch.fenced_at) <= now - _LONGEST,
    )
    query = (
        select(Touch)
        .join(CareTask, col(CareTask.id) == Touch.care_task_id, isouter=True)
        .where(Touch.channel == Channel.WECOM_BROADCAST, col(Touch.state).in_(_WITH_GUIDE))
        .where(col(Touch.provider_id).is_not(None), is_late)
        # By chance: what the platform does not let stop must not stand in the way of the others.
        .order_by(func.random())
        .limit(limit)
    )
    return session.exec(query).all()


def stopped(session: Session, touch_id: int, *, now: datetime) -> None:
    """The platform has stopped it; the last word is asked for after the grace."""
    touch = _locked(session, touch_id)
    if touch.state in _WITH_GUIDE:
        touch.retry_at = now + GRACE


def is_waiting(touch: Touch, *, now: datetime) -> bool:
    """Whether a stopped broadcast is still within its grace."""
    return touch.retry_at is not None and touch.retry_at > now


def give_up(session: Session, touch_id: int, *, now: datetime) -> None:
    """Stopped, and the platform says that it did not go: the next channel may speak."""
    touch = _locked(session, touch_id)
    if touch.state not in _WITH_GUIDE:
        return
    settled = gate.settle(session, touch_id, TouchState.FAILED, failure="not_confirmed", now=now)
    progress.touch_settled(session, settled, now=now)
    letters.settle(session, [touch_id], now=now)


def leave_to_a_person(session: Session, touch_id: int, *, now: datetime) -> None:
    """Stopped, and the platform will never say whether it went: who knows, writes it down."""
    touch = _locked(session, touch_id)
    if touch.state not in _WITH_GUIDE:
        return
    gate.settle(session, touch_id, TouchState.UNKNOWN, now=now)
    letters.write(session, {touch_id: "no_result"}, now=now)


def _locked(session: Session, touch_id: int) -> Touch:
    touch = session.get_one(Touch, touch_id)
    facts.lock(session, [touch.member_id])
    session.refresh(touch, with_for_update=True)
    return touch
