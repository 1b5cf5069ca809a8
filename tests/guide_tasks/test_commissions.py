"""Commissions: rate, cap and who gets it; refunds take back; every figure opens to what made it."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlmodel import Session, col, select

from fatigue import gate
from guide_tasks import attribution, commissions, progress, trails
from store import orders
from store.attributions import (
    Attribution,
    Commission,
    CommissionEntry,
    CommissionState,
    EntryReason,
)
from store.campaigns import Campaign, CommissionTo, TaskState
from store.db import Database
from store.jobs import Job
from store.members import Member
from store.orders import Order, RefundForm
from store.organisation import Guide
from store.touches import Evidence, Touch, TouchState
from tests.builders import SOURCE, a_guide, an_order, number
from tests.guide_tasks.people import URL, a_customer, a_sent_touch, a_task, running

_FEN = st.integers(0, 10**9)


def a_plan(**facts: Any) -> Campaign:
    usual: dict[str, Any] = {
        "commission_bp": 500,
        "commission_cap_fen": None,
        "commission_to": CommissionTo.CARER,
    }
    return Campaign(**(usual | facts))


class Sale:
    """Wang cared for Li; Sun served at the till; the order is credited."""

    def __init__(self, session: Session, now: datetime, **plan: Any) -> None:
        self.session, self.now = session, now
        self.wang, self.sun = a_guide(session, name="王芳"), a_guide(session, name="孙悦")
        self.li = a_customer(session, self.wang, now=now)
        campaign = running(session, now=now - timedelta(days=1), **plan)
        self.task = a_task(
            session,
            self.wang,
            now=now,
            member=self.li,
            campaign=campaign,
            state=TaskState.DELIVERED,
        )
        self.touch = a_sent_touch(session, self.task, at=now - timedelta(hours=3))

    def ordered(self, *, amount_fen: int = 10_000, by: Guide | None = None) -> Order:
        """An order of Li that is not credited yet."""
        facts = {"guide_userid": by.userid} if by else {}
        return an_order(self.session, self.li, amount_fen=amount_fen, now=self.now, **facts).order

    def credit(self, order: Order) -> Attribution:
        """Credit an order, or follow what came after."""
        found = attribution.attribute(self.session, order.id, public_url=URL, now=self.now)
        assert found is not None
        return found

    def refund(self, order: Order, amount_fen: int) -> None:
        """Give back a part and follow it."""
        form = RefundForm(
            external_id=f"R{number()}",
            order_external_id=order.external_id,
            amount_fen=amount_fen,
            refunded_at=self.now,
        )
        orders.refund(self.session, form, source=SOURCE, now=self.now)
        self.credit(order)

    def earned(self) -> dict[str, int]:
        """Fen by guide."""
        query = select(Guide.name, Commission.amount_fen).join(
            Guide, col(Guide.id) == Commission.guide_id
        )
        return dict(self.session.exec(query).all())

    def entries(self) -> list[tuple[int, EntryReason]]:
        """What changed the commissions, in order."""
        query = select(CommissionEntry).order_by(col(CommissionEntry.id))
        return [(entry.amount_fen, entry.reason) for entry in self.session.exec(query)]


@given(
    amount=_FEN, bp=st.integers(0, 10_000), cap=st.none() | _FEN, to=st.sampled_from(CommissionTo)
)
def test_shares_are_whole_fen_and_never_more_than_rate_and_cap(
    amount: int, bp: int, cap: int | None, to: CommissionTo
) -> None:
    campaign = a_plan(commission_bp=bp, commission_cap_fen=cap, commission_to=to)

    alone = commissions.shares(campaign, amount, carer_id=1, server_id=None)
    together = commissions.shares(campaign, amount, carer_id=1, server_id=2)

    most = amount * bp // 10_000 if cap is None else min(amount * bp // 10_000, cap)
    assert alone == {1: most}
    assert sum(together.values()) == most
    assert all(fen >= 0 for fen in together.values())


@given(amount=_FEN, refunded=_FEN, bp=st.integers(0, 10_000))
def test_a_refund_never_raises_a_share(amount: int, refunded: int, bp: int) -> None:
    campaign = a_plan(commission_bp=bp)

    before, after = (
        commissions.shares(campaign, fen, carer_id=1, server_id=None)[1]
        for fen in (amount, max(amount - refunded, 0))
    )

    assert after <= before


@pytest.mark.parametrize(
    ("to", "expected"),
    [
        (CommissionTo.CARER, {"王芳": 501}),
        (CommissionTo.SERVER, {"孙悦": 501}),
        (CommissionTo.SPLIT, {"王芳": 251, "孙悦": 250}),
    ],
)
def test_the_plan_says_who_earns_when_a_colleague_served(
    session: Session, now: datetime, to: CommissionTo, expected: dict[str, int]
) -> None:
    sale = Sale(session, now, commission_to=to)

    sale.credit(sale.ordered(amount_fen=10_020, by=sale.sun))

    assert sale.earned() == expected


def test_one_order_earns_no_more_than_the_cap(session: Session, now: datetime) -> None:
    sale = Sale(session, now, commission_cap_fen=300)

    sale.credit(sale.ordered())

    assert sale.earned() == {"王芳": 300}


def test_refunds_take_back_in_entries_and_a_repeat_takes_nothing(
    session: Session, now: datetime
) -> None:
    sale = Sale(session, now, commission_to=CommissionTo.SPLIT)
    order = sale.ordered(by=sale.sun)
    sale.credit(order)

    sale.refund(order, 4_000)
    sale.credit(order)
    sale.refund(order, 6_000)

    earned, refunded = EntryReason.EARNED, EntryReason.REFUNDED
    assert sale.entries() == [
        (250, earned),
        (250, earned),
        (-100, refunded),
        (-100, refunded),
        (-150, refunded),
        (-150, refunded),
    ]
    assert sale.earned() == {"王芳": 0, "孙悦": 0}
    states = session.exec(select(Commission.state)).all()
    assert set(states) == {CommissionState.CLAWED_BACK}


def test_a_guides_word_that_is_proven_later_earns_then(session: Session, now: datetime) -> None:
    sale = Sale(session, now)
    sale.touch.evidence = Evidence.SELF_REPORTED
    order = sale.ordered()
    sale.credit(order)
    on_word = sale.earned()

    sale.touch.evidence = Evidence.EVENT
    session.flush()
    credit = sale.credit(order)

    assert on_word == {}
    assert (sale.entries(), credit.evidence) == ([(500, EntryReason.PROVEN)], Evidence.EVENT)


def test_a_commission_is_not_confirmed_while_a_refund_waits_to_be_counted(
    database: Database, now: datetime
) -> None:
    with database.transaction() as session:
        sale = Sale(session, now)
        order = sale.ordered()
        sale.credit(order)
        session.get_one(Order, order.id).is_attribution_due = True
    ends = now + timedelta(days=commissions.RETURN_DAYS)

    waiting = attribution.confirm_due(database, now=ends)
    with database.transaction() as session:
        attribution.attribute(session, order.id, public_url=URL, now=ends)
    after = attribution.confirm_due(database, now=ends)

    assert (waiting, after) == (0, 1)


def test_a_figure_opens_to_order_refunds_touches_and_entries(
    session: Session, now: datetime
) -> None:
    sale = Sale(session, now)
    early = a_sent_touch(session, sale.task, at=now - timedelta(days=2))
    order = sale.ordered()
    credit = sale.credit(order)
    sale.refund(order, 1_000)

    trail = trails.of_attribution(session, credit.id)

    assert (trail.order, trail.amount_fen, trail.left_fen) == (order.external_id, 10_000, 9_000)
    assert (trail.window_days, trail.commission_bp) == (14, 500)
    assert [(found.at, found.is_credited) for found in trail.touches] == [
        (sale.touch.counted_at, True),
        (early.counted_at, False),
    ]
    assert [refund.amount_fen for refund in trail.refunds] == [1_000]
    (earned,) = trail.earned
    assert (earned.guide, earned.amount_fen) == ("王芳", 450)
    assert [change.amount_fen for change in earned.changes] == [500, -50]
    assert sum(change.amount_fen for change in earned.changes) == earned.amount_fen


def test_an_order_between_confirmation_and_poll_is_credited_once_the_poll_tells(
    session: Session, now: datetime
) -> None:
    """The guide confirmed at once; Li bought an hour later; WeCom was asked only after that."""
    wang = a_guide(session)
    li = a_customer(session, wang, now=now)
    task = a_task(session, wang, now=now, member=li)
    touch = progress.send(session, task, actor="guide:wang", now=now)
    assert gate.fence(session, touch.id, now=now).refusal is None
    confirmed_at, paid_at, polled_at = (now + timedelta(minutes=n) for n in (1, 60, 90))
    order = an_order(session, session.get_one(Member, li.id), now=paid_at).order
    early = attribution.attribute(session, order.id, public_url=URL, now=paid_at)
    session.info.clear()

    settled = gate.settle(
        session,
        touch.id,
        TouchState.SENT,
        evidence=Evidence.PLATFORM,
        reached_at=confirmed_at,
        now=polled_at,
    )
    progress.touch_settled(session, settled, now=polled_at)
    session.refresh(order)
    was_due = order.is_attribution_due
    found = attribution.attribute(session, order.id, public_url=URL, now=polled_at)

    assert early is None
    assert session.get_one(Touch, touch.id).counted_at == confirmed_at
    assert was_due
    assert (Job.ATTRIBUTE_ORDER, order.id) in session.info["zhiyin_after_commit"]
    assert found is not None
    assert (found.care_task_id, task.state) == (task.id, TaskState.CONVERTED)
