"""Attributions of orders to care tasks, and the commissions that follow from them."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, CheckConstraint, UniqueConstraint
from sqlmodel import Field, SQLModel

from store.columns import big_key, link, one_of, status
from store.touches import Evidence


class CommissionState(StrEnum):
    """Unconfirmed until the return period ends; clawed back by refunds."""

    UNCONFIRMED = "unconfirmed"
    CONFIRMED = "confirmed"
    CLAWED_BACK = "clawed_back"


class Attribution(SQLModel, table=True):
    """The one care task that an order is credited to; `amount_fen` falls with refunds."""

    __tablename__ = "attributions"
    __table_args__ = (
        one_of("evidence", Evidence, "attributions"),
        CheckConstraint("amount_fen >= 0", name="ck_attributions_amount"),
    )
    id: int = big_key()
    order_id: int = link("orders.id", index=False, unique=True)
    campaign_id: int = link("campaigns.id")
    care_task_id: int = link("care_tasks.id")
    touch_id: int = link("touches.id", index=False)
    guide_id: int | None = link("guides.id", default=None, nullable=True)
    evidence: Evidence = status(Evidence)
    amount_fen: int = Field(sa_type=BigInteger)
    attributed_at: datetime


class EntryReason(StrEnum):
    """Why a commission changed: the sale, a refund, or news of the touch behind it."""

    EARNED = "earned"
    REFUNDED = "refunded"
    PROVEN = "proven"


class Commission(SQLModel, table=True):
    """What a guide earns from one attribution; `amount_fen` is the sum of the entries."""

    __tablename__ = "commissions"
    __table_args__ = (
        UniqueConstraint("attribution_id", "guide_id", name="uq_commissions_guide"),
        one_of("state", CommissionState, "commissions"),
        CheckConstraint("amount_fen >= 0", name="ck_commissions_amount"),
    )
    id: int = big_key()
    attribution_id: int = link("attributions.id", index=False)
    guide_id: int = link("guides.id")
    amount_fen: int = Field(sa_type=BigInteger)
    state: CommissionState = status(CommissionState, default=CommissionState.UNCONFIRMED)
    confirms_at: datetime
    created_at: datetime


class CommissionEntry(SQLModel, table=True):
    """One change of a commission; entries are only added, and a source changes it once."""

    __tablename__ = "commission_entries"
    __table_args__ = (
        UniqueConstraint(
            "commission_id", "reason", "source_id", name="uq_commission_entries_source"
        ),
        one_of("reason", EntryReason, "commission_entries"),
    )
    id: int = big_key()
    commission_id: int = link("commissions.id", index=False)
    amount_fen: int = Field(sa_type=BigInteger)
    reason: EntryReason = status(EntryReason)
    source_id: str
    created_at: datetime
