"""Fallback: where a guide did not reach a member, the brand speaks on the campaign's next channels.

First a broadcast in a guide's name, if the campaign wants one, then the account. Whoever speaks
first cancels the others: a task that fell back is closed to its guide, one that its guide has sent
is no longer open when the deadline passes, and a step begins only when the one before is over.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlmodel import Session

from fatigue import gate
from guide_tasks import asks, assign
from store.campaigns import Campaign, CareTask, TaskState, move_task
from store.jobs import Job, after_commit
from store.touches import Channel, Touch, TouchState

_LEASE_MINUTES = 10
# Why a task without a guide could not be given to one.
_NOBODY = "no_friendship"


def fall_back(
    session: Session,
    tasks: Sequence[CareTask],
    *,
    after_broadcast: bool = False,
    why: str = "",
    now: datetime,
) -> None:
    """Let the brand speak for these tasks, locked after their members; or end them, for `why`.

    With `after_broadcast` the account is next. A guide's failed touch stays the end of its task
    when the gate withholds the fallback too.
    """
    campaigns = {task.campaign_id: session.get_one(Campaign, task.campaign_id) for task in tasks}
    until = {
        campaign_id: now + timedelta(hours=campaign.fallback_hours)
        for campaign_id, campaign in campaigns.items()
    }
    rest = list(tasks)
    if not after_broadcast:
        rest, _ = _step(
            session, rest, _broadcasts(session, rest, campaigns, until, now), until, now
        )
    wishes = [
        asks.by_brand(campaigns[task.campaign_id], task, until[task.campaign_id]) for task in rest
    ]
    silent, reasons = _step(session, rest, _there(wishes), until, now)
    for task in silent:
        _end(task, reasons.get(task.id, why), is_asked=task.id in reasons, now=now)


def first_rule(touch: Touch) -> str:
    """The first rule that a verdict names, or nothing."""
    violations = touch.verdict.get("violations", [])
    return str(violations[0]["rule"]) if violations else ""


def _broadcasts(
    session: Session,
    tasks: Sequence[CareTask],
    campaigns: Mapping[int, Campaign],
    until: Mapping[int, datetime],
    now: datetime,
) -> list[gate.Ask]:
    """One ask for each task that a guide could still send with one tap."""
    wanting = [
        task
        for task in tasks
        if Channel.WECOM_BROADCAST.value in campaigns[task.campaign_id].fallback_channels
    ]
    if not wanting:
        return []
    choices = assign.choose(session, 0, sorted({task.member_id for task in wanting}), now=now)
    wishes = []
    for task in wanting:
        choice = choices.get(task.member_id)
        if choice is not None and choice.is_friend:
            ends_at = until[task.campaign_id]
            campaign = campaigns[task.campaign_id]
            wishes.append(asks.by_broadcast(campaign, task, choice.guide_id, ends_at))
    return _there(wishes)


def _there(wishes: Sequence[gate.Ask | None]) -> list[gate.Ask]:
    return [wish for wish in wishes if wish is not None]


def _step(
    session: Session,
    tasks: Sequence[CareTask],
    wishes: Sequence[gate.Ask],
    until: Mapping[int, datetime],
    now: datetime,
) -> tuple[list[CareTask], dict[int, str]]:
    """Try one step; gives the tasks that it does not carry, and the rules that stood against it."""
    touches = gate.ask_many(session, wishes, now=now, lease_minutes=_LEASE_MINUTES)
    by_task = {touch.care_task_id: touch for touch in touches}
    rest: list[CareTask] = []
    rules: dict[int, str] = {}
    for task in tasks:
        touch = by_task.get(task.id)
        if touch is None:
            rest.append(task)
        elif touch.state is TouchState.WITHHELD:
            rest.append(task)
            rules[task.id] = first_rule(touch)
        else:
            _follow(session, task, touch, until[task.campaign_id], now)
    return rest, rules


def _follow(session: Session, task: CareTask, touch: Touch, until: datetime, now: datetime) -> None:
    move_task(task, TaskState.FELL_BACK, now=now)
    # Only a step that somebody else must do can be overdue; the rest ends by itself.
    task.fallback_until = until if touch.channel is Channel.WECOM_BROADCAST else None
    if touch.state is TouchState.RESERVED:
        after_commit(session, Job.DELIVER_TOUCH, touch.id)


def _end(task: CareTask, why: str, *, is_asked: bool, now: datetime) -> None:
    """Nobody speaks any more: a failure stays one, a silence gets its reason."""
    task.fallback_until = None
    if task.state is TaskState.FAILED:
        return
    if task.state is TaskState.PLANNED and not is_asked:
        why = _NOBODY
    if not why:
        move_task(task, TaskState.EXPIRED, now=now)
        return
    if is_asked and task.state is not TaskState.FELL_BACK:
        move_task(task, TaskState.FELL_BACK, now=now)
    move_task(task, TaskState.SUPPRESSED, reason=why, now=now)
