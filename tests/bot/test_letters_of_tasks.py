"""A care task behind a letter: it comes back with its message, or keeps the message from going."""

from datetime import datetime, timedelta

import pytest
from sqlmodel import Session, select

from bot import dead_letters, delivery_reports
from fatigue import gate
from guide_tasks import progress, sidebar
from guide_tasks.again import AnotherWay
from store import consents, letters
from store.campaigns import CareTask, TaskState
from store.letters import Letter, LetterState
from store.members import Member
from store.touches import Channel, Evidence, Touch, TouchState
from tests.builders import a_guide
from tests.guide_tasks.people import a_customer, a_task, write_in, writes
from tests.guide_tasks.test_progress import send, settle


def retry(session: Session, touch: Touch, *, now: datetime) -> Touch:
    """HQ has the message of a letter sent again."""
    token = session.exec(select(Letter.token).where(Letter.touch_id == touch.id)).one()
    return dead_letters.retry(session, token, actor="operator:song", now=now)


def a_lost(
    session: Session, state: TouchState, *, now: datetime, may_answer: bool = False
) -> Touch:
    """A guide's message that got no further; the account may speak where the member wrote."""
    wang = a_guide(session)
    member = a_customer(session, wang, now=now)
    if may_answer:
        write_in(session, member, now=now)
    task = a_task(session, wang, now=now, member=member)
    touch = send(session, task, now=now)
    settle(session, touch, state, failure="bad_content", now=now)
    letters.write(session, {touch.id: "bad_content"}, now=now)
    return touch


def task_of(session: Session, touch: Touch) -> CareTask:
    """The task as it stands."""
    return session.get_one(CareTask, touch.care_task_id)


@pytest.mark.parametrize(
    ("end", "evidence", "state"),
    [
        (TouchState.SENT, "platform", TaskState.DELIVERED),
        (TouchState.SENT, "self_reported", TaskState.SENT),
        (TouchState.FAILED, "", TaskState.FAILED),
    ],
)
def test_a_failed_task_comes_back_with_its_message(
    session: Session, now: datetime, end: TouchState, evidence: str, state: TaskState
) -> None:
    touch = a_lost(session, TouchState.FAILED, now=now)
    before = task_of(session, touch).state.value

    again = retry(session, touch, now=now)
    under_way = task_of(session, touch).state.value
    settle(session, again, end, now=now, **({"evidence": evidence} if evidence else {}))

    assert (before, under_way) == ("failed", "fell_back")
    assert task_of(session, touch).state is state


def test_a_message_is_not_sent_again_while_the_brand_speaks(
    session: Session, now: datetime
) -> None:
    touch = a_lost(session, TouchState.FAILED, now=now, may_answer=True)
    assert task_of(session, touch).state is TaskState.FELL_BACK

    with pytest.raises(AnotherWay), session.begin_nested():
        retry(session, touch, now=now)

    keys = session.exec(select(Touch.key).where(Touch.care_task_id == touch.care_task_id)).all()
    assert not any(key.endswith("~again") for key in keys)
    assert session.exec(select(Letter.state)).one() is LetterState.OPEN


def test_an_unknown_message_of_a_waiting_task_is_sent_again(
    session: Session, now: datetime
) -> None:
    touch = a_lost(session, TouchState.UNKNOWN, now=now)

    again = retry(session, touch, now=now)
    settle(session, again, TouchState.SENT, evidence="platform", now=now)

    assert touch.state is TouchState.FAILED
    assert task_of(session, touch).state is TaskState.DELIVERED


def test_a_lost_message_of_a_chat_is_sent_again_as_a_broadcast(
    session: Session, now: datetime
) -> None:
    task = a_task(session, a_guide(session), now=now)
    sidebar.begin(session, task, actor="guide:wang", now=now)
    later = now + timedelta(minutes=10)
    [touch_id] = gate.mark_unknown(session, older_than=timedelta(minutes=5), now=later)
    letters.write(session, {touch_id: "silent"}, now=later)

    again = retry(session, session.get_one(Touch, touch_id), now=later)
    under_way = task.state
    settle(session, again, TouchState.SENT, evidence="platform", now=later)

    # Nobody is at the page any more: the guide confirms it in WeCom.
    assert (again.channel, under_way) == (Channel.WECOM_BROADCAST, TaskState.SENDING)
    assert task.state is TaskState.DELIVERED


def test_a_message_that_the_gate_withholds_leaves_its_task_failed(
    session: Session, now: datetime
) -> None:
    touch = a_lost(session, TouchState.FAILED, now=now)
    task = task_of(session, touch)
    consents.stop(session, task.member_id, reason="chat", now=now)

    again = retry(session, touch, now=now)

    assert (again.state, task.state) == (TouchState.WITHHELD, TaskState.FAILED)


@pytest.mark.parametrize("evidence", [Evidence.PLATFORM, None])
def test_a_report_after_sent_delivers_the_task(
    session: Session, now: datetime, evidence: Evidence | None
) -> None:
    task = a_task(session, a_guide(session), now=now)
    touch = send(session, task, now=now)
    settle(session, touch, TouchState.SENT, evidence="event", now=now)
    before = task.state.value

    if evidence:
        delivery_reports.tell(session, touch, provider_id="m-1", now=now)
    else:
        settled = gate.settle(session, touch.id, TouchState.SENT, now=now)
        progress.touch_settled(session, settled, now=now)

    assert before == "sent"
    assert task.state is (TaskState.DELIVERED if evidence else TaskState.SENT)
    assert task.sent_at == now


def test_a_report_after_an_answer_leaves_the_task_answered(session: Session, now: datetime) -> None:
    task = a_task(session, a_guide(session), now=now)
    touch = send(session, task, now=now)
    settle(session, touch, TouchState.SENT, evidence="event", now=now)
    member = session.get_one(Member, task.member_id)
    writes(session, member, now=now + timedelta(minutes=1))

    delivery_reports.tell(session, touch, provider_id="m-1", now=now)

    assert task.state is TaskState.REPLIED
