"""Who has a task in hand: taken once, given to colleagues, handed over by who is away."""

from collections import Counter
from datetime import datetime, timedelta

import pytest
from sqlmodel import Session, select

from guide_tasks import duty, progress, tasks
from guide_tasks.progress import BadPause
from store import departures, leaves
from store.audit import AuditEntry
from store.campaigns import Assignment, Campaign, CareTask, TaskState
from store.db import Database
from store.departures import Departure
from store.errors import NotFound, WrongState
from store.leaves import LeaveEndsFirst
from store.organisation import Guide, GuideStatus
from store.relations import GuideNotInPost
from store.touches import Channel, Evidence, TouchState
from tests.builders import a_guide, a_piece, a_shop
from tests.guide_tasks.people import URL, a_customer, a_task, befriend, running

_DAY = timedelta(days=1)


def a_shop_task(session: Session, guide: Guide, *, now: datetime) -> CareTask:
    """A task that lies open in the guide's shop."""
    task = a_task(session, guide, now=now)
    task.guide_id, task.shop_id = None, guide.shop_id
    session.flush()
    return task


def signed(session: Session, *, now: datetime) -> Campaign:
    """A running campaign whose words name who speaks."""
    text = "{{ name }}，我是{{ guide }}，{{ link }}"
    return running(session, now=now, piece_id=a_piece(session, text=text).id)


def test_a_task_of_the_shop_is_taken_once(session: Session, now: datetime) -> None:
    shop = a_shop(session)
    wang, sun = (a_guide(session, shop=shop) for _ in range(2))
    task = a_shop_task(session, wang, now=now)
    listed = [found.id for found in tasks.of_shop(session, shop.id)]

    tasks.take(session, task.token, wang, now=now)
    tasks.take(session, task.token, wang, now=now)

    assert listed == [task.id]
    assert (task.guide_id, task.state) == (wang.id, TaskState.SEEN)
    assert tasks.of_shop(session, shop.id) == []
    with pytest.raises(tasks.TakenAlready):
        tasks.take(session, task.token, sun, now=now)


def test_a_task_of_another_shop_is_not_there(session: Session, now: datetime) -> None:
    task = a_shop_task(session, a_guide(session), now=now)

    with pytest.raises(NotFound):
        tasks.take(session, task.token, a_guide(session), now=now)


def test_a_task_given_to_a_colleague_speaks_in_the_colleagues_name(
    session: Session, now: datetime
) -> None:
    wang, sun = a_guide(session, name="王芳"), a_guide(session, name="孙悦")
    link = f"{URL}/m/picks/abc_-1"
    task = a_task(
        session,
        wang,
        now=now,
        campaign=signed(session, now=now),
        draft=f"我是王芳，{link}",
        edited_text="王芳自己的话",
    )

    tasks.reassign(session, task, sun, actor="manager:zhou", why="full", now=now)

    assert (task.guide_id, task.state, task.state_reason) == (sun.id, TaskState.REASSIGNED, "full")
    assert task.text == f"李明，我是孙悦，{link}"
    assert session.get_one(Assignment, task.assignment_id).guide_id == sun.id
    assert [entry.act for entry in session.exec(select(AuditEntry))] == ["task.reassign"]
    with pytest.raises(NotFound):
        progress.task_of_guide(session, task.token, wang.id)


@pytest.mark.parametrize("state", [TaskState.SENDING, TaskState.SENT, TaskState.SKIPPED])
def test_what_is_sent_or_over_is_not_given_away(
    session: Session, now: datetime, state: TaskState
) -> None:
    task = a_task(session, a_guide(session), now=now, state=state)

    with pytest.raises(WrongState):
        tasks.reassign(session, task, a_guide(session), actor="manager:zhou", now=now)


def test_nobody_who_left_is_given_a_task(session: Session, now: datetime) -> None:
    task = a_task(session, a_guide(session), now=now)
    gone = a_guide(session, status=GuideStatus.LEFT)

    with pytest.raises(GuideNotInPost):
        tasks.reassign(session, task, gone, actor="manager:zhou", now=now)


def test_a_departure_hands_open_tasks_to_who_knows_the_customer(
    database: Database, now: datetime
) -> None:
    with database.transaction() as session:
        shop = a_shop(session)
        wang, _, sun = (a_guide(session, shop=shop) for _ in range(3))
        li = a_customer(session, wang, now=now, shop_id=shop.id)
        befriend(session, li, sun, now=now)
        campaign = running(session, now=now)
        task = a_task(session, wang, now=now, member=li, campaign=campaign)
        sent = a_task(session, wang, now=now, campaign=campaign, state=TaskState.SENT)
        wang.status = GuideStatus.LEFT

    handed = tasks.hand_over_absent(database, now=now)
    again = tasks.hand_over_absent(database, now=now)

    assert (handed, again) == (1, 0)
    with database.transaction() as session:
        moved = session.get_one(CareTask, task.id)
        assert (moved.guide_id, moved.state_reason) == (sun.id, "left")
        assert session.get_one(CareTask, sent.id).guide_id == wang.id


def test_a_departure_under_way_chooses_the_successor_itself(
    database: Database, now: datetime
) -> None:
    with database.transaction() as session:
        wang = a_guide(session)
        task = a_task(session, wang, now=now)
        departure = departures.begin(session, wang.id, successor_id=None, actor="hq:chen", now=now)

    while_under_way = tasks.hand_over_absent(database, now=now)
    with database.transaction() as session:
        session.get_one(Departure, departure.id).finished_at = now
    afterwards = tasks.hand_over_absent(database, now=now)

    assert (while_under_way, afterwards) == (0, 1)
    with database.transaction() as session:
        assert session.get_one(CareTask, task.id).guide_id is None


def test_a_leave_hands_over_only_what_cannot_wait(database: Database, now: datetime) -> None:
    with database.transaction() as session:
        shop = a_shop(session)
        wang, sun = (a_guide(session, shop=shop) for _ in range(2))
        soon, later = (
            a_task(
                session,
                wang,
                now=now,
                member=a_customer(session, wang, now=now, shop_id=shop.id),
                campaign=running(session, now=now, deadline_at=now + days * _DAY),
            ).id
            for days in (1, 9)
        )
        leaves.grant(session, wang.id, since=now, until=now + 7 * _DAY)

    before = tasks.hand_over_absent(database, now=now - _DAY)
    handed = tasks.hand_over_absent(database, now=now)

    assert (before, handed) == (0, 1)
    with database.transaction() as session:
        assert session.get_one(CareTask, soon).guide_id == sun.id
        assert session.get_one(CareTask, later).guide_id == wang.id


def test_what_nobody_can_take_over_is_due_at_once(database: Database, now: datetime) -> None:
    with database.transaction() as session:
        wang = a_guide(session)
        task = a_task(session, wang, now=now)
        wang.status = GuideStatus.LEFT

    tasks.hand_over_absent(database, now=now)

    with database.transaction() as session:
        left = session.get_one(CareTask, task.id)
    assert (left.guide_id, left.shop_id, left.deadline_at) == (None, None, now)


def test_many_tasks_are_handed_over_in_chunks(
    database: Database, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "_CHUNK", 2)
    with database.transaction() as session:
        wang, campaign = a_guide(session), running(session, now=now)
        for _ in range(5):
            a_task(session, wang, now=now, campaign=campaign)
        wang.status = GuideStatus.LEFT

    assert tasks.hand_over_absent(database, now=now) == 5


def test_a_leave_that_ends_before_it_begins_is_refused(session: Session, now: datetime) -> None:
    with pytest.raises(LeaveEndsFirst):
        leaves.grant(session, a_guide(session).id, since=now, until=now)


def test_a_task_put_off_comes_back_and_keeps_its_deadline(session: Session, now: datetime) -> None:
    task = a_task(session, a_guide(session), now=now)
    later = now + timedelta(hours=1)

    progress.snooze(session, task, later, now=now)
    progress.see(session, task, now=now)
    while_waiting = (task.state.value, task.waits_until)
    progress.see(session, task, now=later)

    assert while_waiting == ("snoozed", later)
    assert (task.state, task.waits_until) == (TaskState.SEEN, None)


@pytest.mark.parametrize("hours", [0, 2])
def test_a_task_is_not_put_off_past_its_deadline(
    session: Session, now: datetime, hours: int
) -> None:
    task = a_task(session, a_guide(session), now=now)

    with pytest.raises(BadPause):
        progress.snooze(session, task, now + timedelta(hours=hours), now=now)


def test_what_a_guide_says_to_have_told_counts_once_and_on_their_word(
    session: Session, now: datetime
) -> None:
    task = a_task(session, a_guide(session), now=now)

    touch = progress.report(session, task, actor="guide:wang", now=now)
    again = progress.report(session, task, actor="guide:wang", now=now)

    assert again.id == touch.id
    assert (touch.state, touch.channel, touch.evidence) == (
        TouchState.SENT,
        Channel.WECOM_SIDEBAR,
        Evidence.SELF_REPORTED,
    )
    assert (task.state, task.sent_at) == (TaskState.SENT, now)


def test_who_is_on_leave_does_not_answer_for_customers(session: Session, now: datetime) -> None:
    shop = a_shop(session)
    wang, sun = (a_guide(session, shop=shop) for _ in range(2))
    li = a_customer(session, wang, now=now, shop_id=shop.id)
    leaves.grant(session, wang.id, since=now, until=now + _DAY)

    found = [
        duty.on_duty(session, li.id, load=lambda _: Counter(), now=instant)
        for instant in (now - _DAY, now, now + _DAY)
    ]

    assert [guide.id for guide in found if guide] == [wang.id, sun.id, wang.id]
