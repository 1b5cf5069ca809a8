"""A care task whose touch had to give way hears of it, once."""

from datetime import datetime, timedelta

from sqlmodel import col, select

from fatigue import gate
from guide_tasks import asks, giving_way, progress
from store.audit import AuditEntry
from store.campaigns import Campaign, CareTask, TaskState
from store.db import Database
from store.holds import Displacement
from store.touches import Category, Channel, Touch, TouchState
from tests.builders import a_guide
from tests.guide_tasks.people import a_task, running

LOW, MUST = 10, 95


def a_displaced_task(database: Database, now: datetime, *, hours: int = 72) -> CareTask:
    """Wang taps send; before a worker comes, something that must be said takes the place."""
    with database.transaction() as session:
        wang = a_guide(session)
        low = running(session, now=now, priority=LOW, deadline_at=now + timedelta(hours=hours))
        task = a_task(session, wang, now=now, campaign=low, deadline_at=low.deadline_at)
        progress.send(session, task, actor="wang", now=now)
    with database.transaction() as session:
        must = gate.Ask(
            key="must",
            member_id=task.member_id,
            channels=(Channel.WECOM_BROADCAST,),
            category=Category.CARE,
            brand_id=session.get_one(Campaign, task.campaign_id).brand_id,
            guide_id=task.guide_id,
            priority=MUST,
        )
        assert gate.ask(session, must, now=now).state is TouchState.RESERVED
    return task


def test_task_is_told_once_that_its_touch_waits(database: Database, now: datetime) -> None:
    task = a_displaced_task(database, now)

    told = [giving_way.tell(database, now=now) for _ in range(3)]

    with database.transaction() as session:
        found = session.get_one(CareTask, task.id)
        assert told == [1, 0, 0]
        assert (found.state, found.state_reason) == (TaskState.SENDING, "displaced")
        notes = select(AuditEntry).where(AuditEntry.act == "touch.displaced")
        assert [note.subject for note in session.exec(notes)] == [f"care_task:{task.id}"]
        assert session.exec(select(Displacement.told_at)).one() == now


def test_displaced_touch_goes_by_itself_when_its_rules_open(
    database: Database, now: datetime
) -> None:
    task = a_displaced_task(database, now)
    giving_way.tell(database, now=now)
    key = asks.by_guide(running_of(database, task), task).key
    with database.transaction() as session:
        touch = session.exec(select(Touch).where(Touch.key == key)).one()
        opens = touch.retry_at
        assert opens is not None
        must = session.exec(select(Touch).where(Touch.key == "must")).one()
        gate.fence(session, must.id, now=now)
        gate.settle(session, must.id, TouchState.SENT, now=now)

    with database.transaction() as session:
        again = gate.ask_again(session, [touch.id], now=opens)[0]

    assert (again.id, again.state) == (touch.id, TouchState.RESERVED)


def test_task_whose_time_is_over_by_then_ends_with_the_reason(
    database: Database, now: datetime
) -> None:
    task = a_displaced_task(database, now, hours=2)

    giving_way.tell(database, now=now)

    with database.transaction() as session:
        found = session.get_one(CareTask, task.id)
        touches = select(Touch).where(Touch.care_task_id == task.id)
        states = session.exec(touches.order_by(col(Touch.id))).all()
        assert states[0].state is TouchState.WITHHELD
        assert found.state is not TaskState.SENDING
        assert found.state_reason


def running_of(database: Database, task: CareTask) -> Campaign:
    with database.transaction() as session:
        return session.get_one(Campaign, task.campaign_id)
