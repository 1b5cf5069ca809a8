"""Fallback: where a guide did not reach a member, the brand speaks on the campaign's next channels.

Whoever speaks first cancels the other: a task that fell back is closed to its guide, and one that
its guide has sent is no longer open when the deadline passes.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlmodel import Session

from fatigue import gate
from guide_tasks import asks
from store.campaigns import Campaign, CareTask, TaskState, move_task
from store.jobs import Job, after_commit
from store.touches import Touch, TouchState

_LEASE_MINUTES = 10
# Why a task without a guide could not be given to one.
_NOBODY = "no_friendship"


def fall_back(session: Session, tasks: Sequence[CareTask], *, now: datetime) -> None:
    """Let the brand speak for these tasks, locked after their members; or end them.

    A guide's failed touch stays the end of its task when the gate withholds the fallback too.
    """
    campaigns = {task.campaign_id: session.get_one(Campaign, task.campaign_id) for task in tasks}
    wishes = [
        asks.by_brand(campaigns[task.campaign_id], task)
        for task in tasks
        if campaigns[task.campaign_id].fallback_channels
    ]
    touches = gate.ask_many(session, wishes, now=now, lease_minutes=_LEASE_MINUTES)
    by_task = {touch.care_task_id: touch for touch in touches}
    for task in tasks:
        touch = by_task.get(task.id)
        if touch is None:
            _end(task, now)
        else:
            _follow(session, task, touch, now)


def first_rule(touch: Touch) -> str:
    """The first rule that a verdict names, or nothing."""
    violations = touch.verdict.get("violations", [])
    return str(violations[0]["rule"]) if violations else ""


def _end(task: CareTask, now: datetime) -> None:
    if task.state is TaskState.PLANNED:
        move_task(task, TaskState.SUPPRESSED, reason=_NOBODY, now=now)
    elif task.state is not TaskState.FAILED:
        move_task(task, TaskState.EXPIRED, now=now)


def _follow(session: Session, task: CareTask, touch: Touch, now: datetime) -> None:
    is_silent = touch.state is TouchState.WITHHELD
    if is_silent and task.state is TaskState.FAILED:
        return
    move_task(task, TaskState.FELL_BACK, now=now)
    if is_silent:
        move_task(task, TaskState.SUPPRESSED, reason=first_rule(touch), now=now)
    elif touch.state is TouchState.RESERVED:
        after_commit(session, Job.DELIVER_TOUCH, touch.id)
