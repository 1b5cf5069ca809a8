"""Consents per channel and purpose, and suppressions: what a person allowed, and what a person stopped."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import Index
from sqlmodel import SQLModel

from store.columns import big_key, link, one_of, status


class Purpose(StrEnum):
    """What a consent is for."""

    MARKETING = "marketing"
    CARE = "care"


class Consent(SQLModel, table=True):
    """One statement by a person; the newest per channel and purpose counts (PIPL art. 13-17)."""

    __tablename__ = "consents"
    __table_args__ = (
        one_of("purpose", Purpose, "consents"),
        Index("ix_consents_latest", "member_id", "channel", "purpose", "stated_at"),
    )
    id: int = big_key()
    member_id: int = link("members.id", index=False)
    channel: str
    purpose: Purpose = status(Purpose)
    is_granted: bool
    text_version: str
    source: str
    stated_at: datetime


class Suppression(SQLModel, table=True):
    """A stop: on one channel or, with `channel` empty, on all; for ever or until `until`. Lifted only by the person."""

    __tablename__ = "suppressions"
    __table_args__ = (
        Index(
            "uq_suppressions_open",
            "member_id",
            "channel",
            unique=True,
            postgresql_where="lifted_at IS NULL",
        ),
    )
    id: int = big_key()
    member_id: int = link("members.id", index=False)
    channel: str = ""
    until: datetime | None = None
    reason: str
    stated_at: datetime
    lifted_at: datetime | None = None
