"""A coupon on its way to a friend, as whoever opens the link sees it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlmodel import Session

from content.phrases import initial
from store import gifts, plan_shops
from store.coupons import Coupon, CouponKind, CouponPlan, CouponState, Gift, GiftState
from store.members import Member


class Look(StrEnum):
    """Which page this visitor gets."""

    OPEN = "open"
    OWN = "own"
    MINE = "mine"
    SPENT = "spent"
    TAKEN = "taken"
    FULL = "full"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Worth:
    """What a coupon gives; `value` is fen or percent, as `kind` says."""

    name: str
    kind: CouponKind
    value: int
    min_spend_fen: int


@dataclass(frozen=True, slots=True)
class GiftView:
    """The page; `shops` are those where the coupon counts, none meaning all.

    `giver` and `friend` are first characters of names: enough for friends, no more. `code`
    and `ref` are there only for the one who claimed the coupon and still has it. `is_own` is the
    giver, who learns how it went; `is_visitor` is somebody without a mobile.
    """

    look: Look
    giver: str
    friend: str
    worth: Worth
    shops: Sequence[str]
    coupon_expires_at: datetime
    gift_expires_at: datetime
    is_own: bool = False
    is_known: bool = False
    is_visitor: bool = False
    code: str = ""
    ref: str = ""


def read(session: Session, token: str, person: Member | None, *, now: datetime) -> GiftView:
    """The gift behind `token` for `person`, or for somebody unknown."""
    gift = gifts.by_token(session, token)
    coupon = session.get_one(Coupon, gift.coupon_id)
    plan = session.get_one(CouponPlan, coupon.plan_id)
    look = _look(gift, coupon, person.id if person is not None else None, now)
    return GiftView(
        look=look,
        giver=_initial(session, gift.giver_id),
        friend=_initial(session, gift.claimed_by_id),
        worth=worth_of(plan),
        shops=plan_shops.names(session, plan.id),
        coupon_expires_at=coupon.expires_at,
        gift_expires_at=gift.expires_at,
        is_own=person is not None and person.id == gift.giver_id,
        is_known=person is not None,
        is_visitor=person is not None and person.mobile is None,
        code=coupon.code if look is Look.MINE else "",
        ref=coupon.ref if look is Look.MINE else "",
    )


def worth_of(plan: CouponPlan) -> Worth:
    """What a plan's coupons give."""
    return Worth(plan.name, plan.kind, plan.value, plan.min_spend_fen)


def _initial(session: Session, member_id: int | None) -> str:
    return initial(session.get_one(Member, member_id).name if member_id is not None else "")


def _look(gift: Gift, coupon: Coupon, person_id: int | None, now: datetime) -> Look:
    match gift.state:
        case GiftState.CLAIMED:
            is_mine = person_id is not None and gift.claimed_by_id == person_id
            return _claimed_look(coupon, gift.claimed_by_id, now) if is_mine else Look.TAKEN
        case GiftState.CANCELLED:
            return Look.CANCELLED
        case GiftState.EXPIRED:
            return Look.EXPIRED
        case GiftState.OPEN:
            if gift.expires_at <= now:
                return Look.EXPIRED
            return Look.OWN if gift.giver_id == person_id else Look.OPEN


def _claimed_look(coupon: Coupon, person_id: int | None, now: datetime) -> Look:
    """Since the claim it may have been used or given on, and then its code is not theirs."""
    is_usable = coupon.state is CouponState.AVAILABLE and coupon.expires_at > now
    return Look.MINE if is_usable and coupon.member_id == person_id else Look.SPENT
