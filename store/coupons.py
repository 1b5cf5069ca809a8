"""Coupon plans, coupons, and gifts of a coupon to a friend (reference loyalty.md §2.4, §2.5)."""

from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import BigInteger, CheckConstraint, Index, UniqueConstraint, or_, update
from sqlmodel import Field, SQLModel, col, func, select

from store import members
from store.columns import big_key, link, one_of, status
from store.db import Session
from store.errors import Exhausted, NotAllowed, NotFound, WrongState
from store.tokens import new_code


class CouponKind(StrEnum):
    """What a coupon gives: fen off, percent off, or a thing."""

    AMOUNT_OFF = "amount_off"
    PERCENT_OFF = "percent_off"
    EXCHANGE = "exchange"


class CouponState(StrEnum):
    """Where a coupon stands; while it is `gifting` its code is dead at the till."""

    AVAILABLE = "available"
    GIFTING = "gifting"
    REDEEMED = "redeemed"
    EXPIRED = "expired"
    REVOKED = "revoked"


class GiftState(StrEnum):
    """Where a gift stands; `expired` gives the coupon back with its old end date."""

    OPEN = "open"
    CLAIMED = "claimed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


_MOVES: dict[CouponState, frozenset[CouponState]] = {
    CouponState.AVAILABLE: frozenset(
        {CouponState.GIFTING, CouponState.REDEEMED, CouponState.EXPIRED, CouponState.REVOKED}
    ),
    CouponState.GIFTING: frozenset(
        {CouponState.AVAILABLE, CouponState.EXPIRED, CouponState.REVOKED}
    ),
    # A wholly refunded order gives its coupon back, or to its end if that has passed.
    CouponState.REDEEMED: frozenset({CouponState.AVAILABLE, CouponState.EXPIRED}),
    CouponState.EXPIRED: frozenset(),
    CouponState.REVOKED: frozenset(),
}


class CouponPlan(SQLModel, table=True):
    """What is issued: worth, threshold, life, stock; `value` is fen or percent, as `kind` says."""

    __tablename__ = "coupon_plans"
    __table_args__ = (
        one_of("kind", CouponKind, "coupon_plans"),
        CheckConstraint("stock IS NULL OR issued <= stock", name="ck_coupon_plans_stock"),
        CheckConstraint("value >= 0 AND min_spend_fen >= 0", name="ck_coupon_plans_worth"),
        CheckConstraint("valid_days > 0", name="ck_coupon_plans_valid_days"),
    )
    id: int = big_key()
    code: str = Field(unique=True)
    name: str
    kind: CouponKind = status(CouponKind)
    value: int = Field(default=0, sa_type=BigInteger)
    min_spend_fen: int = Field(default=0, sa_type=BigInteger)
    valid_days: int = 30
    stock: int | None = None
    issued: int = 0
    per_member_limit: int | None = None
    gift_hops: int = 1
    is_active: bool = True


class Coupon(SQLModel, table=True):
    """One coupon in one member's hands; a repeat of (reason, source_id) is the same coupon."""

    __tablename__ = "coupons"
    __table_args__ = (
        one_of("state", CouponState, "coupons"),
        UniqueConstraint("reason", "source_id", name="uq_coupons_source"),
        Index("ix_coupons_member", "member_id", "state"),
        Index("ix_coupons_ends", "expires_at", postgresql_where="state = 'available'"),
        CheckConstraint("hops >= 0", name="ck_coupons_hops"),
    )
    id: int = big_key()
    plan_id: int = link("coupon_plans.id")
    member_id: int = link("members.id", index=False)
    code: str = Field(unique=True, default_factory=new_code)
    state: CouponState = status(CouponState, default=CouponState.AVAILABLE)
    reason: str
    source_id: str
    hops: int = 0
    issued_at: datetime
    expires_at: datetime
    redeemed_at: datetime | None = None
    redeemed_order_id: int | None = link("orders.id", default=None, nullable=True)


class Gift(SQLModel, table=True):
    """A coupon on its way to a friend; the link's token is kept only as a hash."""

    __tablename__ = "gifts"
    __table_args__ = (
        one_of("state", GiftState, "gifts"),
        Index("uq_gifts_open", "coupon_id", unique=True, postgresql_where="state = 'open'"),
        CheckConstraint("claimed_by_id <> giver_id", name="ck_gifts_not_to_self"),
    )
    id: int = big_key()
    coupon_id: int = link("coupons.id")
    giver_id: int = link("members.id")
    token_hash: str = Field(unique=True)
    state: GiftState = status(GiftState, default=GiftState.OPEN)
    old_code: str
    opened_at: datetime
    expires_at: datetime
    claimed_by_id: int | None = link("members.id", default=None, nullable=True)
    closed_at: datetime | None = None


class PlanNotFound(NotFound):
    """There is no such coupon plan."""

    def __init__(self, plan_id: int) -> None:
        self.plan_id = plan_id
        super().__init__(f"There is no coupon plan {plan_id}.")


class PlanClosed(NotAllowed):
    """The plan issues no coupons any more."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(f"The coupon plan {code} is closed.")


class StockUsedUp(Exhausted):
    """Every coupon of the plan has been issued."""

    def __init__(self, code: str, stock: int) -> None:
        self.code, self.stock = code, stock
        super().__init__(f"All {stock} coupons of the plan {code} have been issued.")


class LimitReached(Exhausted):
    """This member has had as many coupons of the plan as one may have."""

    def __init__(self, code: str, limit: int) -> None:
        self.code, self.limit = code, limit
        super().__init__(f"A member may have {limit} coupons of the plan {code}, and has had them.")


class CouponDiffers(NotAllowed):
    """The same (reason, source_id) was issued before from another plan or to another member."""

    def __init__(self, reason: str, source_id: str) -> None:
        self.reason, self.source_id = reason, source_id
        super().__init__(f"{reason} {source_id} has its coupon already, with other facts.")


class CouponNotFound(NotFound):
    """There is no such coupon, or it is not this person's."""

    def __init__(self) -> None:
        super().__init__("There is no such coupon here.")


class CouponExpired(NotAllowed):
    """The coupon's end has passed."""

    def __init__(self, expired_at: datetime) -> None:
        self.expired_at = expired_at
        super().__init__(f"The coupon expired at {expired_at.isoformat()}.")


def usable(session: Session, member_id: int, now: datetime) -> list[tuple[Coupon, CouponPlan]]:
    """What a member can use or give at this instant, what ends first first."""
    query = (
        select(Coupon, CouponPlan)
        .join(CouponPlan, col(CouponPlan.id) == Coupon.plan_id)
        .where(Coupon.member_id == member_id, Coupon.state == CouponState.AVAILABLE)
        .where(Coupon.expires_at > now)
        .order_by(col(Coupon.expires_at), col(Coupon.id))
    )
    return list(session.exec(query))


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


def move_coupon(coupon: Coupon, state: CouponState) -> None:
    """Move a locked coupon to `state`; refuses a move that its life does not know."""
    if state not in _MOVES[coupon.state]:
        raise WrongState("coupon", coupon.state, state)
    coupon.state = state


def rest(coupon: Coupon, now: datetime) -> None:
    """Put a locked coupon back in its owner's hands, or to its end if that has passed."""
    is_over = coupon.expires_at <= now
    move_coupon(coupon, CouponState.EXPIRED if is_over else CouponState.AVAILABLE)


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
