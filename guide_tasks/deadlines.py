"""Deadlines: a task whose guide did nothing falls back to the next channel, or ends.

So does a step of the fallback: a broadcast that no guide confirmed gives way to the account. One
that lies before its guide must be stopped at the platform first: `bot.stopping` does that.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlmodel import Session, col, select

from fatigue import facts, gate
from guide_tasks.fallback import fall_back
from store.campaigns import WITH_GUIDE, Campaign, CampaignState, CareTask, TaskState
from store.db import Database
from store.touches import Channel, Touch, TouchState

CHUNK = 200
_OPEN = WITH_GUIDE | {TaskState.PLANNED}
# A touch that may still go out keeps its campaign running; an `unknown` one waits for a person.
_UNFENCED = (TouchState.ASKED, TouchState.RESERVED)
_ON_ITS_WAY = (TouchState.ASKED, TouchState.RESERVED, TouchState.SENDING)


def pass_due(database: Database, *, now: datetime) -> int:
    """Let every task past its deadline fall back; a short transaction a chunk. Gives how many."""
    passed = 0
    for pass_chunk in (_pass_chunk, _pass_step):
        while True:
            with database.transaction() as session:
                found, moved = pass_chunk(session, now)
            passed += moved
            if found < CHUNK:
                break
    with database.transaction() as session:
        _finish_campaigns(session, now)
    return passed


def _pass_chunk(session: Session, now: datetime) -> tuple[int, int]:
    """How many tasks were due, and how many of them nobody else had moved meanwhile."""
    due = _due(session, now)
    # Members before tasks, as everywhere; a guide who was faster has moved the task by then.
    facts.lock(session, {member_id for _, member_id in due})
    tasks = _still_open(session, [task_id for task_id, _ in due])
    fall_back(session, tasks, now=now)
    return len(due), len(tasks)


def _pass_step(session: Session, now: datetime) -> tuple[int, int]:
    """Give up broadcasts that wait longer than their step lasts; the account is next."""
    query = (
        select(Touch.id, Touch.member_id)
        .join(CareTask, col(CareTask.id) == Touch.care_task_id)
        .where(CareTask.state == TaskState.FELL_BACK, col(CareTask.fallback_until) <= now)
        .where(Touch.channel == Channel.WECOM_BROADCAST, col(Touch.state).in_(_UNFENCED))
        .order_by(col(Touch.id))
        .limit(CHUNK)
    )
    pairs = session.exec(query).all()
    facts.lock(session, {member_id for _, member_id in pairs})
    given_up = [_give_up(session, touch_id, now) for touch_id, _ in pairs]
    fall_back(session, [task for task in given_up if task], after_broadcast=True, now=now)
    return len(pairs), sum(task is not None for task in given_up)


def _give_up(session: Session, touch_id: int, now: datetime) -> CareTask | None:
    """The task whose broadcast nobody can send any more; none when it was fenced meanwhile."""
    touch = session.get_one(Touch, touch_id)
    session.refresh(touch, with_for_update=True)
    if touch.state not in _UNFENCED:
        return None
    gate.release(session, touch_id, reason="past_deadline", now=now)
    task = session.get_one(CareTask, touch.care_task_id)
    session.refresh(task, with_for_update=True)
    return task if task.state is TaskState.FELL_BACK else None


def _due(session: Session, now: datetime) -> Sequence[tuple[int, int]]:
    query = (
        select(CareTask.id, CareTask.member_id)
        .where(col(CareTask.state).in_(_OPEN), CareTask.deadline_at <= now)
        .order_by(col(CareTask.deadline_at), col(CareTask.id))
        .limit(CHUNK)
    )
    return session.exec(query).all()


def _still_open(session: Session, task_ids: Sequence[int]) -> Sequence[CareTask]:
    query = (
        select(CareTask)
        .where(facts.among(CareTask.id, task_ids), col(CareTask.state).in_(_OPEN))
        .order_by(col(CareTask.id))
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return session.exec(query).all()


def _finish_campaigns(session: Session, now: datetime) -> None:
    """A running campaign past its deadline is finished once nothing of it can happen by itself."""
    open_task = select(CareTask.id).where(
        CareTask.campaign_id == Campaign.id, col(CareTask.state).in_(_OPEN)
    )
    open_touch = select(Touch.id).where(
        Touch.campaign_id == Campaign.id, col(Touch.state).in_(_ON_ITS_WAY)
    )
    query = select(Campaign).where(
        Campaign.state == CampaignState.RUNNING,
        Campaign.deadline_at <= now,
        ~open_task.exists(),
        ~open_touch.exists(),
    )
    for campaign in session.exec(query.with_for_update(skip_locked=True)).all():
        campaign.state = CampaignState.FINISHED
