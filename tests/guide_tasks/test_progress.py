"""A care task's way: what a guide may do with it, and what becomes of it afterwards."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import func
from sqlmodel import Session, select

from content.pieces import MAX_BYTES
from fatigue import gate
from fatigue.rules import Outcome
from guide_tasks import progress
from guide_tasks.progress import BadText, TooLate
from store import consents
from store.campaigns import WITH_GUIDE, Assignment, CareTask, TaskState
from store.errors import NotFound, WrongState
from store.jobs import Job
from store.organisation import GuideStatus
from store.touches import Channel, Evidence, Touch, TouchState
from tests.builders import a_guide, a_member, a_touch
from tests.guide_tasks.people import a_customer, a_task, running, write_in
from tests.times import at

OPEN = sorted(WITH_GUIDE)
CLOSED = sorted(set(TaskState) - set(OPEN))


def send(session: Session, task: CareTask, *, now: datetime) -> Touch:
    return progress.send(session, task, actor="guide:wang", now=now)


def nudges(session: Session) -> list[tuple[Job, int]]:
    """What would be handed over at the commit."""
    return list(session.info.get("zhiyin_after_commit", []))


def settle(
    session: Session, touch: Touch, state: TouchState, *, now: datetime, **more: str
) -> None:
    """Delivery takes a reserved touch past the fence and to its end."""
    assert gate.fence(session, touch.id, now=now).refusal is None
    evidence = Evidence(more.pop("evidence")) if "evidence" in more else None
    failure = more.pop("failure", None)
    settled = gate.settle(session, touch.id, state, evidence=evidence, failure=failure, now=now)
    progress.touch_settled(session, settled, now=now)


def test_a_guide_finds_own_tasks_only(session: Session, now: datetime) -> None:
    wang, sun = a_guide(session), a_guide(session)
    task = a_task(session, wang, now=now)

    assert progress.task_of_guide(session, task.token, wang.id) is task
    with pytest.raises(NotFound):
        progress.task_of_guide(session, task.token, sun.id)
    with pytest.raises(NotFound):
        progress.task_of_guide(session, "unknown", wang.id)


def test_who_has_left_finds_no_task_any_more(session: Session, now: datetime) -> None:
    wang = a_guide(session)
    task = a_task(session, wang, now=now)

    wang.status = GuideStatus.LEFT

    with pytest.raises(NotFound):
        progress.task_of_guide(session, task.token, wang.id)


def test_a_guide_opens_own_cards_only(session: Session, now: datetime) -> None:
    wang, sun = a_guide(session), a_guide(session)
    campaign = running(session, now=now)
    session.add(Assignment(campaign_id=campaign.id, guide_id=wang.id, token="t", created_at=now))
    session.flush()

    first = progress.open_assignment(session, "t", wang.id, now=now)
    again = progress.open_assignment(session, "t", wang.id, now=now + timedelta(hours=1))

    assert (first.opened_at, again.opened_at) == (now, now)
    with pytest.raises(NotFound):
        progress.open_assignment(session, "t", sun.id, now=now)


def test_looking_at_a_task_is_written_down_once(session: Session, now: datetime) -> None:
    task = a_task(session, a_guide(session), now=now)

    progress.see(session, task, now=now)
    progress.see(session, task, now=now + timedelta(minutes=5))

    assert (task.state, task.moved_at) == (TaskState.SEEN, now)


@pytest.mark.parametrize("state", [TaskState.SENDING, TaskState.FELL_BACK, TaskState.CONVERTED])
def test_looking_at_a_closed_task_changes_nothing(
    session: Session, now: datetime, state: TaskState
) -> None:
    task = a_task(session, a_guide(session), now=now, state=state)

    progress.see(session, task, now=now)

    assert task.state is state


@pytest.mark.parametrize("state", OPEN)
def test_an_edited_text_is_what_the_member_will_read(
    session: Session, now: datetime, state: TaskState
) -> None:
    task = a_task(session, a_guide(session), now=now, state=state)

    progress.edit(session, task, "  周末见。\n", now=now)

    assert (task.state, task.text) == (TaskState.EDITED, "周末见。")


def test_an_edit_back_to_the_draft_is_no_edit(session: Session, now: datetime) -> None:
    task = a_task(session, a_guide(session), now=now)

    progress.edit(session, task, task.draft, now=now)

    assert (task.state, task.edited_text) == (TaskState.ASSIGNED, None)


def test_an_edit_survives_the_look_that_came_before_it(session: Session, now: datetime) -> None:
    task = a_task(session, a_guide(session), now=now)

    progress.see(session, task, now=now)
    progress.edit(session, task, "周末见。", now=now)
    touch = send(session, task, now=now)

    assert touch.text == "周末见。"


def test_words_keep_their_lines_and_lose_what_no_platform_takes(
    session: Session, now: datetime
) -> None:
    task = a_task(session, a_guide(session), now=now)

    progress.edit(session, task, " 好久不见，\r\n来看看\x00新款？\n", now=now)
    session.flush()
    session.refresh(task)

    assert task.edited_text == "好久不见，\n来看看新款？"


@pytest.mark.parametrize(("text", "size"), [(" \n", 0), ("很" * 683, 2049)])
def test_words_that_cannot_be_sent_are_refused(
    session: Session, now: datetime, text: str, size: int
) -> None:
    task = a_task(session, a_guide(session), now=now)

    with pytest.raises(BadText) as refused:
        progress.edit(session, task, text, now=now)

    assert (refused.value.size, refused.value.limit) == (size, MAX_BYTES)
    assert task.edited_text is None


@pytest.mark.parametrize("state", CLOSED)
def test_a_closed_task_can_be_neither_edited_nor_skipped_nor_sent(
    session: Session, now: datetime, state: TaskState
) -> None:
    task = a_task(session, a_guide(session), now=now, state=state)

    with pytest.raises(WrongState):
        progress.edit(session, task, "周末见。", now=now)
    with pytest.raises(WrongState):
        progress.skip(session, task, "not_now", now=now)
    if state is not TaskState.SENDING:
        with pytest.raises(WrongState):
            send(session, task, now=now)
    assert session.exec(select(func.count()).select_from(Touch)).one() == 0


def test_a_skipped_task_keeps_the_reason(session: Session, now: datetime) -> None:
    task = a_task(session, a_guide(session), now=now)

    progress.skip(session, task, "just_bought", now=now)

    assert (task.state, task.state_reason) == (TaskState.SKIPPED, "just_bought")


def test_a_tap_on_send_reserves_a_touch_and_nudges_delivery(
    session: Session, now: datetime
) -> None:
    wang = a_guide(session)
    task = a_task(session, wang, now=now)

    touch = send(session, task, now=now)

    assert task.state is TaskState.SENDING
    assert (touch.state, touch.channel, touch.guide_id, touch.care_task_id) == (
        TouchState.RESERVED,
        Channel.WECOM_BROADCAST,
        wang.id,
        task.id,
    )
    assert touch.text == task.draft
    assert nudges(session) == [(Job.DELIVER_TOUCH, touch.id)]


def test_a_double_tap_is_one_touch(session: Session, now: datetime) -> None:
    task = a_task(session, a_guide(session), now=now)

    first = send(session, task, now=now)
    again = send(session, task, now=now + timedelta(seconds=1))

    assert again is first
    assert nudges(session) == [(Job.DELIVER_TOUCH, first.id)]
    assert session.exec(select(func.count()).select_from(Touch)).one() == 1


def test_a_tap_after_the_deadline_comes_too_late_and_leaves_the_task(
    session: Session, now: datetime
) -> None:
    """Withholding it would end the task, and the fallback could not speak any more."""
    task = a_task(session, a_guide(session), now=now)

    with pytest.raises(TooLate):
        send(session, task, now=task.deadline_at)

    assert task.state is TaskState.ASSIGNED


def test_a_tap_at_night_waits_for_the_morning_and_is_sent_then(session: Session) -> None:
    night, morning = at("2026-03-01 22:30"), at("2026-03-02 08:00")
    campaign = running(session, now=night, deadline_at=at("2026-03-02 20:00"))
    task = a_task(session, a_guide(session), now=night, campaign=campaign)

    touch = send(session, task, now=night)

    assert (task.state, touch.state, touch.retry_at) == (
        TaskState.SENDING,
        TouchState.ASKED,
        morning,
    )
    assert nudges(session) == []
    gate.ask_again(session, [touch.id], now=morning)
    settle(session, touch, TouchState.SENT, evidence="platform", now=morning)
    assert (task.state, task.sent_at) == (TaskState.DELIVERED, morning)


def test_a_withheld_tap_ends_the_task_with_its_rule(session: Session, now: datetime) -> None:
    task = a_task(session, a_guide(session), now=now)
    consents.stop(session, task.member_id, reason="chat", now=now)

    touch = send(session, task, now=now)

    assert touch.state is TouchState.WITHHELD
    assert (task.state, task.state_reason) == (TaskState.SUPPRESSED, "opted_out")
    assert nudges(session) == []


def test_advice_says_what_a_tap_would_do_and_writes_nothing(
    session: Session, now: datetime
) -> None:
    task = a_task(session, a_guide(session), now=now)

    advice = progress.advise(session, task, now=now)

    assert advice.outcome is Outcome.OPEN
    assert session.exec(select(Touch)).all() == []


@pytest.mark.parametrize(
    ("evidence", "state"),
    [("platform", TaskState.DELIVERED), ("self_reported", TaskState.SENT)],
)
def test_a_sent_touch_is_a_sent_task_and_delivered_when_the_platform_says_so(
    session: Session, now: datetime, evidence: str, state: TaskState
) -> None:
    task = a_task(session, a_guide(session), now=now)
    touch = send(session, task, now=now)

    settle(session, touch, TouchState.SENT, evidence=evidence, now=now)

    assert (task.state, task.sent_at) == (state, now)


def test_an_unknown_touch_leaves_the_task_sending_until_somebody_knows(
    session: Session, now: datetime
) -> None:
    task = a_task(session, a_guide(session), now=now)
    touch = send(session, task, now=now)

    settle(session, touch, TouchState.UNKNOWN, now=now)
    while_unknown = task.state.value
    settled = gate.settle(session, touch.id, TouchState.SENT, now=now)
    progress.touch_settled(session, settled, now=now)

    assert (while_unknown, task.state) == ("sending", TaskState.SENT)


def test_a_failed_touch_of_the_guide_gives_the_word_to_the_brand(
    session: Session, now: datetime
) -> None:
    wang = a_guide(session)
    member = a_customer(session, wang, now=now)
    write_in(session, member, now=now)
    task = a_task(session, wang, now=now, member=member)
    touch = send(session, task, now=now)

    settle(session, touch, TouchState.FAILED, failure="recipient_gone", now=now)

    fallback = session.exec(select(Touch).where(Touch.id != touch.id)).one()
    assert task.state is TaskState.FELL_BACK
    assert (fallback.channel, fallback.state, fallback.text) == (
        Channel.WECHAT_SERVICE,
        TouchState.RESERVED,
        task.draft,
    )
    assert nudges(session)[-1] == (Job.DELIVER_TOUCH, fallback.id)


def test_a_failure_told_twice_does_not_end_the_fallback(session: Session, now: datetime) -> None:
    wang = a_guide(session)
    member = a_customer(session, wang, now=now)
    write_in(session, member, now=now)
    task = a_task(session, wang, now=now, member=member)
    touch = send(session, task, now=now)
    settle(session, touch, TouchState.FAILED, failure="recipient_gone", now=now)

    progress.touch_settled(session, touch, now=now)

    assert task.state is TaskState.FELL_BACK


def test_a_failed_task_stays_failed_when_the_brand_may_not_speak_either(
    session: Session, now: datetime
) -> None:
    """The official account has no window open."""
    task = a_task(session, a_guide(session), now=now)
    touch = send(session, task, now=now)

    settle(session, touch, TouchState.FAILED, failure="recipient_gone", now=now)

    silence = session.exec(select(Touch).where(Touch.id != touch.id)).one()
    assert (task.state, task.state_reason) == (TaskState.FAILED, "recipient_gone")
    assert (silence.state, silence.verdict["violations"][0]["rule"]) == (
        TouchState.WITHHELD,
        "no_grant",
    )


def test_a_failed_task_of_a_campaign_without_fallback_stays_failed(
    session: Session, now: datetime
) -> None:
    campaign = running(session, now=now, fallback_channels=[])
    task = a_task(session, a_guide(session), now=now, campaign=campaign)
    touch = send(session, task, now=now)

    settle(session, touch, TouchState.FAILED, failure="recipient_gone", now=now)

    assert (task.state, task.state_reason) == (TaskState.FAILED, "recipient_gone")


def test_a_touch_that_waited_past_the_deadline_gives_the_word_to_the_brand(
    session: Session, now: datetime
) -> None:
    wang = a_guide(session)
    member = a_customer(session, wang, now=now)
    write_in(session, member, now=now)
    task = a_task(session, wang, now=now, member=member)
    touch = send(session, task, now=now)

    (late,) = gate.ask_again(session, [touch.id], now=task.deadline_at)
    progress.touch_settled(session, late, now=task.deadline_at)

    assert (late.state, task.state) == (TouchState.WITHHELD, TaskState.FELL_BACK)
    assert [found.channel for found in on_their_way(session)] == [Channel.WECHAT_SERVICE]


def on_their_way(session: Session) -> list[Touch]:
    return list(session.exec(select(Touch).where(Touch.state == TouchState.RESERVED)))


def test_a_touch_withheld_at_the_fence_ends_the_task(session: Session, now: datetime) -> None:
    task = a_task(session, a_guide(session), now=now)
    touch = send(session, task, now=now)
    consents.stop(session, task.member_id, reason="chat", now=now)

    fenced = gate.fence(session, touch.id, now=now)
    progress.touch_settled(session, fenced.touch, now=now)

    assert (task.state, task.state_reason) == (TaskState.SUPPRESSED, "opted_out")


def test_a_released_touch_ends_the_task_with_the_reason_given(
    session: Session, now: datetime
) -> None:
    task = a_task(session, a_guide(session), now=now)
    touch = send(session, task, now=now)

    released = gate.release(session, touch.id, reason="campaign_stopped", now=now)
    progress.touch_settled(session, released, now=now)

    assert (task.state, task.state_reason) == (TaskState.SUPPRESSED, "campaign_stopped")


def test_a_touch_without_a_task_concerns_nobody(session: Session, now: datetime) -> None:
    touch = a_touch(session, a_member(session), now=now)

    progress.touch_settled(session, touch, now=now)

    assert session.exec(select(CareTask)).all() == []
