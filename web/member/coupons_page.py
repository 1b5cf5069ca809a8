"""A member's coupons: what can be used, what waits for a friend, what is used and what is over."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlmodel import Session

from store import coupons, gifts, members, plan_shops
from store.coupons import Coupon, CouponPlan, CouponState
from store.members import Member
from web.member.gift_page import Worth, worth_of


class Shelf(StrEnum):
    """The tabs of the list."""

    USABLE = "usable"
    ON_THE_WAY = "on_the_way"
    USED = "used"
    PAST = "past"


class Stamp(StrEnum):
    """What became of a coupon that cannot be used; the page finds the words."""

    NONE = ""
    REDEEMED = "redeemed"
    GIVEN = "given"
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Line:
    """One coupon of a list; `ref` is empty where there is nothing more to see, `at` is by shelf."""

    worth: Worth
    at: datetime
    ref: str = ""
    stamp: Stamp = Stamp.NONE


@dataclass(frozen=True, slots=True)
class ListView:
    """The list under one tab, and how many stand under the two that matter now."""

    shelf: Shelf
    usable: int
    on_the_way: int
    lines: Sequence[Line]


@dataclass(frozen=True, slots=True)
class CouponView:
    """One coupon: its code while a till takes it, or until when it waits for a friend.

    `shops` are those where it counts, none meaning all; `hops_left` is how often it may still be
    given on.
    """

    ref: str
    worth: Worth
    shops: Sequence[str]
    expires_at: datetime
    code: str = ""
    returns_at: datetime | None = None
    hops_left: int = 0
    was_given: bool = False
    stamp: Stamp = Stamp.NONE


def read(session: Session, member: Member, shelf: Shelf, *, now: datetime) -> ListView:
    """The coupons of a member or visitor under one tab."""
    usable = [_owned(row) for row in coupons.usable(session, member.id, now)]
    on_the_way = [
        Line(worth_of(plan), gift.expires_at, coupon.ref)
        for coupon, plan, gift in coupons.on_the_way(session, member.id, now)
    ]
    lines = {Shelf.USABLE: usable, Shelf.ON_THE_WAY: on_the_way}.get(shelf)
    if lines is None:
        is_used = shelf is Shelf.USED
        lines = _used(session, member.id) if is_used else _past(session, member.id, now)
    return ListView(shelf, len(usable), len(on_the_way), lines)


def read_one(session: Session, member: Member, ref: str, *, now: datetime) -> CouponView:
    """One coupon of the member; refuses with `CouponNotFound` what is somebody else's."""
    coupon, plan = coupons.own(session, member.id, ref)
    gift = coupons.open_gift(session, coupon.id, now)
    stamp = _stamp(coupon, now)
    is_usable = gift is None and stamp is Stamp.NONE
    return CouponView(
        ref=coupon.ref,
        worth=worth_of(plan),
        shops=plan_shops.names(session, plan.id),
        expires_at=coupon.expires_at,
        code=coupon.code if is_usable else "",
        returns_at=gift.expires_at if gift is not None else None,
        hops_left=max(plan.gift_hops - coupon.hops, 0),
        was_given=coupon.hops > 0,
        stamp=stamp,
    )


def give(session: Session, member: Member, ref: str, *, token: str, now: datetime) -> None:
    """Put the coupon on its way with the token of the form; the same form again changes nothing.

    Locks the member: whoever sent the form twice at once is known by the second.
    """
    members.lock(session, member.id)
    if gifts.was_offered(session, token, member.id):
        return
    coupon, _ = coupons.own(session, member.id, ref)
    gifts.offer(session, coupon.id, member.id, token=token, now=now)


def take_back(session: Session, member: Member, ref: str, *, now: datetime) -> None:
    """The coupon comes back; when nothing is on its way there is nothing to do."""
    coupon, _ = coupons.own(session, member.id, ref)
    gift = coupons.open_gift(session, coupon.id, now)
    if gift is not None:
        gifts.cancel(session, gift.id, member.id, now=now)


def _owned(row: tuple[Coupon, CouponPlan]) -> Line:
    coupon, plan = row
    return Line(worth_of(plan), coupon.expires_at, coupon.ref)


def _past(session: Session, member_id: int, now: datetime) -> list[Line]:
    return [
        Line(worth_of(plan), coupon.expires_at, stamp=_stamp(coupon, now))
        for coupon, plan in coupons.past(session, member_id, now)
    ]


def _used(session: Session, member_id: int) -> list[Line]:
    lines = [
        Line(worth_of(plan), coupon.redeemed_at, stamp=Stamp.REDEEMED)
        for coupon, plan in coupons.used(session, member_id)
        if coupon.redeemed_at is not None
    ]
    lines += [
        Line(worth_of(plan), gift.closed_at, stamp=Stamp.GIVEN)
        for gift, plan in gifts.given(session, member_id)
        if gift.closed_at is not None
    ]
    return sorted(lines, key=lambda line: line.at, reverse=True)


def _stamp(coupon: Coupon, now: datetime) -> Stamp:
    match coupon.state:
        case CouponState.REDEEMED:
            return Stamp.REDEEMED
        case CouponState.REVOKED:
            return Stamp.REVOKED
        case CouponState.EXPIRED:
            return Stamp.EXPIRED
        case CouponState.AVAILABLE | CouponState.GIFTING:
            return Stamp.EXPIRED if coupon.expires_at <= now else Stamp.NONE
