"""Notices: messages to guides in WeCom, the outbox that the worker empties. `key` makes a repeat the same notice."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from store.columns import big_key, json_column, link, one_of, status


class NoticeKind(StrEnum):
    """What a guide is told."""

    CARD = "card"
    SALE = "sale"


class NoticeState(StrEnum):
    """`sending` is past the point of no return: after a crash it is `unknown`, never silently sent again."""

    PENDING = "pending"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Notice(SQLModel, table=True):
    """One message to one guide, its words already rendered in `message`."""

    __tablename__ = "notices"
    __table_args__ = (
        one_of("kind", NoticeKind, "notices"),
        one_of("state", NoticeState, "notices"),
        Index("ix_notices_open", "id", postgresql_where="state IN ('pending', 'sending')"),
    )
    id: int = big_key()
    key: str = Field(unique=True)
    guide_id: int = link("guides.id")
    assignment_id: int | None = link("assignments.id", default=None, nullable=True)
    kind: NoticeKind = status(NoticeKind)
    message: dict[str, Any] = json_column()
    state: NoticeState = status(NoticeState, default=NoticeState.PENDING)
    attempts: int = 0
    provider_id: str | None = None
    failure: str | None = None
    created_at: datetime
    sending_at: datetime | None = None
    sent_at: datetime | None = None
