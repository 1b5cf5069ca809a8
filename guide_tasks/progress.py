"""A care task's way: opened, edited, sent or skipped by the guide; then settled and answered."""

from collections.abc import Sequence
from datetime import datetime

from sqlmodel import Session, select

from content.pieces import MAX_BYTES
from fatigue import gate
from guide_tasks import again, asks, replies, retractions, tasks
from guide_tasks.fallback import fall_back, first_rule
from store import orders_due, visibility
from store.audit import note
from store.campaigns import (
    REACHED,
    WITH_GUIDE,
    Assignment,
    CareTask,
    TaskState,
    move_task,
)
from store.errors import NotFound, Refusal, WrongState
from store.jobs import Job, after_commit
from store.plain import plain
from store.touches import Channel, Evidence, Touch, TouchState

_UNSEEN = frozenset({TaskState.ASSIGNED, TaskState.REASSIGNED, TaskState.SNOOZED})
# How long a slot is held for a worker to come; a guide's word is not lost in a short outage.
_GUIDE_LEASE_MINUTES = 60


class BadText(Refusal):
    """A guide's words that cannot be sent."""

    def __init__(self, size: int) -> None:
        self.size, self.limit = size, MAX_BYTES
        super().__init__(f"The text has {size} bytes; 1 to {MAX_BYTES} can be sent.")


class TooLate(WrongState):
    """The deadline has passed, so the brand speaks now."""

    def __init__(self, deadline_at: datetime) -> None:
        self.deadline_at = deadline_at
        super().__init__("care task", "past its deadline", TaskState.SENDING)


class HandedOn(WrongState):
    """The task went to another guide in this moment."""

    def __init__(self) -> None:
        super().__init__("care task", "in a colleague's hands", "changed")


class BadPause(Refusal):
    """A task cannot wait for an instant that is over, or that is past its deadline."""

    def __init__(self, deadline_at: datetime) -> None:
        self.deadline_at = deadline_at
        super().__init__("until: a task waits until some time before its deadline.")


def task_of_guide(session: Session, token: str, guide_id: int) -> CareTask:
    """The task behind `token`, if it is the own one of this guide, who is in post."""
    seen = select(CareTask).where(CareTask.token == token, visibility.sees_task(guide_id))
    task = session.exec(seen).first()
    if task is None or task.guide_id != guide_id:
        raise NotFound("There is no such care task for this guide.")
    return task


def own_locked(session: Session, token: str, guide_id: int) -> CareTask:
    """The same with its member and itself locked, and read again under the locks."""
    task = task_of_guide(session, token, guide_id)
    _lock(session, task)
    return task


def open_assignment(session: Session, token: str, guide_id: int, *, now: datetime) -> Assignment:
    """The guide opened the card."""
    assignment = session.exec(select(Assignment).where(Assignment.token == token)).first()
    if assignment is None or assignment.guide_id != guide_id:
        raise NotFound("There is no such assignment for this guide.")
    assignment.opened_at = assignment.opened_at or now
    return assignment


def see(session: Session, task: CareTask, *, now: datetime) -> None:
    """The guide looked at the task."""
    _lock(session, task)
    waits = task.waits_until is not None and task.waits_until > now
    if task.state in _UNSEEN and not (task.state is TaskState.SNOOZED and waits):
        move_task(task, TaskState.SEEN, now=now)


def edit(session: Session, task: CareTask, text: str, *, now: datetime) -> None:
    """The guide changed the words."""
    words = plain(text)
    if not 1 <= len(words.encode()) <= MAX_BYTES:
        raise BadText(len(words.encode()))
    _lock(session, task)
    if task.state not in WITH_GUIDE:
        raise WrongState("care task", task.state, TaskState.EDITED)
    task.edited_text = words if words != task.draft else None
    if task.edited_text and task.state is not TaskState.EDITED:
        move_task(task, TaskState.EDITED, now=now)


def skip(session: Session, task: CareTask, why: str, *, now: datetime) -> None:
    """The guide leaves this member alone, and says why."""
    _lock(session, task)
    if task.state not in WITH_GUIDE:
        raise WrongState("care task", task.state, TaskState.SKIPPED)
    move_task(task, TaskState.SKIPPED, reason=why, now=now)


def snooze(session: Session, task: CareTask, until: datetime, *, now: datetime) -> None:
    """The guide will come back to it: lists leave it out until then; its deadline stays."""
    _lock(session, task)
    if task.state not in WITH_GUIDE:
        raise WrongState("care task", task.state, TaskState.SNOOZED)
    if not now < until < task.deadline_at:
        raise BadPause(task.deadline_at)
    move_task(task, TaskState.SNOOZED, now=now)
    task.waits_until = until


def _lock(session: Session, task: CareTask) -> None:
    """Lock the member, then the task; refuses a task that another guide has been given meanwhile.

    Who loaded the task has made sure that it is theirs: only a change of hands can part them.
    """
    guide_id = task.guide_id
    tasks.lock(session, task)
    if task.guide_id != guide_id:
        raise HandedOn


def send(session: Session, task: CareTask, *, actor: str, now: datetime) -> Touch:
    """The guide taps send: ask the gate, then hand over to delivery. Tapping twice is one touch.

    A touch that is deferred is sent by itself once its rules open; a withheld one gives the word to
    the brand, as far as it may speak. Locks the member and the task. Refuses with `TooLate` once
    the deadline has passed.
    """
    _lock(session, task)
    wish = asks.of_guide(session, task)
    if task.state is TaskState.SENDING:
        return _touch(session, wish.key)
    need_open(task, now)
    touch = gate.ask(session, wish, now=now, lease_minutes=_GUIDE_LEASE_MINUTES)
    _after_ask(session, task, touch, now)
    note(session, actor, "task.send", subject=f"care_task:{task.id}", now=now)
    return touch


def report(
    session: Session,
    task: CareTask,
    *,
    actor: str,
    channel: Channel = Channel.WECOM_SIDEBAR,
    now: datetime,
) -> Touch:
    """The guide has told the member by hand and says so; it counts, even when over a cap.

    The evidence is the guide's word. Locks the member and the task.
    """
    _lock(session, task)
    wish = asks.of_guide(session, task, channel)
    if task.state in REACHED:
        return _touch(session, wish.key)
    need_open(task, now)
    touch = gate.record(session, wish, channel=channel, sent_at=now, now=now)
    move_task(task, TaskState.SENT, now=now)
    note(session, actor, "task.report", subject=f"care_task:{task.id}", now=now)
    return touch


def need_open(task: CareTask, now: datetime) -> None:
    """Refuse what its guide cannot send any more: not in hand, or past its deadline."""
    if task.state not in WITH_GUIDE:
        raise WrongState("care task", task.state, TaskState.SENDING)
    if task.deadline_at <= now:
        raise TooLate(task.deadline_at)


def advise(
    session: Session,
    task: CareTask,
    *,
    channel: Channel = Channel.WECOM_BROADCAST,
    now: datetime,
) -> gate.Forecast:
    """What the gate would say if the guide sent now; writes nothing."""
    return gate.dry_run(session, [asks.of_guide(session, task, channel)], now=now)[0]


def _touch(session: Session, key: str) -> Touch:
    query = select(Touch).where(Touch.key == key).execution_options(populate_existing=True)
    return session.exec(query).one()


def _after_ask(session: Session, task: CareTask, touch: Touch, now: datetime) -> None:
    if touch.state is TouchState.WITHHELD:
        fall_back(session, [task], after_broadcast=True, why=first_rule(touch), now=now)
        return
    move_task(task, TaskState.SENDING, now=now)
    if touch.state is TouchState.RESERVED:
        after_commit(session, Job.DELIVER_TOUCH, touch.id)


def touch_settled(session: Session, touch: Touch, *, now: datetime) -> None:
    """Delivery or the gate has ended a touch: carry that over to its care task.

    A guide's touch that failed for good, that a rule closed or that found the deadline passed while
    it waited, gives the word to the brand's own channels; so does a broadcast of the brand that its
    guide did not confirm. A failure of what was taken for sent takes the task back from there.
    """
    touches_settled(session, [touch], now=now)


def touches_settled(session: Session, touches: Sequence[Touch], *, now: datetime) -> None:
    """`touch_settled` for many, as if one by one in their order."""
    reached = [touch for touch in touches if touch.state is TouchState.SENT]
    since: dict[int, datetime] = {}
    for touch in reached:
        at = touch.counted_at or now
        since[touch.member_id] = min(at, since.get(touch.member_id, at))
    orders_due.reopen_all(session, since)
    for touch in touches:
        if touch.care_task_id is not None:
            _carry_over(session, session.get_one(CareTask, touch.care_task_id), touch, now)
    replies.words_since(session, _news(touches), now=now)


def _news(touches: Sequence[Touch]) -> dict[int, datetime]:
    """Members of whose care more is known now, with the instant before which it changes nothing."""
    news: dict[int, datetime] = {}
    for touch in touches:
        began = [at for at in (touch.fenced_at, touch.counted_at) if at is not None]
        if touch.care_task_id is not None and began:
            news[touch.member_id] = min([*began, news.get(touch.member_id, began[0])])
    return news


def _carry_over(session: Session, task: CareTask, touch: Touch, now: datetime) -> None:
    # To refresh a row is to forget what was changed and not yet written.
    session.flush()
    session.refresh(task, with_for_update=True)
    if task.state is TaskState.SENT:
        _confirm(task, touch, now)
    needs_hand = touch.channel not in asks.BY_ITSELF and not again.carries(task, touch)
    if retractions.is_meant(task, touch):
        _take_back(session, task, touch, needs_hand=needs_hand, now=now)
        return
    is_guides = needs_hand and touch.key != asks.broadcast_key(task)
    if task.state is not (TaskState.SENDING if is_guides else TaskState.FELL_BACK):
        return
    if needs_hand and touch.state in {TouchState.FAILED, TouchState.WITHHELD}:
        _word_to_brand(session, task, touch, now)
    else:
        _follow(task, touch, now)


def _word_to_brand(session: Session, task: CareTask, touch: Touch, now: datetime) -> None:
    if touch.state is TouchState.FAILED:
        move_task(task, TaskState.FAILED, reason=touch.failure or "", now=now)
    rules = [violation["rule"] for violation in touch.verdict.get("violations", [])]
    why = "" if touch.state is TouchState.FAILED or "past_deadline" in rules else first_rule(touch)
    # A guide who came too late can still confirm a broadcast of the brand.
    is_late = "past_deadline" in rules and task.state is TaskState.SENDING
    fall_back(session, [task], after_broadcast=not is_late, why=why, now=now)


def _take_back(
    session: Session, task: CareTask, touch: Touch, *, needs_hand: bool, now: datetime
) -> None:
    """The brand speaks where a guide's message did not arrive, unless the member came anyway."""
    came_anyway = task.state not in replies.UNANSWERED
    if retractions.retract(session, task, touch, now=now) and needs_hand and not came_anyway:
        fall_back(session, [task], after_broadcast=True, now=now)


def _confirm(task: CareTask, touch: Touch, now: datetime) -> None:
    """The platform's word may also come when the task is taken for sent already."""
    if touch.state is TouchState.SENT and touch.evidence is Evidence.PLATFORM:
        move_task(task, TaskState.DELIVERED, now=now)


def _follow(task: CareTask, touch: Touch, now: datetime) -> None:
    task.fallback_until = None if touch.state is TouchState.SENT else task.fallback_until
    match touch.state:
        case TouchState.SENT:
            move_task(task, TaskState.SENT, now=now)
            _confirm(task, touch, now)
        case TouchState.FAILED:
            move_task(task, TaskState.FAILED, reason=touch.failure or "", now=now)
        case TouchState.WITHHELD:
            move_task(task, TaskState.SUPPRESSED, reason=first_rule(touch), now=now)
        case TouchState.RELEASED:
            move_task(task, TaskState.SUPPRESSED, reason=touch.failure or "", now=now)
        case _:
            # Still on its way, or unknown: a later word will settle it.
            pass
