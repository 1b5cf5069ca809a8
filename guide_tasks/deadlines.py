"""Deadlines: a task whose guide did nothing falls back to the next channel, or ends."""

from collections.abc import Sequence
from datetime import datetime

from sqlmodel import Session, col, select

from fatigue import gate
from fatigue.gate import Ask
from guide_tasks.progress import first_rule
from store.campaigns import WITH_GUIDE, Campaign, CampaignState, CareTask, TaskState, move_task
from store.db import Database
from store.jobs import Job, after_commit
from store.touches import Category, Channel, Touch, TouchState

CHUNK = 200
_OPEN = WITH_GUIDE | {TaskState.PLANNED}
_FALLBACK_LEASE_MINUTES = 10


def pass_due(database: Database, *, now: datetime) -> int:
    """Let every task past its deadline fall back; a short transaction a chunk. Gives how many."""
    passed = 0
    while True:
        with database.transaction() as session:
            found = _pass_chunk(session, now)
        passed += found
        if found < CHUNK:
            break
    with database.transaction() as session:
        _finish_campaigns(session, now)
    return passed


def _pass_chunk(session: Session, now: datetime) -> int:
    tasks = _due(session, now)
    campaigns = {task.campaign_id: session.get_one(Campaign, task.campaign_id) for task in tasks}
    speaking = [task for task in tasks if campaigns[task.campaign_id].fallback_channels]
    # The gate locks the members first; only then may tasks be locked.
    asks = [_ask(campaigns[task.campaign_id], task) for task in speaking]
    touches = gate.ask_many(session, asks, now=now, lease_minutes=_FALLBACK_LEASE_MINUTES)
    by_task = {touch.care_task_id: touch for touch in touches}
    for task in tasks:
        session.refresh(task, with_for_update=True)
        _pass(session, task, by_task.get(task.id), now)
    return len(tasks)


def _due(session: Session, now: datetime) -> Sequence[CareTask]:
    query = (
        select(CareTask)
        .where(col(CareTask.state).in_(_OPEN), CareTask.deadline_at <= now)
        .order_by(col(CareTask.deadline_at), col(CareTask.id))
        .limit(CHUNK)
    )
    return session.exec(query).all()


def _pass(session: Session, task: CareTask, touch: Touch | None, now: datetime) -> None:
    if task.state not in _OPEN:
        # The guide was faster: whoever speaks first cancels the other.
        if touch is not None and touch.state in {TouchState.RESERVED, TouchState.ASKED}:
            gate.release(session, touch.id, reason="guide_was_first", now=now)
    elif touch is None:
        move_task(task, TaskState.EXPIRED if task.guide_id else TaskState.SUPPRESSED, now=now)
    else:
        _fall_back(session, task, touch, now)


def _fall_back(session: Session, task: CareTask, touch: Touch, now: datetime) -> None:
    move_task(task, TaskState.FELL_BACK, now=now)
    if touch.state is TouchState.WITHHELD:
        move_task(task, TaskState.SUPPRESSED, reason=first_rule(touch), now=now)
    elif touch.state is TouchState.RESERVED:
        after_commit(session, Job.DELIVER_TOUCH, touch.id)


def _ask(campaign: Campaign, task: CareTask) -> Ask:
    return Ask(
        key=f"task-{task.id}-fallback",
        member_id=task.member_id,
        channels=tuple(Channel(name) for name in campaign.fallback_channels),
        category=Category(campaign.category),
        brand_id=campaign.brand_id,
        campaign_id=campaign.id,
        care_task_id=task.id,
        priority=campaign.priority,
        text=task.text,
        payload={"title": campaign.name},
    )


def _finish_campaigns(session: Session, now: datetime) -> None:
    """A running campaign past its deadline with no open task is finished."""
    open_tasks = select(CareTask.id).where(
        CareTask.campaign_id == Campaign.id,
        col(CareTask.state).in_([*_OPEN, TaskState.SENDING]),
    )
    query = select(Campaign).where(
        Campaign.state == CampaignState.RUNNING, Campaign.deadline_at <= now, ~open_tasks.exists()
    )
    for campaign in session.exec(query.with_for_update(skip_locked=True)).all():
        campaign.state = CampaignState.FINISHED
