"""Coupon plans, coupons, and gifts of a coupon to a friend (reference loyalty.md §2.4, §2.5)."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, CheckConstraint, Index, UniqueConstraint
from sqlmodel import Field, SQLModel

from store.columns import big_key, link, one_of, status
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


class CouponPlan(SQLModel, table=True):
    """What is issued: worth, threshold, life, stock and limits. `value` is fen or percent, as `kind` says."""

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
