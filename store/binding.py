"""Binding: a visitor proves a mobile and becomes a member, or turns out to be one already.

Whoever joins gets the brand's joining gift, once per mobile for ever: the index on the keyed hash
of the mobile outlives merges, changed mobiles and erasures. A mobile that the brand knew before
(imported, or a member's) does not join again.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import CheckConstraint, Index
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Field, SQLModel, col, select

from store import coupons, members, points
from store.columns import big_key, link
from store.coupons import Coupon, CouponPlan
from store.db import Session
from store.errors import Refusal
from store.members import Member
from store.points import PointsEntry
from store.tokens import fingerprint

JOINING = "joining"


class JoiningOffer(SQLModel, table=True):
    """What a brand gives to whoever joins: a coupon of a plan, points, or both."""

    __tablename__ = "joining_offers"
    __table_args__ = (CheckConstraint("points >= 0", name="ck_joining_offers_points"),)
    brand_id: int = link("brands.id", index=False, primary_key=True)
    coupon_plan_id: int | None = link("coupon_plans.id", default=None, nullable=True)
    points: int = Field(default=0)


class Binding(SQLModel, table=True):
    """One proven mobile, with the version of the text that the person agreed to."""

    __tablename__ = "bindings"
    __table_args__ = (
        Index("uq_bindings_gift", "mobile_hash", unique=True, postgresql_where="is_gifted"),
    )
    id: int = big_key()
    member_id: int | None = link("members.id", default=None, nullable=True)
    mobile_hash: str
    text_version: str
    is_gifted: bool = False
    bound_at: datetime


@dataclass(frozen=True)
class Gift:
    """What somebody got for joining; the names are those of the plan."""

    coupon: str
    points: int


@dataclass(frozen=True)
class Bound:
    """The member who survives, and the joining gift if there was one."""

    member: Member
    gift: Gift | None


def bind(
    session: Session,
    member_id: int,
    mobile: str,
    *,
    text_version: str,
    secret_key: str,
    now: datetime,
) -> Bound:
    """Bind a mobile that the person has proven to hold; see `members.bind_mobile` for who stays.

    Two who bind the same mobile at once become one member, with one joining gift.
    """
    if not members.is_mobile(mobile):
        raise members.BadMobile
    members.take_turns(session, f"mobile:{mobile}")
    # Not locked: of two members the one with the smaller id has to be locked first.
    asking = session.get_one(Member, members.survivor(session, member_id))
    is_joining = asking.joined_at is None and members.by_mobile(session, mobile) is None
    member = members.bind_mobile(session, member_id, mobile, now=now)
    row = Binding(
        member_id=member.id,
        mobile_hash=fingerprint(secret_key, mobile),
        text_version=text_version,
        bound_at=now,
    )
    session.add(row)
    session.flush()
    return Bound(member, _give(session, member, row, now=now) if is_joining else None)


def offer(
    session: Session, brand_id: int, *, coupon_plan_id: int | None = None, points: int = 0
) -> None:
    """Set what the brand gives from now on; nothing of both ends the offer."""
    facts = {"coupon_plan_id": coupon_plan_id, "points": points}
    query = insert(JoiningOffer).values(brand_id=brand_id, **facts)
    session.execute(query.on_conflict_do_update(index_elements=["brand_id"], set_=facts))


def offered(session: Session, brand_id: int) -> Gift | None:
    """What the brand gives to who joins now; None when nothing."""
    row = session.get(JoiningOffer, brand_id)
    if row is None:
        return None
    plan = session.get(CouponPlan, row.coupon_plan_id) if row.coupon_plan_id else None
    gift = Gift(plan.name if plan is not None else "", row.points)
    return gift if gift.coupon or gift.points else None


def gift_since(session: Session, member_id: int, since: datetime) -> Gift | None:
    """What the member got for joining, if that was after `since`."""
    joined = select(Binding.id).where(
        Binding.member_id == member_id, col(Binding.is_gifted), Binding.bound_at >= since
    )
    if session.exec(joined).first() is None:
        return None
    coupon = session.exec(
        select(CouponPlan.name)
        .join(Coupon, col(Coupon.plan_id) == CouponPlan.id)
        .where(Coupon.reason == JOINING, Coupon.source_id == str(member_id))
    ).first()
    earned = session.exec(
        select(PointsEntry.points).where(
            PointsEntry.reason == JOINING, PointsEntry.source_id == str(member_id)
        )
    ).first()
    return Gift(coupon or "", earned or 0)


def _give(session: Session, member: Member, row: Binding, *, now: datetime) -> Gift | None:
    """The gift, unless this mobile had one before or the brand has none to give."""
    offered = session.get(JoiningOffer, member.brand_id)
    if offered is None or _had_gift(session, row.mobile_hash):
        return None
    coupon = _coupon(session, member, offered.coupon_plan_id, now=now)
    if offered.points:
        _earn(session, member, offered.points, now=now)
    row.is_gifted = bool(coupon or offered.points)
    session.flush()
    return Gift(coupon, offered.points) if row.is_gifted else None


def _had_gift(session: Session, mobile_hash: str) -> bool:
    query = select(Binding.id).where(Binding.mobile_hash == mobile_hash, col(Binding.is_gifted))
    return session.exec(query).first() is not None


def _coupon(session: Session, member: Member, plan_id: int | None, *, now: datetime) -> str:
    """The name of the plan of which a coupon was issued; nobody is kept from joining by stock."""
    if plan_id is None:
        return ""
    try:
        with session.begin_nested():
            key = str(member.id)
            coupons.issue(session, plan_id, member.id, reason=JOINING, source_id=key, now=now)
    except Refusal:
        return ""
    return session.get_one(CouponPlan, plan_id).name


def _earn(session: Session, member: Member, given: int, *, now: datetime) -> None:
    points.earn(session, member.id, given, reason=JOINING, source_id=str(member.id), now=now)
