"""The member's card: who, what a till scans, points and what of them ends soon, usable coupons."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import Session

from store import coupons, points
from store.levels import Level
from store.members import Member
from store.organisation import Brand
from web.member.gift_page import Worth, worth_of

# Long enough to come by once more before points are gone.
_SOON = timedelta(days=60)


@dataclass(frozen=True, slots=True)
class OwnCoupon:
    """A coupon that can be used now."""

    worth: Worth
    code: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class CardView:
    """The page; `ending` points are gone within 60 days if they are not spent."""

    brand: str
    name: str
    level: str
    card_no: str
    points: int
    ending: int
    ending_before: datetime
    coupons: Sequence[OwnCoupon]


def read(session: Session, member: Member, *, now: datetime) -> CardView:
    """The card of a member or visitor."""
    level = session.get(Level, member.level_id) if member.level_id is not None else None
    usable = coupons.usable(session, member.id, now)
    owned = [OwnCoupon(worth_of(plan), one.code, one.expires_at) for one, plan in usable]
    return CardView(
        brand=session.get_one(Brand, member.brand_id).name,
        name=member.name,
        level=level.name if level is not None else "",
        card_no=member.card_no,
        points=points.balance(session, member.id),
        ending=points.expiring(session, member.id, before=now + _SOON, now=now),
        ending_before=now + _SOON,
        coupons=sorted(owned, key=lambda coupon: coupon.expires_at),
    )
