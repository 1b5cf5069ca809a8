"""Coupons: stock, limits, use at the till, and what comes back after a refund."""

from datetime import datetime, timedelta

import pytest
from sqlmodel import Session

from store import coupons, gifts, orders
from store.coupons import (
    Coupon,
    CouponDiffers,
    CouponExpired,
    CouponNotFound,
    CouponPlan,
    CouponState,
    GiftState,
    LimitReached,
    PlanClosed,
    PlanNotFound,
    StockUsedUp,
)
from store.errors import WrongState
from store.members import Member
from store.orders import RefundForm
from tests.builders import NOW, SOURCE, a_coupon, a_member, a_plan, an_order, number

LATER = NOW + timedelta(days=1)
OVER = NOW + timedelta(days=30)


def issue(session: Session, plan: CouponPlan, member: Member, source_id: str = "") -> Coupon:
    source_id = source_id or str(number())
    return coupons.issue(session, plan.id, member.id, reason="t", source_id=source_id, now=NOW)


def test_a_coupon_lives_as_long_as_its_plan_says(session: Session) -> None:
    li, plan = a_member(session), a_plan(session, valid_days=30)

    coupon = issue(session, plan, li)

    assert (coupon.state, coupon.expires_at) == (CouponState.AVAILABLE, OVER)
    assert plan.issued == 1


def test_a_source_issues_one_coupon_when_it_comes_twice(session: Session) -> None:
    li, plan = a_member(session), a_plan(session)

    first, again = issue(session, plan, li, "task1"), issue(session, plan, li, "task1")

    assert first.id == again.id
    assert plan.issued == 1


def test_a_source_is_refused_when_it_names_another_member_or_plan(session: Session) -> None:
    li, zhao, plan = a_member(session), a_member(session), a_plan(session)
    issue(session, plan, li, "task1")

    with pytest.raises(CouponDiffers):
        issue(session, plan, zhao, "task1")
    with pytest.raises(CouponDiffers):
        issue(session, a_plan(session), li, "task1")


def test_a_source_still_names_its_coupon_after_it_was_given_on(session: Session) -> None:
    li, zhao, plan = a_member(session), a_member(session), a_plan(session)
    coupon = issue(session, plan, li, "task1")
    _, token = gifts.offer(session, coupon.id, li.id, now=NOW)
    gifts.claim(session, token, zhao.id, now=NOW)

    assert issue(session, plan, li, "task1").id == coupon.id


def test_the_stock_ends_after_the_last_coupon(session: Session) -> None:
    plan = a_plan(session, stock=2)
    for _ in range(2):
        issue(session, plan, a_member(session))

    with pytest.raises(StockUsedUp) as refusal:
        issue(session, plan, a_member(session))

    assert refusal.value.stock == 2
    assert plan.issued == 2


def test_a_member_gets_no_more_than_the_limit_also_by_giving_on(session: Session) -> None:
    li, zhao = a_member(session), a_member(session)
    plan = a_plan(session, per_member_limit=1)
    coupon = issue(session, plan, li)
    _, token = gifts.offer(session, coupon.id, li.id, now=NOW)
    gifts.claim(session, token, zhao.id, now=NOW)

    for member in (li, zhao):
        with pytest.raises(LimitReached):
            issue(session, plan, member)
    assert issue(session, plan, a_member(session)).state is CouponState.AVAILABLE


def test_a_closed_or_unknown_plan_issues_nothing(session: Session) -> None:
    li, closed = a_member(session), a_plan(session, is_active=False)

    with pytest.raises(PlanClosed):
        issue(session, closed, li)
    with pytest.raises(PlanNotFound):
        coupons.issue(session, 10**9, li.id, reason="t", source_id="x", now=NOW)


def test_usable_shows_what_ends_first_first_and_nothing_used_or_over(session: Session) -> None:
    li = a_member(session)
    long = a_coupon(session, li, plan=a_plan(session, valid_days=90))
    short = a_coupon(session, li, plan=a_plan(session, valid_days=9))
    over = a_coupon(session, li, plan=a_plan(session, valid_days=1))
    used = a_coupon(session, li)
    coupons.redeem(session, used.code, order_id=None, now=NOW)

    found = [coupon for coupon, _ in coupons.usable(session, li.id, LATER)]

    assert found == [short, long]
    assert over.state is CouponState.AVAILABLE


def test_a_coupon_is_redeemed_once(session: Session) -> None:
    li = a_member(session)
    coupon, first, other = a_coupon(session, li), an_order(session, li), an_order(session, li)

    coupons.redeem(session, coupon.code, order_id=first.order.id, now=LATER)
    again = coupons.redeem(session, coupon.code, order_id=first.order.id, now=LATER)

    assert again.redeemed_order_id == first.order.id
    with pytest.raises(WrongState):
        coupons.redeem(session, coupon.code, order_id=other.order.id, now=LATER)


def test_a_coupon_past_its_end_is_not_redeemed_before_the_job_has_come(session: Session) -> None:
    coupon = a_coupon(session, a_member(session))

    with pytest.raises(CouponExpired):
        coupons.redeem(session, coupon.code, order_id=None, now=OVER)
    last = coupons.redeem(session, coupon.code, order_id=None, now=OVER - timedelta(seconds=1))

    assert last.state is CouponState.REDEEMED


def test_an_unknown_code_is_refused(session: Session) -> None:
    with pytest.raises(CouponNotFound):
        coupons.redeem(session, "NOSUCHCODE12", order_id=None, now=NOW)


def test_expiry_ends_what_is_over_and_nothing_else(session: Session) -> None:
    li = a_member(session)
    over, fresh = a_coupon(session, li), a_coupon(session, li, now=LATER)

    count = coupons.expire_due(session, OVER)

    assert (count, over.state, fresh.state) == (1, CouponState.EXPIRED, CouponState.AVAILABLE)
    assert coupons.expire_due(session, OVER) == 0


@pytest.mark.parametrize(
    ("at", "state"), [(LATER, CouponState.AVAILABLE), (OVER, CouponState.EXPIRED)]
)
def test_a_whole_refund_gives_the_coupon_back_or_ends_it(
    session: Session, at: datetime, state: CouponState
) -> None:
    """Sylius and OpenMage keep it burnt (loyalty.md §2.6)."""
    li = a_member(session)
    coupon = a_coupon(session, li)
    bought = an_order(session, li, amount_fen=1_000, coupon_code=coupon.code)
    states = [coupon.state]

    for count, fen in enumerate((400, 600)):
        states.append(coupon.state)
        form = RefundForm(
            external_id=f"r{count}",
            order_external_id=bought.order.external_id,
            amount_fen=fen,
            refunded_at=NOW,
        )
        orders.refund(session, form, source=SOURCE, now=at)

    assert [*states, coupon.state] == [CouponState.REDEEMED] * 3 + [state]
    assert coupon.redeemed_order_id is None


def test_lists_of_a_member_follow_the_clock_before_any_job_has_come(session: Session) -> None:
    li = a_member(session)
    usable, given, used = (a_coupon(session, li) for _ in range(3))
    short = a_coupon(session, li, plan=a_plan(session, valid_days=1))
    gift, _ = gifts.offer(session, given.id, li.id, now=NOW)
    coupons.redeem(session, used.code, order_id=None, now=NOW)

    def shelves(now: datetime) -> list[list[int]]:
        rows = (
            coupons.usable(session, li.id, now),
            coupons.on_the_way(session, li.id, now),
            coupons.used(session, li.id),
            coupons.past(session, li.id, now),
        )
        return [[row[0].id for row in shelf] for shelf in rows]

    assert shelves(NOW) == [[short.id, usable.id], [given.id], [used.id], []]
    assert shelves(gift.expires_at) == [[usable.id, given.id], [], [used.id], [short.id]]


def test_coupon_of_a_lapsed_gift_can_be_used_before_the_job_has_come(session: Session) -> None:
    li = a_member(session)
    coupon = a_coupon(session, li)
    gift, _ = gifts.offer(session, coupon.id, li.id, now=NOW)

    coupons.redeem(session, coupon.code, order_id=None, now=gift.expires_at)

    assert (coupon.state, gift.state) == (CouponState.REDEEMED, GiftState.EXPIRED)


def test_address_of_a_coupon_names_the_own_one_only_and_not_its_code(session: Session) -> None:
    li, zhao = a_member(session), a_member(session)
    coupon = a_coupon(session, li)

    assert coupons.own(session, li.id, coupon.ref)[0].id == coupon.id
    assert coupon.code not in coupon.ref
    for who, ref in ((zhao.id, coupon.ref), (li.id, coupon.code), (li.id, "")):
        with pytest.raises(CouponNotFound):
            coupons.own(session, who, ref)


def test_given_coupons_are_remembered_by_their_giver(session: Session) -> None:
    li, zhao = a_member(session), a_member(session)
    coupon = a_coupon(session, li)
    gift, token = gifts.offer(session, coupon.id, li.id, now=NOW)
    gifts.claim(session, token, zhao.id, now=NOW)

    assert [row.id for row, _ in gifts.given(session, li.id)] == [gift.id]
    assert gifts.given(session, zhao.id) == []
    assert coupons.open_gift(session, coupon.id, NOW) is None
