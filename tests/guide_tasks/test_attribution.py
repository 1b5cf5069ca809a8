"""Attribution: the last touch in its window gets the sale, once; refunds take it back."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import func
from sqlmodel import Session, col, select

from guide_tasks import attribution
from guide_tasks.commissions import RETURN_DAYS
from store import merges, orders
from store.attributions import Attribution, Commission, CommissionState
from store.campaigns import CareTask, TaskState
from store.db import Database
from store.members import Member
from store.notices import Notice
from store.orders import Order, RefundForm
from store.touches import Channel, Evidence, TouchState
from tests.builders import SOURCE, a_guide, a_member, an_order, number
from tests.guide_tasks.people import URL, a_customer, a_sent_touch, a_task, running

_SECOND = timedelta(seconds=1)


def attribute(session: Session, order: Order, *, now: datetime) -> Attribution | None:
    return attribution.attribute(session, order.id, public_url=URL, now=now)


def a_reached_task(
    session: Session, *, now: datetime, days_ago: float = 1, state: TaskState = TaskState.DELIVERED
) -> CareTask:
    """A task whose member the guide has reached."""
    then = now - timedelta(days=days_ago)
    task = a_task(session, a_guide(session), now=then, state=state)
    a_sent_touch(session, task, at=then)
    return task


def an_order_of(
    session: Session, task: CareTask, *, now: datetime, amount_fen: int = 10_000
) -> Order:
    member = session.get_one(Member, task.member_id)
    return an_order(session, member, amount_fen=amount_fen, now=now).order


def refund(session: Session, order: Order, amount_fen: int, *, now: datetime) -> None:
    form = RefundForm(
        external_id=f"R{number()}",
        order_external_id=order.external_id,
        amount_fen=amount_fen,
        refunded_at=now,
    )
    orders.refund(session, form, source=SOURCE, now=now)


def commissions(session: Session) -> list[Commission]:
    fresh = select(Commission).execution_options(populate_existing=True)
    return list(session.exec(fresh).all())


def test_a_sale_after_a_touch_is_the_guides(session: Session, now: datetime) -> None:
    task = a_reached_task(session, now=now)
    order = an_order_of(session, task, now=now)

    found = attribute(session, order, now=now)

    assert found is not None
    assert (found.care_task_id, found.guide_id, found.amount_fen, found.evidence) == (
        task.id,
        task.guide_id,
        10_000,
        Evidence.PLATFORM,
    )
    assert task.state is TaskState.CONVERTED
    assert order.is_attribution_due is False
    (commission,) = commissions(session)
    assert (commission.amount_fen, commission.state, commission.confirms_at) == (
        500,
        CommissionState.UNCONFIRMED,
        order.paid_at + timedelta(days=7),
    )


def test_the_guide_is_told_once(session: Session, now: datetime) -> None:
    task = a_reached_task(session, now=now)
    order = an_order_of(session, task, now=now)

    first = attribute(session, order, now=now)
    again = attribute(session, order, now=now)

    assert again is first
    notice = session.exec(select(Notice)).one()
    assert notice.guide_id == task.guide_id
    assert notice.message["rows"] == [["成交", "100.00 元"], ["提成（待确认）", "5.00 元"]]
    assert session.exec(select(func.count()).select_from(Attribution)).one() == 1
    assert len(commissions(session)) == 1


def test_the_last_touch_in_the_window_wins(session: Session, now: datetime) -> None:
    li = a_customer(session, now=now)
    wang, sun = a_guide(session), a_guide(session)
    early = a_task(session, wang, now=now, member=li, state=TaskState.DELIVERED)
    late = a_task(session, sun, now=now, member=li, state=TaskState.DELIVERED)
    a_sent_touch(session, late, at=now - timedelta(hours=2))
    a_sent_touch(session, early, at=now - timedelta(hours=3))
    after = a_task(session, wang, now=now, member=li, state=TaskState.DELIVERED)
    a_sent_touch(session, after, at=now + _SECOND)
    order = an_order(session, li, now=now).order

    found = attribute(session, order, now=now)

    assert found is not None
    assert found.guide_id == sun.id
    assert (early.state, late.state) == (TaskState.DELIVERED, TaskState.CONVERTED)


@pytest.mark.parametrize(
    ("age", "is_credited"),
    [
        (-_SECOND, False),
        (timedelta(0), True),
        (timedelta(days=14) - _SECOND, True),
        (timedelta(days=14), False),
    ],
)
def test_the_window_is_half_open(
    session: Session, now: datetime, age: timedelta, is_credited: bool
) -> None:
    task = a_task(session, a_guide(session), now=now, state=TaskState.DELIVERED)
    a_sent_touch(session, task, at=now - age)
    order = an_order_of(session, task, now=now)

    assert (attribute(session, order, now=now) is not None) is is_credited
    assert order.is_attribution_due is False


def test_each_campaign_brings_its_own_window(session: Session, now: datetime) -> None:
    """The later touch is too old for its campaign, the earlier one is not for its own."""
    li, wang = a_customer(session, now=now), a_guide(session)
    short = running(session, now=now - timedelta(days=30), attribution_days=1)
    long = running(session, now=now - timedelta(days=30), attribution_days=30)
    for campaign, days in ((short, 2), (long, 20)):
        task = a_task(
            session, wang, now=now, member=li, campaign=campaign, state=TaskState.DELIVERED
        )
        a_sent_touch(session, task, at=now - timedelta(days=days))
    order = an_order(session, li, now=now).order

    found = attribute(session, order, now=now)

    assert found is not None
    assert found.campaign_id == long.id


@pytest.mark.parametrize(
    "state", [TouchState.WITHHELD, TouchState.FAILED, TouchState.UNKNOWN, TouchState.SENDING]
)
def test_a_touch_that_may_not_have_arrived_earns_nothing(
    session: Session, now: datetime, state: TouchState
) -> None:
    task = a_task(session, a_guide(session), now=now)
    a_sent_touch(session, task, at=now - _SECOND, state=state)

    assert attribute(session, an_order_of(session, task, now=now), now=now) is None


def test_a_touch_without_a_care_task_earns_nothing(session: Session, now: datetime) -> None:
    task = a_task(session, a_guide(session), now=now)
    a_sent_touch(session, task, at=now - _SECOND, care_task_id=None)

    assert attribute(session, an_order_of(session, task, now=now), now=now) is None


def test_another_members_touch_earns_nothing(session: Session, now: datetime) -> None:
    a_reached_task(session, now=now)
    order = an_order(session, a_member(session), now=now).order

    assert attribute(session, order, now=now) is None


def test_an_order_of_nobody_is_done_with(session: Session, now: datetime) -> None:
    order = an_order(session, None, now=now).order

    assert attribute(session, order, now=now) is None
    assert order.is_attribution_due is False


def test_a_guides_own_word_earns_the_credit_but_no_commission(
    session: Session, now: datetime
) -> None:
    task = a_task(session, a_guide(session), now=now, state=TaskState.SENT)
    a_sent_touch(session, task, at=now - _SECOND, evidence=Evidence.SELF_REPORTED)

    found = attribute(session, an_order_of(session, task, now=now), now=now)

    assert found is not None
    assert (found.evidence, found.guide_id) == (Evidence.SELF_REPORTED, task.guide_id)
    assert commissions(session) == []
    notice = session.exec(select(Notice)).one()
    assert notice.message["rows"][1] == ["提成（待确认）", "0.00 元"]


def test_the_brands_own_touch_earns_no_guide_anything(session: Session, now: datetime) -> None:
    task = a_task(session, a_guide(session), now=now, state=TaskState.SENT)
    a_sent_touch(session, task, at=now - _SECOND, channel=Channel.WECHAT_SERVICE, guide_id=None)

    found = attribute(session, an_order_of(session, task, now=now), now=now)

    assert found is not None
    assert (found.guide_id, task.state) == (None, TaskState.CONVERTED)
    assert commissions(session) == []
    assert session.exec(select(Notice)).all() == []


def test_commission_is_rounded_down_to_a_fen(session: Session, now: datetime) -> None:
    task = a_reached_task(session, now=now)

    attribute(session, an_order_of(session, task, now=now, amount_fen=1_999), now=now)

    assert [commission.amount_fen for commission in commissions(session)] == [99]


def test_a_second_order_is_credited_too(session: Session, now: datetime) -> None:
    task = a_reached_task(session, now=now)

    for _ in range(2):
        attribute(session, an_order_of(session, task, now=now), now=now)

    assert session.exec(select(func.count()).select_from(Attribution)).one() == 2
    assert task.state is TaskState.CONVERTED


def test_a_part_given_back_is_taken_off_sales_and_commission(
    session: Session, now: datetime
) -> None:
    task = a_reached_task(session, now=now)
    order = an_order_of(session, task, now=now)
    found = attribute(session, order, now=now)

    refund(session, order, 4_000, now=now)
    was_due = order.is_attribution_due
    attribute(session, order, now=now)

    assert found is not None
    assert (was_due, order.is_attribution_due, found.amount_fen) == (True, False, 6_000)
    (commission,) = commissions(session)
    assert (commission.amount_fen, commission.state) == (300, CommissionState.UNCONFIRMED)


@pytest.mark.parametrize("is_confirmed", [False, True])
def test_a_whole_refund_claws_the_commission_back(
    session: Session, now: datetime, is_confirmed: bool
) -> None:
    task = a_reached_task(session, now=now)
    order = an_order_of(session, task, now=now)
    found = attribute(session, order, now=now)
    if is_confirmed:
        commissions(session)[0].state = CommissionState.CONFIRMED
        session.flush()

    refund(session, order, 3_000, now=now)
    refund(session, order, 7_000, now=now)
    attribute(session, order, now=now)

    assert found is not None
    assert found.amount_fen == 0
    (commission,) = commissions(session)
    assert (commission.amount_fen, commission.state) == (0, CommissionState.CLAWED_BACK)


def test_an_order_given_back_before_it_was_credited_is_no_sale(
    session: Session, now: datetime
) -> None:
    task = a_reached_task(session, now=now)
    order = an_order_of(session, task, now=now)
    refund(session, order, 10_000, now=now)

    assert attribute(session, order, now=now) is None
    assert task.state is TaskState.DELIVERED
    assert session.exec(select(Notice)).all() == []


def test_a_part_given_back_before_the_credit_counts_at_once(
    session: Session, now: datetime
) -> None:
    task = a_reached_task(session, now=now)
    order = an_order_of(session, task, now=now)
    refund(session, order, 4_000, now=now)

    found = attribute(session, order, now=now)

    assert found is not None
    assert (found.amount_fen, commissions(session)[0].amount_fen) == (6_000, 300)


def test_a_merge_between_touch_and_order_loses_no_credit(session: Session, now: datetime) -> None:
    task = a_reached_task(session, now=now)
    kept = a_member(session)
    merges.merge(session, kept.id, task.member_id, reason="mobile", now=now)
    order = an_order(session, kept, now=now).order

    found = attribute(session, order, now=now)

    assert found is not None
    assert found.care_task_id == task.id


def test_commissions_are_confirmed_when_nothing_can_come_back_any_more(
    database: Database, now: datetime
) -> None:
    with database.transaction() as session:
        task = a_reached_task(session, now=now)
        attribute(session, an_order_of(session, task, now=now), now=now)
        kept = an_order_of(session, task, now=now)
        attribute(session, kept, now=now)
        refund(session, kept, 10_000, now=now)
        attribute(session, kept, now=now)
    ends = now + timedelta(days=RETURN_DAYS)

    early = attribution.confirm_due(database, now=ends - _SECOND)
    due = attribution.confirm_due(database, now=ends)

    assert (early, due) == (0, 1)
    with database.transaction() as session:
        states = session.exec(select(Commission.state).order_by(col(Commission.id))).all()
    assert states == [CommissionState.CONFIRMED, CommissionState.CLAWED_BACK]
