"""Rows and requests of what a till takes, and the refusals of the acts on them.

`store.redemptions` holds the acts, and gives all of these names out again.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, CheckConstraint, Index, UniqueConstraint
from sqlmodel import Field, SQLModel

from store.columns import big_key, link, one_of, status
from store.errors import NotAllowed, NotFound, WrongState
from store.tokens import new_code


class RedemptionKind(StrEnum):
    """What the till took."""

    COUPON = "coupon"
    POINTS = "points"


class Redemption(SQLModel, table=True):
    """One coupon, or one sum of points, used at a till; `undone_at` says that it was taken back.

    `number` is how the till calls it. `amount_fen` is the purchase before the coupon. A card code
    pays once: its digest is kept.
    """

    __tablename__ = "till_redemptions"
    __table_args__ = (
        one_of("kind", RedemptionKind, "till_redemptions"),
        UniqueConstraint("source", "kind", "key", name="uq_till_redemptions_key"),
        Index(
            "uq_till_redemptions_reference",
            "source",
            "kind",
            "reference",
            unique=True,
            postgresql_where="undone_at IS NULL",
        ),
        Index(
            "uq_till_redemptions_coupon",
            "coupon_id",
            unique=True,
            postgresql_where="undone_at IS NULL",
        ),
        Index(
            "uq_till_redemptions_card",
            "card_code_hash",
            unique=True,
            postgresql_where="undone_at IS NULL",
        ),
        CheckConstraint(
            "(kind = 'coupon') = (coupon_id IS NOT NULL) AND (kind = 'points') ="
            " (entry_id IS NOT NULL AND card_code_hash IS NOT NULL)",
            name="ck_till_redemptions_what",
        ),
        CheckConstraint(
            "discount_fen BETWEEN 0 AND amount_fen", name="ck_till_redemptions_discount"
        ),
    )
    id: int = big_key()
    number: str = Field(unique=True, default_factory=new_code)
    source: str
    kind: RedemptionKind = status(RedemptionKind)
    key: str
    reference: str
    coupon_id: int | None = link("coupons.id", index=False, default=None, nullable=True)
    amount_fen: int | None = Field(default=None, sa_type=BigInteger)
    discount_fen: int | None = Field(default=None, sa_type=BigInteger)
    shop_id: int | None = link("shops.id", index=False, default=None, nullable=True)
    entry_id: int | None = link("points_entries.id", index=False, default=None, nullable=True)
    points: int | None = None
    card_code_hash: str | None = None
    done_at: datetime
    undone_at: datetime | None = None


class CouponUsed(WrongState):
    """The coupon was used before."""

    def __init__(self) -> None:
        Exception.__init__(self, "coupon_code: the coupon was used before; ask for another.")


class CouponOnItsWay(WrongState):
    """The coupon is being given to a friend, so its code is dead."""

    def __init__(self) -> None:
        Exception.__init__(
            self,
            "coupon_code: the member is giving this coupon to a friend; it can be used after the"
            " member takes the gift back.",
        )


class SpendTooSmall(NotAllowed):
    """The purchase is below what the coupon asks for."""

    def __init__(self, min_spend_fen: int, amount_fen: int) -> None:
        self.min_spend_fen, self.amount_fen = min_spend_fen, amount_fen
        super().__init__(
            f"amount_fen: the coupon needs a purchase of {min_spend_fen} fen, this is {amount_fen}."
        )


class CouponElsewhere(NotAllowed):
    """The coupon's plan is limited to other shops."""

    def __init__(self, shops: list[str]) -> None:
        self.shops = shops
        super().__init__(f"shop_code: the coupon can be used only in {', '.join(shops)}.")


class RedemptionDiffers(WrongState):
    """The key or the reference was used before for something else."""

    def __init__(self, field: str, reference: str) -> None:
        self.field, self.reference = field, reference
        Exception.__init__(
            self,
            f"{field}: {reference} was redeemed before with another; undo that first, and send a"
            " new Idempotency-Key for a new redemption.",
        )


class RedemptionUndone(WrongState):
    """What is repeated was cancelled meanwhile."""

    def __init__(self, reference: str) -> None:
        self.reference = reference
        Exception.__init__(
            self, f"{reference} was undone; send a new Idempotency-Key to redeem again."
        )


class CardCodeUsed(WrongState):
    """This code of the card has paid already."""

    def __init__(self) -> None:
        Exception.__init__(
            self, "card_code: this code has paid before; ask the member to open the card again."
        )


class RedemptionNotFound(NotFound):
    """This till has redeemed nothing under the number."""

    def __init__(self, number: str) -> None:
        self.number = number
        super().__init__(
            f"redemption: there is no {number} of yours; repeat the redemption with its old key to"
            " learn its number."
        )


class OrderIsIn(WrongState):
    """The order that used it was handed in, so only a refund takes it back."""

    def __init__(self, reference: str) -> None:
        self.reference = reference
        Exception.__init__(
            self,
            f"redemption: the order {reference} has been handed in; hand in its refund instead.",
        )


@dataclass(frozen=True)
class CouponUse:
    """A coupon at a till in a shop: `amount_fen` is the purchase before the coupon."""

    source: str
    key: str
    reference: str
    code: str
    amount_fen: int
    shop_id: int


@dataclass(frozen=True)
class PointsUse:
    """Points at a till, by the code that the member's card shows."""

    source: str
    key: str
    reference: str
    card_code: str
    points: int
