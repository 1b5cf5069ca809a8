"""A member's words answer the last care that had reached them, whoever hears of it first."""

from datetime import datetime, timedelta

import pytest
from sqlmodel import Session

from guide_tasks import progress, replies
from store.campaigns import CareTask, TaskState
from store.grants import Trigger, open_window
from store.members import Member
from store.organisation import Guide
from store.touches import Evidence, Touch, TouchState
from tests.builders import a_guide
from tests.guide_tasks.people import a_customer, a_sent_touch, a_task, write_in, writes

_MINUTE, _DAY = timedelta(minutes=1), timedelta(days=1)


@pytest.fixture
def wang(session: Session) -> Guide:
    return a_guide(session)


@pytest.fixture
def li(session: Session, wang: Guide, now: datetime) -> Member:
    return a_customer(session, wang, now=now)


def arrived(session: Session, wang: Guide, li: Member, *, at: datetime) -> CareTask:
    """A task whose message reached the member, as is known."""
    task = a_task(session, wang, now=at, member=li, state=TaskState.SENT, sent_at=at)
    a_sent_touch(session, task, at=at)
    return task


def under_way(
    session: Session, wang: Guide, li: Member, *, since: datetime
) -> tuple[CareTask, Touch]:
    """A task whose message lies before its guide; nobody told us yet what became of it."""
    task = a_task(session, wang, now=since, member=li, state=TaskState.SENDING)
    facts = {"state": TouchState.SENDING, "fenced_at": since, "settled_at": None}
    return task, a_sent_touch(session, task, at=since, **facts)


def hear(
    session: Session, touch: Touch, *, now: datetime, reached_at: datetime | None = None
) -> None:
    """The platform says when the message went out, or that it never will."""
    touch.state = TouchState.SENT if reached_at else TouchState.FAILED
    touch.counted_at = reached_at or touch.counted_at
    progress.touch_settled(session, touch, now=now)


def test_a_word_from_the_member_answers_the_last_task_once(
    session: Session, wang: Guide, li: Member, now: datetime
) -> None:
    old, middle, last = (
        arrived(session, wang, li, at=now - timedelta(days=days)) for days in (8, 3, 1)
    )
    zhao = arrived(session, wang, a_customer(session, wang, now=now), at=now - _DAY)

    writes(session, li, now=now)
    writes(session, li, now=now + _MINUTE)

    assert last.replied_at == now
    assert [task.state for task in (old, middle, last, zhao)] == [
        TaskState.SENT,
        TaskState.SENT,
        TaskState.REPLIED,
        TaskState.SENT,
    ]


@pytest.mark.parametrize(
    "after", [-_MINUTE, timedelta(0), replies.WINDOW], ids=["before", "at", "a week after"]
)
def test_words_outside_of_the_week_are_no_answer(
    session: Session, wang: Guide, li: Member, now: datetime, after: timedelta
) -> None:
    known = arrived(session, wang, li, at=now)
    writes(session, li, now=now + after)

    assert known.state is TaskState.SENT


def test_a_member_who_writes_before_it_is_known_that_the_message_went_has_answered(
    session: Session, wang: Guide, li: Member, now: datetime
) -> None:
    task, touch = under_way(session, wang, li, since=now)
    writes(session, li, now=now + 2 * _MINUTE)

    hear(session, touch, reached_at=now + _MINUTE, now=now + _DAY)
    progress.touch_settled(session, touch, now=now + 2 * _DAY)

    assert (task.state, task.replied_at) == (TaskState.REPLIED, now + 2 * _MINUTE)


def test_what_a_member_wrote_before_it_went_out_is_no_answer(
    session: Session, wang: Guide, li: Member, now: datetime
) -> None:
    task, touch = under_way(session, wang, li, since=now)
    writes(session, li, now=now + _MINUTE)

    hear(session, touch, reached_at=now + 2 * _MINUTE, now=now + _DAY)

    assert (task.state, task.replied_at) == (TaskState.DELIVERED, None)


def test_a_tap_on_the_menu_is_no_answer(
    session: Session, wang: Guide, li: Member, now: datetime
) -> None:
    task, touch = under_way(session, wang, li, since=now)
    open_window(session, li.id, Trigger.MENU, account="a", source_id="tap", now=now + 2 * _MINUTE)

    hear(session, touch, reached_at=now + _MINUTE, now=now + _DAY)

    assert task.state is TaskState.DELIVERED


@pytest.mark.parametrize("is_sent", [True, False])
def test_words_wait_for_the_care_that_may_have_gone_before_them_and_answer_one(
    session: Session, wang: Guide, li: Member, now: datetime, is_sent: bool
) -> None:
    """Whether it was the newer care they answered, or the older one, is known only then."""
    older = arrived(session, wang, li, at=now - _DAY)
    newer, touch = under_way(session, wang, li, since=now)

    writes(session, li, now=now + 2 * _MINUTE)
    meanwhile = older.state
    hear(session, touch, reached_at=now + _MINUTE if is_sent else None, now=now + _DAY)

    answered, other = (newer, older) if is_sent else (older, newer)
    assert meanwhile is TaskState.SENT
    assert (answered.state, answered.replied_at) == (TaskState.REPLIED, now + 2 * _MINUTE)
    assert other.replied_at is None


def test_words_that_answered_one_care_do_not_answer_another(
    session: Session, wang: Guide, li: Member, now: datetime
) -> None:
    older = arrived(session, wang, li, at=now - _DAY)
    newer, touch = under_way(session, wang, li, since=now)
    touch.state = TouchState.UNKNOWN

    writes(session, li, now=now + 2 * _MINUTE)
    hear(session, touch, reached_at=now + _MINUTE, now=now + _DAY)

    assert (older.state, newer.state) == (TaskState.REPLIED, TaskState.DELIVERED)


def test_an_answer_proves_what_only_a_word_told_of(
    session: Session, wang: Guide, li: Member, now: datetime
) -> None:
    task, touch = under_way(session, wang, li, since=now)
    touch.evidence = Evidence.SELF_REPORTED
    writes(session, li, now=now + 2 * _MINUTE)

    hear(session, touch, reached_at=now + _MINUTE, now=now + _DAY)

    assert (task.state, touch.evidence) == (TaskState.REPLIED, Evidence.EVENT)


def test_who_only_wrote_in_has_answered_nothing(
    session: Session, wang: Guide, li: Member, now: datetime
) -> None:
    write_in(session, li, now=now - _DAY)
    task = arrived(session, wang, li, at=now)

    writes(session, a_customer(session, wang, now=now), now=now + _MINUTE)

    assert task.state is TaskState.SENT
