"""Deadlines: a task whose guide did nothing falls back to the next channel, or ends."""

from collections.abc import Sequence
from datetime import datetime

from sqlmodel import Session, col, select

from fatigue import facts
from guide_tasks.fallback import fall_back
from store.campaigns import WITH_GUIDE, Campaign, CampaignState, CareTask, TaskState
from store.db import Database
from store.touches import Touch, TouchState

CHUNK = 200
_OPEN = WITH_GUIDE | {TaskState.PLANNED}
# A touch that may still go out keeps its campaign running; an `unknown` one waits for a person.
_ON_ITS_WAY = (TouchState.ASKED, TouchState.RESERVED, TouchState.SENDING)


def pass_due(database: Database, *, now: datetime) -> int:
    """Let every task past its deadline fall back; a short transaction a chunk. Gives how many."""
    passed = 0
    while True:
        with database.transaction() as session:
            found, moved = _pass_chunk(session, now)
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
