"""Who has a task in hand: taken from the shop, given to a colleague, handed over by who is away.

Every act locks the member before the task and reads the task again under its lock.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlmodel import Session, col, select
from sqlmodel.sql.expression import Select

from fatigue import facts
from guide_tasks import assign
from guide_tasks.redrafting import redraft
from store.audit import note
from store.campaigns import WITH_GUIDE, CareTask, TaskState, move_task
from store.db import Database
from store.departures import Departure
from store.errors import NotFound, WrongState
from store.leaves import Leave
from store.organisation import Guide, GuideStatus
from store.relations import GuideNotInPost

_CHUNK = 200


class TakenAlready(WrongState):
    """A colleague was faster."""

    def __init__(self) -> None:
        super().__init__("care task", "in a colleague's hands", "taken")


def lock(session: Session, task: CareTask) -> None:
    """Lock the member, then the task, and read it anew; earlier changes are written first."""
    facts.lock(session, [task.member_id])
    session.refresh(task, with_for_update=True)


def of_shop(session: Session, shop_id: int) -> Sequence[CareTask]:
    """Tasks of a shop that nobody has taken, the first due on top."""
    query = (
        select(CareTask)
        .where(CareTask.shop_id == shop_id, col(CareTask.guide_id).is_(None))
        .where(col(CareTask.state).in_(WITH_GUIDE))
        .order_by(col(CareTask.deadline_at), col(CareTask.id))
    )
    return session.exec(query).all()


def take(session: Session, token: str, guide: Guide, *, now: datetime) -> CareTask:
    """A guide takes a task of the own shop, once; a second tap of the same guide is harmless."""
    task = session.exec(select(CareTask).where(CareTask.token == token)).first()
    if task is None or guide.shop_id not in {task.shop_id, _shop_of(session, task)}:
        raise NotFound("There is no such care task in this shop.")
    lock(session, task)
    _need_in_post(session, guide)
    if task.guide_id == guide.id:
        return task
    if task.guide_id is not None or task.state not in WITH_GUIDE:
        raise TakenAlready
    _give(session, [task], {task.id: guide}, TaskState.SEEN, "", now)
    note(session, f"guide:{guide.userid}", "task.take", subject=f"care_task:{task.id}", now=now)
    return task


def _shop_of(session: Session, task: CareTask) -> int | None:
    """The shop of the guide who has the task."""
    return session.get_one(Guide, task.guide_id).shop_id if task.guide_id is not None else None


def reassign(
    session: Session, task: CareTask, guide: Guide, *, actor: str, why: str = "", now: datetime
) -> None:
    """Give an open task to another guide, in the other's name; refuses one that was sent or ended.

    Whoever had it in hand does not see it any more.
    """
    lock(session, task)
    _need_in_post(session, guide)
    if task.state not in WITH_GUIDE:
        raise WrongState("care task", task.state, TaskState.REASSIGNED)
    if task.guide_id == guide.id:
        return
    _give(session, [task], {task.id: guide}, TaskState.REASSIGNED, why, now)
    note(session, actor, "task.reassign", subject=f"care_task:{task.id}", now=now)


def hand_over(
    session: Session,
    guide_id: int,
    *,
    to: Guide | None = None,
    due_before: datetime | None = None,
    why: str,
    now: datetime,
) -> int:
    """Hand over up to 200 open tasks of a guide: to `to`, else as a launch would choose; gives how
    many. `due_before` leaves out those that can wait for the guide.

    Where nobody in the shop could, the task is due at once and falls back.
    """
    pairs = session.exec(_open_tasks(guide_id, due_before)).all()
    facts.lock(session, {member_id for _, member_id in pairs})
    tasks = _locked(session, [task_id for task_id, _ in pairs], guide_id)
    successors = _successors(session, tasks, guide_id, to, now)
    taken = [task for task in tasks if task.id in successors]
    _give(session, taken, successors, TaskState.REASSIGNED, why, now)
    for task in tasks:
        if task.id not in successors:
            _leave_to_nobody(task, why, now)
    session.flush()
    return len(tasks)


def follow(
    session: Session, member_id: int, guide_id: int, *, to: Guide, why: str, now: datetime
) -> int:
    """Give one member's open tasks from a guide to who takes the member over; gives how many.

    The caller has locked the member. What was sent stays with who sent it.
    """
    _need_in_post(session, to)
    query = select(CareTask.id).where(CareTask.member_id == member_id)
    found = _locked(session, session.exec(query).all(), guide_id)
    _give(session, found, {task.id: to for task in found}, TaskState.REASSIGNED, why, now)
    return len(found)


def hand_over_absent(database: Database, *, now: datetime) -> int:
    """Hand over what lies with guides who have left or are on leave; gives how many tasks.

    Also what came into their hands while they were leaving.
    """
    with database.transaction() as session:
        absent = _absent(session, now)
    handed = 0
    for guide_id, back_at in absent:
        while True:
            with database.transaction() as session:
                why = "left" if back_at is None else "on_leave"
                moved = hand_over(session, guide_id, due_before=back_at, why=why, now=now)
            handed += moved
            if moved < _CHUNK:
                break
    return handed


def _open_tasks(guide_id: int, due_before: datetime | None) -> Select[int, int]:
    query = select(CareTask.id, CareTask.member_id).where(
        CareTask.guide_id == guide_id, col(CareTask.state).in_(WITH_GUIDE)
    )
    if due_before is not None:
        query = query.where(col(CareTask.deadline_at) <= due_before)
    return query.order_by(col(CareTask.id)).limit(_CHUNK)


def _locked(session: Session, task_ids: Sequence[int], guide_id: int) -> list[CareTask]:
    """Those of the tasks that are still open and this guide's."""
    query = (
        select(CareTask)
        .where(facts.among(CareTask.id, task_ids), CareTask.guide_id == guide_id)
        .where(col(CareTask.state).in_(WITH_GUIDE))
        .order_by(col(CareTask.id))
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return list(session.exec(query).all())


def _successors(
    session: Session, tasks: Sequence[CareTask], guide_id: int, to: Guide | None, now: datetime
) -> dict[int, Guide]:
    if to is not None:
        return {task.id: to for task in tasks}
    members = sorted({task.member_id for task in tasks})
    choices = assign.choose(session, 0, members, besides={guide_id}, now=now)
    return {
        task.id: session.get_one(Guide, choices[task.member_id].guide_id)
        for task in tasks
        if task.member_id in choices
    }


def _give(
    session: Session,
    tasks: Sequence[CareTask],
    guides: Mapping[int, Guide],
    state: TaskState,
    why: str,
    now: datetime,
) -> None:
    for campaign_id in sorted({task.campaign_id for task in tasks}):
        mine = [task for task in tasks if task.campaign_id == campaign_id]
        ids = {guides[task.id].id for task in mine}
        shares = assign.assignments_of(session, campaign_id, ids, now=now)
        for task in mine:
            guide = guides[task.id]
            move_task(task, state, reason=why, now=now)
            task.guide_id, task.shop_id = guide.id, None
            task.assignment_id, task.waits_until = shares[guide.id], None
    redraft(session, tasks, now=now)
    session.flush()


def _leave_to_nobody(task: CareTask, why: str, now: datetime) -> None:
    move_task(task, TaskState.ASSIGNED, reason=why, now=now)
    task.guide_id = task.assignment_id = task.shop_id = None
    task.edited_text = None
    task.deadline_at = min(task.deadline_at, now)


def _need_in_post(session: Session, guide: Guide) -> None:
    session.refresh(guide)
    if guide.status is not GuideStatus.ACTIVE:
        raise GuideNotInPost(guide.id)


def _absent(session: Session, now: datetime) -> list[tuple[int, datetime | None]]:
    """Guides with open tasks who have left, or are on leave until an instant."""
    has_tasks = (
        select(CareTask.id)
        .where(CareTask.guide_id == Guide.id, col(CareTask.state).in_(WITH_GUIDE))
        .exists()
    )
    # A departure that is under way hands over by itself, to whom it names.
    is_leaving = (
        select(Departure.id)
        .where(Departure.guide_id == Guide.id, col(Departure.finished_at).is_(None))
        .exists()
    )
    left = select(Guide.id).where(Guide.status == GuideStatus.LEFT, has_tasks, ~is_leaving)
    away = (
        select(Guide.id, Leave.until)
        .join(Leave, col(Leave.guide_id) == Guide.id)
        .where(Guide.status == GuideStatus.ACTIVE, has_tasks)
        .where(Leave.since <= now, Leave.until > now)
    )
    return [(guide_id, None) for guide_id in session.exec(left)] + list(session.exec(away).all())
