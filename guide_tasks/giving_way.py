"""Touches that had to give way to one of a higher band: their care tasks hear of it, each once."""

from datetime import datetime

from sqlmodel import Session, col, select

from fatigue import facts, gate
from fatigue.rules import DISPLACED
from guide_tasks import progress
from store.audit import note
from store.campaigns import CareTask, TaskState
from store.db import Database
from store.holds import Displacement
from store.touches import Touch, TouchState

CHUNK = 200
_ACTOR = "gate"
# Whose touch is on its way, by a guide or by the brand.
_ON_ITS_WAY = frozenset({TaskState.SENDING, TaskState.FELL_BACK})


def tell(database: Database, *, now: datetime) -> int:
    """Tell what nobody has been told of yet, a short transaction a chunk; gives how many."""
    told = 0
    while True:
        with database.transaction() as session:
            found = _tell_chunk(session, now)
        told += found
        if found < CHUNK:
            return told


def _tell_chunk(session: Session, now: datetime) -> int:
    rows = gate.untold(session, CHUNK)
    ids = [row.touch_id for row in rows]
    members = session.exec(select(Touch.member_id).where(facts.among(Touch.id, ids))).all()
    # Members before tasks and touches, as everywhere.
    facts.lock(session, set(members))
    query = select(Touch).where(facts.among(Touch.id, ids)).order_by(col(Touch.id))
    fresh = query.with_for_update().execution_options(populate_existing=True)
    touches = {touch.id: touch for touch in session.exec(fresh).all()}
    for row in rows:
        row.told_at = now
        session.add(row)
        _hear(session, touches[row.touch_id], row, now)
    return len(rows)


def _hear(session: Session, touch: Touch, row: Displacement, now: datetime) -> None:
    """A touch that waits says so on its task; one that came too late ends it as any other end."""
    subject = f"care_task:{touch.care_task_id}" if touch.care_task_id else f"touch:{touch.id}"
    note(session, _ACTOR, "touch.displaced", subject=subject, now=now, by_touch=row.by_touch_id)
    if touch.state is TouchState.WITHHELD:
        progress.touch_settled(session, touch, now=now)
    elif touch.state is TouchState.ASKED and touch.care_task_id is not None:
        task = session.get_one(CareTask, touch.care_task_id)
        session.refresh(task, with_for_update=True)
        if task.state in _ON_ITS_WAY:
            task.state_reason = DISPLACED
