"""Coupon plans, coupons and gifts as rows, and the moves that their states know.

The acts are in `store.coupons` and `store.gifts` (reference loyalty.md §2.4, §2.5).
"""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, CheckConstraint, Index, UniqueConstraint
from sqlmodel import Field, SQLModel, select

from store.columns import big_key, link, one_of, status
from store.db import Session
from store.errors import Exhausted, NotAllowed, NotFound, WrongState
from store.tokens import digest, new_code

# 64 bits of a digest: enough to tell a member's own coupons apart.
REF_LENGTH = 16


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
_GIFT_MOVES: dict[GiftState, frozenset[GiftState]] = {
    GiftState.OPEN: frozenset({GiftState.CLAIMED, GiftState.CANCELLED, GiftState.EXPIRED}),
    GiftState.CLAIMED: frozenset(),
    GiftState.CANCELLED: frozenset(),
    GiftState.EXPIRED: frozenset(),
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

    @property
    def ref(self) -> str:
        """What the address of a page calls it: a code in an access log would be worth money."""
        return digest(self.code)[:REF_LENGTH]


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


def move_coupon(coupon: Coupon, state: CouponState) -> None:
    """Move a locked coupon to `state`; refuses a move that its life does not know."""
    if state not in _MOVES[coupon.state]:
        raise WrongState("coupon", coupon.state, state)
    coupon.state = state


def close_gift(gift: Gift, state: GiftState, now: datetime) -> None:
    """Move a locked gift from open to its end, once, for good."""
    if state not in _GIFT_MOVES[gift.state]:
        raise WrongState("gift", gift.state, state)
    gift.state, gift.closed_at = state, now


def rest(coupon: Coupon, now: datetime) -> None:
    """Put a locked coupon back in its owner's hands, or to its end if that has passed."""
    is_over = coupon.expires_at <= now
    move_coupon(coupon, CouponState.EXPIRED if is_over else CouponState.AVAILABLE)


def end_lapsed(session: Session, coupon: Coupon, now: datetime) -> None:
    """The clock decides: a gift past its time is over, also before the job has come by.

    The coupon is locked; it comes back to its giver with its old code and end.
    """
    query = select(Gift).where(
        Gift.coupon_id == coupon.id, Gift.state == GiftState.OPEN, Gift.expires_at <= now
    )
    locked = query.with_for_update().execution_options(populate_existing=True)
    for gift in session.exec(locked).all():
        rest(coupon, now)
        close_gift(gift, GiftState.EXPIRED, now)
    session.flush()
