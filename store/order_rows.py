"""Rows of orders, lines, refunds and member facts, and the refusals of the acts on them.

`store.orders` holds the acts, and gives all of these names out again.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Index, UniqueConstraint
from sqlmodel import Field, SQLModel

from store.columns import big_key, json_column, link
from store.errors import Exhausted, NotAllowed, NotFound


class Order(SQLModel, table=True):
    """One paid order. (source, external_id) is its natural key; amounts are what was paid, fen."""

    __tablename__ = "orders"
    __table_args__ = (
        UniqueConstraint("source", "external_id", name="uq_orders_source"),
        CheckConstraint("amount_fen >= 0", name="ck_orders_amount"),
        CheckConstraint("refunded_fen BETWEEN 0 AND amount_fen", name="ck_orders_refunded"),
        Index("ix_orders_member", "member_id", "paid_at"),
        Index("ix_orders_paid_at", "paid_at"),
        Index("ix_orders_attribution_due", "id", postgresql_where="is_attribution_due"),
    )
    id: int = big_key()
    source: str
    external_id: str
    member_id: int | None = link("members.id", index=False, default=None, nullable=True)
    shop_id: int | None = link("shops.id", default=None, nullable=True)
    guide_id: int | None = link("guides.id", default=None, nullable=True)
    amount_fen: int = Field(sa_type=BigInteger)
    refunded_fen: int = Field(default=0, sa_type=BigInteger)
    paid_at: datetime
    created_at: datetime
    # Set by every order and refund, cleared by attribution: a lost nudge costs a delay, no credit.
    is_attribution_due: bool = False


class OrderLine(SQLModel, table=True):
    """One product of an order; `amount_fen` is what was paid for the whole line."""

    __tablename__ = "order_lines"
    __table_args__ = (
        CheckConstraint("quantity >= 0 AND amount_fen >= 0", name="ck_order_lines_sign"),
    )
    order_id: int = link("orders.id", index=False, primary_key=True)
    line_no: int = Field(primary_key=True)
    product_id: int = link("products.id")
    quantity: int
    amount_fen: int = Field(sa_type=BigInteger)


class Refund(SQLModel, table=True):
    """Money given back on an order; (source, external_id) is its natural key."""

    __tablename__ = "refunds"
    __table_args__ = (
        UniqueConstraint("source", "external_id", name="uq_refunds_source"),
        CheckConstraint("amount_fen > 0", name="ck_refunds_amount"),
    )
    id: int = big_key()
    order_id: int = link("orders.id")
    source: str
    external_id: str
    amount_fen: int = Field(sa_type=BigInteger)
    refunded_at: datetime


class MemberFacts(SQLModel, table=True):
    """What the orders of a member say: recency, frequency, money, and the own interval.

    `favourite_categories` are names, the one with most money first; `store.facts` writes the rows.
    """

    __tablename__ = "member_facts"
    __table_args__ = (Index("ix_member_facts_rfm", "last_order_at", "orders_count", "spent_fen"),)
    member_id: int = link("members.id", index=False, primary_key=True)
    orders_count: int = 0
    spent_fen: int = Field(default=0, sa_type=BigInteger)
    spent_365_fen: int = Field(default=0, sa_type=BigInteger)
    first_order_at: datetime | None = None
    last_order_at: datetime | None = None
    interval_days: float | None = None
    favourite_categories: list[Any] = json_column(default_factory=list)
    updated_at: datetime


class OrderChanged(NotAllowed):
    """The same order was handed in before with another content; a change must be a refund."""

    def __init__(self, source: str, external_id: str, field: str) -> None:
        self.source, self.external_id, self.field = source, external_id, field
        super().__init__(
            f"{field}: the order {external_id} of {source} was handed in with another."
        )


class OrderNotFound(NotFound):
    """The source never handed in this order."""

    def __init__(self, source: str, external_id: str) -> None:
        self.source, self.external_id = source, external_id
        super().__init__(f"order_external_id: {source} has handed in no order {external_id}.")


class PaidInFuture(NotAllowed):
    """The order is dated later than now."""

    def __init__(self, paid_at: datetime) -> None:
        self.paid_at = paid_at
        super().__init__(f"paid_at: {paid_at.isoformat()} is in the future; mind the time zone.")


class CouponOfAnother(NotAllowed):
    """The coupon is not the buyer's; a friend must claim it as a gift first."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(f"coupon_code: the coupon {code} belongs to another member.")


class RefundChanged(NotAllowed):
    """The same refund was handed in before with another order or amount."""

    def __init__(self, source: str, external_id: str) -> None:
        self.source, self.external_id = source, external_id
        super().__init__(f"The refund {external_id} of {source} was handed in with other facts.")


class RefundTooLarge(Exhausted):
    """More is to be given back than is left of what was paid."""

    def __init__(self, left_fen: int, asked_fen: int) -> None:
        self.left_fen, self.asked_fen = left_fen, asked_fen
        super().__init__(f"amount_fen: {left_fen} fen of the order are left, not {asked_fen}.")
