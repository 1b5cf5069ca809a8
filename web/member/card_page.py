"""The member's card: who, the code of this minute that a till scans, points, usable coupons."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import Session

from store import card_codes, coupons, points
from store.levels import Level
from store.members import Member
from store.organisation import Brand

# Long enough to come by once more before points are gone.
_SOON = timedelta(days=60)


@dataclass(frozen=True, slots=True)
class CardView:
    """The page; `ending` points are gone within 60 days if they are not spent.

    `code` changes after `seconds_left`; a visitor has none, for there is no card yet.
    """

    brand: str
    name: str
    level: str
    is_member: bool
    card_no: str
    code: str
    seconds_left: int
    points: int
    ending: int
    ending_before: datetime
    coupons: int


def read(session: Session, member: Member, *, secret: str, now: datetime) -> CardView:
    """The card of a member or visitor."""
    level = session.get(Level, member.level_id) if member.level_id is not None else None
    is_member = member.mobile is not None
    return CardView(
        brand=session.get_one(Brand, member.brand_id).name,
        name=member.name,
        level=level.name if level is not None else "",
        is_member=is_member,
        card_no=member.card_no,
        code=card_codes.shown(secret, member.id, now) if is_member else "",
        seconds_left=card_codes.seconds_left(now),
        points=points.spendable(session, member.id, now),
        ending=points.expiring(session, member.id, before=now + _SOON, now=now),
        ending_before=now + _SOON,
        coupons=len(coupons.usable(session, member.id, now)),
    )
