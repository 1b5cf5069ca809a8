"""The points shop: what points buy, a last question, and what was had."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlmodel import Session

from store import coupons, plan_shops, points, points_shop
from store.coupons import CouponPlan, CouponState
from store.members import Member
from store.points_shop import ShopItem
from store.tokens import new_token
from web.member.gift_page import Worth, worth_of


class Offer(StrEnum):
    """Whether somebody can have an item now."""

    OPEN = "open"
    TOO_FEW = "too_few"
    LIMIT = "limit"
    SOLD_OUT = "sold_out"


@dataclass(frozen=True, slots=True)
class ItemView:
    """One item as this member sees it; `left` and `limit` are None without an end."""

    code: str
    worth: Worth
    points: int
    left: int | None
    limit: int | None
    offer: Offer


@dataclass(frozen=True, slots=True)
class ShopView:
    """The shelf."""

    points: int
    items: Sequence[ItemView]


@dataclass(frozen=True, slots=True)
class QuestionView:
    """One item and a form that counts once; `shops` are those where the coupon counts."""

    points: int
    item: ItemView
    valid_days: int
    shops: Sequence[str]
    token: str


@dataclass(frozen=True, slots=True)
class HadView:
    """What a form brought; `is_usable` is false once it was used, given on or is over."""

    worth: Worth
    ref: str
    expires_at: datetime
    is_usable: bool
    points: int


def read(session: Session, member: Member, *, now: datetime) -> ShopView:
    """The shelf as this member sees it."""
    there = points.spendable(session, member.id, now)
    had = points_shop.had_by(session, member.id)
    shelf = points_shop.shelf(session)
    return ShopView(there, [_item(item, plan, there, had) for item, plan in shelf])


def ask(session: Session, member: Member, code: str, *, now: datetime) -> QuestionView:
    """The last question before points are spent; refuses with `ItemNotFound`."""
    there = points.spendable(session, member.id, now)
    item, plan = points_shop.by_code(session, code)
    return QuestionView(
        points=there,
        item=_item(item, plan, there, points_shop.had_by(session, member.id)),
        valid_days=plan.valid_days,
        shops=plan_shops.names(session, plan.id),
        token=new_token(),
    )


def had(session: Session, member: Member, token: str, *, now: datetime) -> HadView:
    """What the form brought this member; refuses with `CouponNotFound`."""
    coupon = points_shop.of_token(session, token, member.id)
    if coupon is None:
        raise coupons.CouponNotFound
    is_mine = coupon.member_id == member.id and coupon.state is CouponState.AVAILABLE
    return HadView(
        worth=worth_of(session.get_one(CouponPlan, coupon.plan_id)),
        ref=coupon.ref,
        expires_at=coupon.expires_at,
        is_usable=is_mine and coupon.expires_at > now,
        points=points.spendable(session, member.id, now),
    )


def _item(item: ShopItem, plan: CouponPlan, there: int, had: dict[int, int]) -> ItemView:
    left = points_shop.left(item, plan)
    return ItemView(
        code=item.code,
        worth=worth_of(plan),
        points=item.points,
        left=left,
        limit=item.per_member_limit,
        offer=_offer(item, left, there, had),
    )


def _offer(item: ShopItem, left: int | None, there: int, had: dict[int, int]) -> Offer:
    if left == 0:
        return Offer.SOLD_OUT
    if points_shop.is_at_limit(item, had):
        return Offer.LIMIT
    return Offer.OPEN if there >= item.points else Offer.TOO_FEW
