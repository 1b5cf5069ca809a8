"""Holds and displacements: capacity kept for a scheduled touch, and who had to give way to whom.

A hold reaches nobody. It makes the caps of a member count a touch that is still to come, for
touches of a lower band (design.md §8); `fatigue.holding` plants and lifts holds.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Index, UniqueConstraint
from sqlmodel import SQLModel

from store.columns import big_key, json_column, link, one_of, status
from store.touches import Category


class Hold(SQLModel, table=True):
    """A campaign is to reach a member at some moment of `[planned_from, planned_until]`.

    It may use any of `channels`. It ends at `expires_at`, or when it is lifted; while a touch of
    its campaign counts for the member, that touch counts instead of it.
    """

    __tablename__ = "holds"
    __table_args__ = (
        UniqueConstraint("campaign_id", "member_id", name="uq_holds_member"),
        one_of("category", Category, "holds"),
        CheckConstraint("planned_from <= planned_until", name="ck_holds_span"),
        CheckConstraint("planned_until <= expires_at", name="ck_holds_expiry"),
        Index("ix_holds_live", "member_id", postgresql_where="lifted_at IS NULL"),
    )
    id: int = big_key()
    campaign_id: int = link("campaigns.id", index=False)
    member_id: int = link("members.id")
    channels: list[Any] = json_column()
    category: Category = status(Category)
    brand_id: int = link("brands.id", index=False)
    guide_id: int | None = link("guides.id", index=False, default=None, nullable=True)
    priority: int
    planned_from: datetime
    planned_until: datetime
    expires_at: datetime
    held_at: datetime
    lifted_at: datetime | None = None


class Displacement(SQLModel, table=True):
    """A reserved touch gave way to one of a higher band; whoever asked for it is told once."""

    __tablename__ = "displacements"
    __table_args__ = (
        CheckConstraint("touch_id <> by_touch_id", name="ck_displacements_two_touches"),
        Index("ix_displacements_untold", "id", postgresql_where="told_at IS NULL"),
    )
    id: int = big_key()
    touch_id: int = link("touches.id")
    by_touch_id: int = link("touches.id")
    displaced_at: datetime
    told_at: datetime | None = None
