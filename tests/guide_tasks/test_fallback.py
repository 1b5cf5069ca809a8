"""Fallback in steps: a broadcast in a guide's name, then the account; never both."""

from datetime import datetime, timedelta

import pytest
from sqlmodel import Session, col, select

from fatigue import gate
from guide_tasks import deadlines, progress, stopping
from store import consents
from store.campaigns import CareTask, TaskState
from store.db import Database
from store.touches import Channel, Evidence, Touch, TouchState
from tests.builders import a_guide
from tests.guide_tasks.people import a_customer, a_task, running, write_in

STEPS = [Channel.WECOM_BROADCAST.value, Channel.WECHAT_SERVICE.value]
_HOUR = timedelta(hours=1)


def a_forgotten_task(session: Session, *, now: datetime) -> CareTask:
    """A task at its deadline; the campaign tries a broadcast first, then the account."""
    wang = a_guide(session)
    member = a_customer(session, wang, now=now)
    write_in(session, member, now=now)
    campaign = running(session, now=now, fallback_channels=STEPS, fallback_hours=5)
    return a_task(session, wang, now=now, member=member, campaign=campaign)


def touches(session: Session, task: CareTask) -> list[Touch]:
    query = select(Touch).where(Touch.care_task_id == task.id).order_by(col(Touch.id))
    return list(session.exec(query.execution_options(populate_existing=True)).all())


def lay_before_guide(session: Session, touch: Touch, *, now: datetime) -> None:
    assert gate.fence(session, touch.id, now=now).refusal is None
    gate.settle(session, touch.id, TouchState.SENDING, provider_id="m1", now=now)


def fall_back(session: Session, task: CareTask) -> Touch:
    """The deadline passes; gives the broadcast that is laid before the guide."""
    deadlines._pass_chunk(session, task.deadline_at)
    (touch,) = touches(session, task)
    return touch


def test_the_first_step_is_a_broadcast_in_the_guides_name(session: Session, now: datetime) -> None:
    task = a_forgotten_task(session, now=now)

    touch = fall_back(session, task)

    assert (touch.channel, touch.guide_id, touch.text) == (
        Channel.WECOM_BROADCAST,
        task.guide_id,
        task.draft,
    )
    assert task.state is TaskState.FELL_BACK
    assert task.fallback_until == task.deadline_at + 5 * _HOUR


def test_a_broadcast_that_a_guide_confirms_ends_the_fallback(
    session: Session, now: datetime
) -> None:
    task = a_forgotten_task(session, now=now)
    touch = fall_back(session, task)
    lay_before_guide(session, touch, now=task.deadline_at)
    confirmed = gate.settle(
        session,
        touch.id,
        TouchState.SENT,
        evidence=Evidence.PLATFORM,
        now=task.deadline_at + _HOUR,
    )

    progress.touch_settled(session, confirmed, now=task.deadline_at + _HOUR)

    assert (task.state, task.fallback_until) == (TaskState.DELIVERED, None)
    assert deadlines._pass_step(session, task.deadline_at + 9 * _HOUR) == (0, 0)


def test_the_account_speaks_when_the_broadcast_failed(session: Session, now: datetime) -> None:
    task = a_forgotten_task(session, now=now)
    touch = fall_back(session, task)
    lay_before_guide(session, touch, now=task.deadline_at)
    failed = gate.settle(
        session, touch.id, TouchState.FAILED, failure="not_a_contact", now=task.deadline_at
    )

    progress.touch_settled(session, failed, now=task.deadline_at)

    broadcast, account = touches(session, task)
    assert (broadcast.state, account.state) == (TouchState.FAILED, TouchState.RESERVED)
    assert (account.channel, task.state) == (Channel.WECHAT_SERVICE, TaskState.FELL_BACK)


def test_a_broadcast_that_waits_for_its_turn_too_long_is_released_for_the_account(
    session: Session, now: datetime
) -> None:
    task = a_forgotten_task(session, now=now)
    fall_back(session, task)
    ends = task.deadline_at + 5 * _HOUR

    early = deadlines._pass_step(session, ends - timedelta(seconds=1))
    passed = deadlines._pass_step(session, ends)

    broadcast, account = touches(session, task)
    assert (early, passed) == ((0, 0), (1, 1))
    assert (broadcast.state, account.state) == (TouchState.RELEASED, TouchState.RESERVED)


def test_a_broadcast_before_its_guide_is_stopped_first(session: Session, now: datetime) -> None:
    task = a_forgotten_task(session, now=now)
    touch = fall_back(session, task)
    lay_before_guide(session, touch, now=task.deadline_at)
    ends = task.deadline_at + 5 * _HOUR

    passed = deadlines._pass_step(session, ends)
    late = stopping.overdue(session, now=ends)
    stopping.stopped(session, touch.id, now=ends)
    in_grace = stopping.is_waiting(touch, now=ends)
    stopping.give_up(session, touch.id, now=ends + stopping.GRACE)

    broadcast, account = touches(session, task)
    assert (passed, [found.id for found in late], in_grace) == ((0, 0), [touch.id], True)
    assert (broadcast.state, broadcast.failure) == (TouchState.FAILED, "not_confirmed")
    assert account.state is TouchState.RESERVED


def test_what_a_guide_tapped_and_did_not_confirm_falls_back_at_the_deadline(
    session: Session, now: datetime
) -> None:
    task = a_forgotten_task(session, now=now)
    touch = progress.send(session, task, actor="guide:wang", now=now)
    lay_before_guide(session, touch, now=now)

    in_time = stopping.overdue(session, now=task.deadline_at - timedelta(seconds=1))
    late = stopping.overdue(session, now=task.deadline_at)
    stopping.give_up(session, touch.id, now=task.deadline_at)

    assert (in_time, [found.id for found in late]) == ([], [touch.id])
    # The guide has been asked to confirm once: not again.
    assert [found.channel for found in touches(session, task)] == [
        Channel.WECOM_BROADCAST,
        Channel.WECHAT_SERVICE,
    ]


def test_a_confirmation_in_the_last_second_stands(session: Session, now: datetime) -> None:
    task = a_forgotten_task(session, now=now)
    touch = progress.send(session, task, actor="guide:wang", now=now)
    lay_before_guide(session, touch, now=now)
    stopping.stopped(session, touch.id, now=task.deadline_at)
    sent = gate.settle(
        session, touch.id, TouchState.SENT, evidence=Evidence.PLATFORM, now=task.deadline_at
    )
    progress.touch_settled(session, sent, now=task.deadline_at)

    stopping.give_up(session, touch.id, now=task.deadline_at + stopping.GRACE)

    assert (task.state, len(touches(session, task))) == (TaskState.DELIVERED, 1)


def test_a_withheld_tap_leaves_the_word_to_the_brand(session: Session, now: datetime) -> None:
    """The member wants nothing in WeCom, and reads the account."""
    task = a_forgotten_task(session, now=now)
    consents.stop(session, task.member_id, channel=Channel.WECOM_BROADCAST, reason="page", now=now)

    tap = progress.send(session, task, actor="guide:wang", now=now)

    assert tap.state is TouchState.WITHHELD
    assert task.state is TaskState.FELL_BACK
    assert [found.state for found in touches(session, task)] == [
        TouchState.WITHHELD,
        TouchState.RESERVED,
    ]


def test_a_withheld_tap_of_a_campaign_without_fallback_ends_with_its_rule(
    session: Session, now: datetime
) -> None:
    task = a_task(
        session, a_guide(session), now=now, campaign=running(session, now=now, fallback_channels=[])
    )
    consents.stop(session, task.member_id, reason="chat", now=now)

    progress.send(session, task, actor="guide:wang", now=now)

    assert (task.state, task.state_reason) == (TaskState.SUPPRESSED, "opted_out")


def test_the_accounts_word_must_come_within_the_hours_of_the_campaign(
    session: Session, now: datetime
) -> None:
    task = a_forgotten_task(session, now=now)
    consents.stop(session, task.member_id, channel=Channel.WECOM_BROADCAST, reason="page", now=now)
    progress.send(session, task, actor="guide:wang", now=now)

    _, account = touches(session, task)
    assert account.deadline_at == now + 5 * _HOUR


@pytest.mark.parametrize("confirms", [True, False])
def test_every_way_through_the_steps_tells_the_member_once(
    database: Database, now: datetime, confirms: bool
) -> None:
    with database.transaction() as session:
        task = a_forgotten_task(session, now=now)
    deadlines.pass_due(database, now=task.deadline_at)
    with database.transaction() as session:
        (touch,) = touches(session, task)
        lay_before_guide(session, touch, now=task.deadline_at)
    ends = task.deadline_at + 5 * _HOUR
    with database.transaction() as session:
        if confirms:
            sent = gate.settle(session, touch.id, TouchState.SENT, now=ends)
            progress.touch_settled(session, sent, now=ends)
        stopping.give_up(session, touch.id, now=ends + stopping.GRACE)
    deadlines.pass_due(database, now=ends + _HOUR)

    with database.transaction() as session:
        states = [found.state for found in touches(session, task)]
    expected = [TouchState.SENT] if confirms else [TouchState.FAILED, TouchState.RESERVED]
    assert states == expected
