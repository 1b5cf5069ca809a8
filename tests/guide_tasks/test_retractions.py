"""A platform took a message and says later that it did not arrive: what followed is taken back."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlmodel import Session, select

from bot import delivery_reports
from fatigue import gate
from guide_tasks import attribution, results
from store import orders_due
from store.attributions import Attribution, Commission, CommissionState
from store.campaigns import CareTask, TaskState
from store.errors import WrongState
from store.jobs import Job
from store.members import Member
from store.orders import Order
from store.organisation import Guide
from store.touches import Channel, Evidence, Touch, TouchState
from tests.builders import a_guide, an_order
from tests.guide_tasks.people import URL, a_customer, a_sent_touch, a_task, write_in, writes

_HOUR = timedelta(hours=1)
_AFTER = [TaskState.SENT, TaskState.DELIVERED, TaskState.REPLIED, TaskState.CONVERTED]


def a_notice(session: Session, task: CareTask, *, at: datetime, **facts: Any) -> Touch:
    """The brand's own word for a task; the platform took it."""
    usual = {"channel": Channel.WECHAT_NOTICE, "guide_id": None, "evidence": Evidence.EVENT}
    return a_sent_touch(session, task, at=at, **usual | facts)


def a_sent_task(
    session: Session, *, now: datetime, state: TaskState = TaskState.SENT
) -> tuple[CareTask, Touch]:
    """A task that fell back, and whose member the platform said it would tell."""
    guide = a_guide(session)
    task = a_task(session, guide, now=now, state=state, sent_at=now, replied_at=now)
    return task, a_notice(session, task, at=now)


def report(
    session: Session, touch: Touch, *, now: datetime, failure: str = "platform_failed"
) -> None:
    """The platform's word on a message that it took."""
    delivery_reports.tell(session, touch, provider_id="m-1", failure=failure, now=now)


def buy(session: Session, task: CareTask, *, now: datetime) -> Order:
    """The member of a task buys, and the sale is credited as far as it can be."""
    order = an_order(session, session.get_one(Member, task.member_id), now=now).order
    attribution.attribute(session, order.id, public_url=URL, now=now)
    return order


def looked_at_again(session: Session, order: Order, *, now: datetime) -> Attribution | None:
    """What the nudged job makes of an order."""
    assert (Job.ATTRIBUTE_ORDER, order.id) in session.info["zhiyin_after_commit"]
    assert order.is_attribution_due
    return attribution.attribute(session, order.id, public_url=URL, now=now)


@pytest.mark.parametrize("state", _AFTER)
def test_a_task_whose_message_did_not_arrive_has_failed(
    session: Session, now: datetime, state: TaskState
) -> None:
    task, touch = a_sent_task(session, now=now, state=state)

    report(session, touch, now=now)

    assert (touch.state, task.state) == (TouchState.FAILED, TaskState.FAILED)
    assert (task.state_reason, task.sent_at, task.replied_at) == ("platform_failed", None, None)


def test_results_do_not_count_what_did_not_arrive(session: Session, now: datetime) -> None:
    task, touch = a_sent_task(session, now=now, state=TaskState.REPLIED)
    order = buy(session, task, now=now + _HOUR)
    before = results.funnel(session, task.campaign_id)

    report(session, touch, now=now + 2 * _HOUR)
    looked_at_again(session, order, now=now + 2 * _HOUR)

    after = results.funnel(session, task.campaign_id)
    assert (before.reached, before.bought, before.orders, before.sales_fen) == (1, 1, 1, 10_000)
    assert (after.reached, after.replied, after.bought, after.orders) == (0, 0, 0, 0)
    assert after.tasks == {TaskState.FAILED: 1}


def test_a_sale_whose_commission_was_taken_back_is_none(session: Session, now: datetime) -> None:
    task = a_task(session, a_guide(session), now=now, state=TaskState.SENT, sent_at=now)
    touch = a_sent_touch(session, task, at=now)
    order = buy(session, task, now=now + _HOUR)

    report(session, touch, now=now + 2 * _HOUR)
    kept = looked_at_again(session, order, now=now + 2 * _HOUR)

    after = results.funnel(session, task.campaign_id)
    assert kept is not None
    assert (after.bought, after.orders, after.commission_fen) == (0, 0, 0)


def test_a_report_that_comes_twice_takes_back_once(session: Session, now: datetime) -> None:
    task, touch = a_sent_task(session, now=now)
    report(session, touch, now=now)

    report(session, touch, now=now + _HOUR)
    report(session, touch, failure="", now=now + _HOUR)

    assert (task.state, task.moved_at) == (TaskState.FAILED, now)
    assert touch.state is TouchState.FAILED


def test_an_old_report_does_not_end_what_was_sent_again(session: Session, now: datetime) -> None:
    task, touch = a_sent_task(session, now=now)
    report(session, touch, now=now)
    task.state, task.state_reason = TaskState.FELL_BACK, "sent_again"
    session.flush()

    report(session, touch, now=now + _HOUR)

    assert task.state is TaskState.FELL_BACK


def test_a_task_that_another_message_reached_stays_as_it_is(
    session: Session, now: datetime
) -> None:
    task, touch = a_sent_task(session, now=now, state=TaskState.DELIVERED)
    a_sent_touch(session, task, at=now)

    report(session, touch, now=now)

    assert (touch.state, task.state) == (TouchState.FAILED, TaskState.DELIVERED)


def test_an_order_after_the_report_is_nobodys(session: Session, now: datetime) -> None:
    task, touch = a_sent_task(session, now=now)
    report(session, touch, now=now)

    buy(session, task, now=now + _HOUR)

    assert session.exec(select(Attribution)).all() == []
    assert task.state is TaskState.FAILED


def test_a_sale_goes_to_the_message_before_when_the_last_did_not_arrive(
    session: Session, now: datetime
) -> None:
    wang = a_guide(session)
    li = a_customer(session, wang, now=now)
    cared = a_task(session, wang, now=now, member=li, state=TaskState.DELIVERED)
    a_sent_touch(session, cared, at=now)
    task = a_task(session, wang, now=now, member=li, state=TaskState.SENT)
    touch = a_notice(session, task, at=now + _HOUR)
    order = buy(session, task, now=now + 2 * _HOUR)

    report(session, touch, now=now + 3 * _HOUR)
    found = looked_at_again(session, order, now=now + 3 * _HOUR)

    assert found is not None
    assert (found.care_task_id, found.guide_id, found.amount_fen) == (cared.id, wang.id, 10_000)
    assert (cared.state, task.state) == (TaskState.CONVERTED, TaskState.FAILED)
    assert session.exec(select(Commission.amount_fen)).all() == [500]


def test_what_a_guide_earned_on_it_is_clawed_back(session: Session, now: datetime) -> None:
    task = a_task(session, a_guide(session), now=now, state=TaskState.DELIVERED)
    touch = a_sent_touch(session, task, at=now)
    order = buy(session, task, now=now + _HOUR)

    report(session, touch, now=now + 2 * _HOUR)
    found = looked_at_again(session, order, now=now + 2 * _HOUR)
    attribution.attribute(session, order.id, public_url=URL, now=now + 3 * _HOUR)

    assert found is not None
    assert (found.amount_fen, task.state) == (0, TaskState.FAILED)
    (commission,) = session.exec(select(Commission)).all()
    assert (commission.amount_fen, commission.state) == (0, CommissionState.CLAWED_BACK)


def test_a_commission_goes_from_one_guide_to_another(session: Session, now: datetime) -> None:
    wang, sun = a_guide(session), a_guide(session)
    li = a_customer(session, wang, now=now)
    suns, wangs = (
        a_task(session, guide, now=now, member=li, state=TaskState.DELIVERED)
        for guide in (sun, wang)
    )
    a_sent_touch(session, suns, at=now)
    touch = a_sent_touch(session, wangs, at=now + _HOUR)
    order = buy(session, wangs, now=now + 2 * _HOUR)

    report(session, touch, now=now + 3 * _HOUR)
    looked_at_again(session, order, now=now + 3 * _HOUR)

    assert _earned(session, wang, sun) == [0, 500]


def test_the_brand_speaks_where_a_guides_message_did_not_arrive(
    session: Session, now: datetime
) -> None:
    wang = a_guide(session)
    li = a_customer(session, wang, now=now)
    write_in(session, li, now=now)
    task = a_task(session, wang, now=now, member=li, state=TaskState.SENT)

    report(session, a_sent_touch(session, task, at=now), now=now)

    second = session.exec(select(Touch).where(Touch.key == f"task-{task.id}-fallback")).one()
    assert (task.state, second.state) == (TaskState.FELL_BACK, TouchState.RESERVED)


def test_the_brand_says_nothing_to_who_came_anyway(session: Session, now: datetime) -> None:
    wang = a_guide(session)
    li = a_customer(session, wang, now=now)
    write_in(session, li, now=now)
    task = a_task(session, wang, now=now, member=li, state=TaskState.SENT, sent_at=now)
    touch = a_sent_touch(session, task, at=now)
    writes(session, li, now=now + _HOUR)

    report(session, touch, now=now + _HOUR)

    assert task.state is TaskState.FAILED
    assert session.exec(select(Touch)).all() == [touch]


def test_a_platform_that_tells_late_that_it_went_finds_the_sale_free(
    session: Session, now: datetime
) -> None:
    """Credit that was taken back does not keep another from it."""
    task, touch = a_sent_task(session, now=now)
    order = buy(session, task, now=now + _HOUR)
    report(session, touch, now=now + 2 * _HOUR)
    looked_at_again(session, order, now=now + 2 * _HOUR)

    assert orders_due.reopen(session, task.member_id, since=now) == 1


def _earned(session: Session, *guides: Guide) -> list[int]:
    rows = {row.guide_id: row.amount_fen for row in session.exec(select(Commission)).all()}
    return [rows[guide.id] for guide in guides]


def test_a_report_before_the_answer_to_the_call_ends_the_task_and_the_answer_changes_nothing(
    session: Session, now: datetime
) -> None:
    task = a_task(session, a_guide(session), now=now, state=TaskState.FELL_BACK)
    on_its_way = {"state": TouchState.SENDING, "evidence": None, "settled_at": None}
    touch = a_notice(session, task, at=now, **on_its_way)
    report(session, touch, now=now)

    with pytest.raises(WrongState), session.begin_nested():
        gate.settle(session, touch.id, TouchState.SENT, evidence=Evidence.EVENT, now=now)

    assert (touch.state, task.state) == (TouchState.FAILED, TaskState.FAILED)
    assert task.sent_at is None
