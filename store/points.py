"""Points: an append-only ledger of entries, lots that are spent earliest-expiring first, takes that link the two."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, Index, UniqueConstraint
from sqlmodel import SQLModel

from store.columns import big_key, link, one_of, status


class EntryKind(StrEnum):
    """Why points moved."""

    EARN = "earn"
    SPEND = "spend"
    REVERSE = "reverse"
    GIVE_BACK = "give_back"
    EXPIRE = "expire"
    ADJUST = "adjust"


class PointsEntry(SQLModel, table=True):
    """One signed movement, never edited. A repeat of (reason, source_id) is the same entry."""

    __tablename__ = "points_entries"
    __table_args__ = (
        UniqueConstraint("reason", "source_id", name="uq_points_entries_source"),
        one_of("kind", EntryKind, "points_entries"),
        CheckConstraint("points <> 0", name="ck_points_entries_points"),
        Index("ix_points_entries_member", "member_id", "id"),
    )
    id: int = big_key()
    member_id: int = link("members.id", index=False)
    kind: EntryKind = status(EntryKind)
    points: int
    reason: str
    source_id: str
    reverses_id: int | None = link("points_entries.id", default=None, nullable=True)
    created_at: datetime


class PointsLot(SQLModel, table=True):
    """Points of one positive entry that are still there; no lot is ever negative or above its start."""

    __tablename__ = "points_lots"
    __table_args__ = (
        CheckConstraint("remaining BETWEEN 0 AND points", name="ck_points_lots_remaining"),
        Index("ix_points_lots_open", "member_id", "expires_at", postgresql_where="remaining > 0"),
    )
    id: int = big_key()
    entry_id: int = link("points_entries.id", index=False, unique=True)
    member_id: int = link("members.id", index=False)
    points: int
    remaining: int
    available_at: datetime
    expires_at: datetime | None = None


class PointsTake(SQLModel, table=True):
    """How many points an entry took from a lot (positive), or gave back to it (negative)."""

    __tablename__ = "points_takes"
    __table_args__ = (CheckConstraint("points <> 0", name="ck_points_takes_points"),)
    id: int = big_key()
    entry_id: int = link("points_entries.id")
    lot_id: int = link("points_lots.id")
    points: int
