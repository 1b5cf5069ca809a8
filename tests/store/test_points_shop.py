"""The points shop: what one may have, once a form, and never more than there is."""

from datetime import timedelta

import pytest
from sqlmodel import Session

from store import coupons, points, points_shop
from store.coupons import Coupon, CouponState, StockUsedUp
from store.members import Member
from store.points import NotEnoughPoints
from store.points_shop import (
    ItemLimitReached,
    ItemNotFound,
    ItemSoldOut,
    PriceChanged,
    ShopItem,
    StockBelowSold,
    TokenUsed,
)
from tests.builders import NOW, a_member, a_plan, an_item


def redeem(session: Session, item: ShopItem, member: Member, token: str) -> Coupon:
    with session.begin_nested():
        row = points_shop.redeem(session, item.code, member.id, token=token, now=NOW)
    return session.get_one(Coupon, row.coupon_id)


def test_an_item_costs_its_points_and_gives_its_coupon(session: Session) -> None:
    item, li = an_item(session, cost=300), a_member(session, points=500)

    coupon = redeem(session, item, li, "form-1")

    assert (coupon.member_id, coupon.plan_id) == (li.id, item.plan_id)
    assert coupon.state is CouponState.AVAILABLE
    assert coupon.expires_at == NOW + timedelta(days=30)
    assert points.balance(session, li.id) == 200
    assert item.sold == 1


def test_the_same_form_twice_is_one_redemption(session: Session) -> None:
    item, li = an_item(session, cost=300), a_member(session, points=900)

    first = redeem(session, item, li, "form-1")
    again = redeem(session, item, li, "form-1")

    assert first.id == again.id
    assert (points.balance(session, li.id), item.sold) == (600, 1)


def test_a_form_counts_for_the_member_and_item_it_was_made_for(session: Session) -> None:
    item, other = an_item(session, cost=300), an_item(session, cost=100)
    li, zhao = a_member(session, points=900), a_member(session, points=900)
    redeem(session, item, li, "form-1")

    with pytest.raises(TokenUsed):
        redeem(session, other, li, "form-1")
    with pytest.raises(TokenUsed):
        redeem(session, item, zhao, "form-1")

    assert points.balance(session, zhao.id) == 900


def test_who_has_too_few_points_keeps_them_and_the_stock_stays(session: Session) -> None:
    item, li = an_item(session, cost=300, stock=1), a_member(session, points=299)

    with pytest.raises(NotEnoughPoints):
        redeem(session, item, li, "form-1")

    session.refresh(item)
    assert (points.balance(session, li.id), item.sold) == (299, 0)


def test_nobody_pays_another_price_than_the_one_they_saw(session: Session) -> None:
    item, li = an_item(session, cost=100), a_member(session, points=1000)
    points_shop.offer(session, item.code, item.plan_id, cost=900)

    with pytest.raises(PriceChanged), session.begin_nested():
        points_shop.redeem(session, item.code, li.id, token="form", asked=100, now=NOW)

    session.refresh(item)
    assert (points.balance(session, li.id), item.sold) == (1000, 0)


def test_the_last_one_goes_to_one(session: Session) -> None:
    item = an_item(session, cost=10, stock=1)
    redeem(session, item, a_member(session, points=10), "form-1")

    with pytest.raises(ItemSoldOut):
        redeem(session, item, a_member(session, points=10), "form-2")


def test_a_member_has_no_more_than_the_limit(session: Session) -> None:
    item, li = an_item(session, cost=10, per_member_limit=1), a_member(session, points=100)
    redeem(session, item, li, "form-1")

    with pytest.raises(ItemLimitReached):
        redeem(session, item, li, "form-2")

    assert points.balance(session, li.id) == 90


def test_a_plan_that_has_run_out_takes_no_points(session: Session) -> None:
    plan = a_plan(session, stock=1)
    coupons.issue(session, plan.id, a_member(session).id, reason="test", source_id="last", now=NOW)
    item, li = an_item(session, plan=plan, cost=10), a_member(session, points=10)

    with pytest.raises(StockUsedUp):
        redeem(session, item, li, "form-1")

    assert points_shop.left(item, plan) == 0
    assert points.balance(session, li.id) == 10


def test_what_is_not_on_offer_is_not_there(session: Session) -> None:
    item, li = an_item(session, is_active=False), a_member(session, points=500)

    for code in (item.code, "unknown"):
        with pytest.raises(ItemNotFound):
            points_shop.redeem(session, code, li.id, token="form-1", now=NOW)

    assert points_shop.shelf(session) == []


def test_an_item_is_changed_by_offering_it_again_but_not_below_what_is_gone(
    session: Session,
) -> None:
    item = an_item(session, cost=10, stock=5)
    redeem(session, item, a_member(session, points=10), "form-1")

    same = points_shop.offer(session, item.code, item.plan_id, cost=20, stock=2)

    assert (same.id, same.points, same.stock, same.sold) == (item.id, 20, 2, 1)
    with pytest.raises(StockBelowSold):
        points_shop.offer(session, item.code, item.plan_id, cost=20, stock=0)


def test_a_form_finds_its_coupon_for_its_member_only(session: Session) -> None:
    item, li = an_item(session, cost=10), a_member(session, points=10)
    coupon = redeem(session, item, li, "form-1")

    assert points_shop.of_token(session, "form-1", li.id) == coupon
    assert points_shop.of_token(session, "form-1", a_member(session).id) is None
