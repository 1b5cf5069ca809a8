"""Coupons: issued from a plan, used at a till, ended by the clock (reference loyalty.md §2.4).

The rows are in `store.coupon_rows`, giving one to a friend is in `store.gifts`.
"""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, or_, update
from sqlmodel import col, func, select
from sqlmodel.sql.expression import Select

from store import members
from store.coupon_rows import (
    REF_LENGTH,
    Coupon,
    CouponDiffers,
    CouponExpired,
    CouponKind,
    CouponNotFound,
    CouponPlan,
    CouponState,
    Gift,
    GiftState,
    LimitReached,
    PlanClosed,
    PlanNotFound,
    StockUsedUp,
    end_lapsed,
    move_coupon,
    rest,
)
from store.db import Session

__all__ = [
    "Coupon",
    "CouponDiffers",
    "CouponExpired",
    "CouponKind",
    "CouponNotFound",
    "CouponPlan",
    "CouponState",
    "Gift",
    "GiftState",
    "LimitReached",
    "PlanClosed",
    "PlanNotFound",
    "StockUsedUp",
]

# A list of what is over need not show every coupon a member ever had.
MOST_PAST = 50
Owned = tuple[Coupon, CouponPlan]


def usable(session: Session, member_id: int, now: datetime) -> list[Owned]:
    """What a member can use or give at this instant, what ends first first."""
    query = _own(member_id).where(_is_usable(now))
    return list(session.exec(query.order_by(col(Coupon.expires_at), col(Coupon.id))))


def on_the_way(
    session: Session, member_id: int, now: datetime
) -> list[tuple[Coupon, CouponPlan, Gift]]:
    """What waits for a friend, with the gift that says until when; the last given first."""
    query = (
        select(Coupon, CouponPlan, Gift)
        .join(CouponPlan, col(CouponPlan.id) == Coupon.plan_id)
        .join(Gift, col(Gift.coupon_id) == Coupon.id)
        .where(Coupon.member_id == member_id, Gift.state == GiftState.OPEN)
        .where(Gift.expires_at > now)
    )
    return list(session.exec(query.order_by(col(Gift.opened_at).desc(), col(Gift.id).desc())))


def used(session: Session, member_id: int, *, limit: int = MOST_PAST) -> list[Owned]:
    """What was used at a till, the last first."""
    query = _own(member_id).where(Coupon.state == CouponState.REDEEMED)
    return list(session.exec(query.order_by(col(Coupon.redeemed_at).desc()).limit(limit)))


def past(session: Session, member_id: int, now: datetime, *, limit: int = MOST_PAST) -> list[Owned]:
    """What ended unused, the last first; the clock decides, not the job that writes it down."""
    ended = col(Coupon.state).in_([CouponState.EXPIRED, CouponState.REVOKED])
    kept = col(Coupon.state).in_([CouponState.AVAILABLE, CouponState.GIFTING])
    query = _own(member_id).where(or_(ended, and_(kept, col(Coupon.expires_at) <= now)))
    return list(session.exec(query.order_by(col(Coupon.expires_at).desc()).limit(limit)))


def own(session: Session, member_id: int, ref: str) -> Owned:
    """The member's coupon that a page's address names; anything else is `CouponNotFound`."""
    hashed = func.encode(func.sha256(func.convert_to(col(Coupon.code), "UTF8")), "hex")
    row = session.exec(_own(member_id).where(func.left(hashed, REF_LENGTH) == ref)).first()
    if row is None:
        raise CouponNotFound
    return row


def open_gift(session: Session, coupon_id: int, now: datetime) -> Gift | None:
    """The gift that carries this coupon to a friend at this instant."""
    query = select(Gift).where(Gift.coupon_id == coupon_id, Gift.state == GiftState.OPEN)
    return session.exec(query.where(Gift.expires_at > now)).first()


def issue(
    session: Session, plan_id: int, member_id: int, *, reason: str, source_id: str, now: datetime
) -> Coupon:
    """Put a coupon of the plan in a member's hands; a repeat gives the same coupon.

    Locks the member, then counts the stock down in one statement. Refuses with `PlanNotFound`,
    `PlanClosed`, `StockUsedUp`, `LimitReached` or `CouponDiffers`.
    """
    member = members.lock(session, member_id)
    plan = session.get(CouponPlan, plan_id)
    if plan is None:
        raise PlanNotFound(plan_id)
    if (known := _known(session, plan_id, member.id, reason, source_id)) is not None:
        return known
    check_limit(session, plan, member.id)
    _take_from_stock(session, plan)
    # Somebody may have issued it to another member while this one was being locked.
    if _known(session, plan_id, member.id, reason, source_id) is not None:
        raise CouponDiffers(reason, source_id)
    coupon = Coupon(
        plan_id=plan_id,
        member_id=member.id,
        reason=reason,
        source_id=source_id,
        issued_at=now,
        expires_at=now + timedelta(days=plan.valid_days),
    )
    session.add(coupon)
    session.flush()
    return coupon


def redeem(session: Session, code: str, *, order_id: int | None, now: datetime) -> Coupon:
    """Use a coupon at the till; whether the purchase is worth enough is the till's to know.

    A repeat for the same order is harmless. A code that was given away is `CouponNotFound`.
    """
    coupon = _lock_by_code(session, code)
    end_lapsed(session, coupon, now)
    if coupon.state is CouponState.REDEEMED and order_id and coupon.redeemed_order_id == order_id:
        return coupon
    if coupon.state is CouponState.AVAILABLE and coupon.expires_at <= now:
        raise CouponExpired(coupon.expires_at)
    move_coupon(coupon, CouponState.REDEEMED)
    coupon.redeemed_at, coupon.redeemed_order_id = now, order_id
    session.flush()
    return coupon


def give_back(session: Session, order_id: int, *, now: datetime) -> list[Coupon]:
    """Return the coupons of an order that was wholly refunded; one past its end is expired."""
    query = (
        select(Coupon)
        .where(Coupon.redeemed_order_id == order_id, Coupon.state == CouponState.REDEEMED)
        .order_by(col(Coupon.id))
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    coupons = list(session.exec(query))
    for coupon in coupons:
        rest(coupon, now)
        coupon.redeemed_at = coupon.redeemed_order_id = None
    session.flush()
    return coupons


def expire_due(session: Session, now: datetime) -> int:
    """Write down the end of every coupon whose time has come; gives how many.

    One on its way to a friend waits for `gifts.expire_due`.
    """
    query = (
        update(Coupon)
        .where(col(Coupon.state) == CouponState.AVAILABLE, col(Coupon.expires_at) <= now)
        .values(state=CouponState.EXPIRED)
        .returning(col(Coupon.id))
        .execution_options(synchronize_session="fetch")
    )
    return len(session.execute(query).all())


def check_limit(session: Session, plan: CouponPlan, member_id: int) -> None:
    """Refuse with `LimitReached` a member, locked, who has had as many as one may.

    Those given away count too, else a plan could be emptied by giving on.
    """
    if plan.per_member_limit is None:
        return
    given = select(Gift.coupon_id).where(
        Gift.giver_id == member_id, Gift.state == GiftState.CLAIMED
    )
    had = select(func.count(col(Coupon.id))).where(
        Coupon.plan_id == plan.id,
        Coupon.state != CouponState.REVOKED,
        or_(col(Coupon.member_id) == member_id, col(Coupon.id).in_(given)),
    )
    if session.exec(had).one() >= plan.per_member_limit:
        raise LimitReached(plan.code, plan.per_member_limit)


def _own(member_id: int) -> Select[Coupon, CouponPlan]:
    query = select(Coupon, CouponPlan).join(CouponPlan, col(CouponPlan.id) == Coupon.plan_id)
    return query.where(Coupon.member_id == member_id)


def _is_usable(now: datetime) -> ColumnElement[bool]:
    """In hand and not over; a gift past its time is back also before the job has come by."""
    is_back = and_(col(Coupon.state) == CouponState.GIFTING, ~_is_offered(now))
    is_in_hand = or_(col(Coupon.state) == CouponState.AVAILABLE, is_back)
    return and_(is_in_hand, col(Coupon.expires_at) > now)


def _is_offered(now: datetime) -> ColumnElement[bool]:
    query = select(Gift.id).where(Gift.coupon_id == Coupon.id, Gift.state == GiftState.OPEN)
    return query.where(Gift.expires_at > now).exists()


def _known(
    session: Session, plan_id: int, member_id: int, reason: str, source_id: str
) -> Coupon | None:
    query = select(Coupon).where(Coupon.reason == reason, Coupon.source_id == source_id)
    coupon = session.exec(query).first()
    if coupon is None:
        return None
    # One that was given on is still the coupon of this source.
    is_moved = coupon.hops == 0 and coupon.member_id != member_id
    if coupon.plan_id != plan_id or is_moved:
        raise CouponDiffers(reason, source_id)
    return coupon


def _take_from_stock(session: Session, plan: CouponPlan) -> None:
    """Count one coupon out of the stock; the row's lock makes others wait until the commit."""
    query = (
        update(CouponPlan)
        .where(col(CouponPlan.id) == plan.id, col(CouponPlan.is_active))
        .where(or_(col(CouponPlan.stock).is_(None), col(CouponPlan.issued) < CouponPlan.stock))
        .values(issued=CouponPlan.issued + 1)
        .returning(col(CouponPlan.id))
    )
    if session.execute(query).first() is not None:
        return
    session.refresh(plan)
    if not plan.is_active or plan.stock is None:
        raise PlanClosed(plan.code)
    raise StockUsedUp(plan.code, plan.stock)


def _lock_by_code(session: Session, code: str) -> Coupon:
    """The coupon with this code, under the locks of its owner and itself."""
    coupon = session.exec(select(Coupon).where(Coupon.code == code)).first()
    if coupon is None:
        raise CouponNotFound
    members.lock(session, coupon.member_id)
    session.refresh(coupon, with_for_update=True)
    # A claim that came first has changed the code.
    if coupon.code != code:
        raise CouponNotFound
    return coupon
