"""Inbound messages: every callback once, with the reply it got; and the state of a running conversation."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, Index, UniqueConstraint
from sqlmodel import Field, SQLModel

from store.columns import big_key, json_column, link, one_of, status


class InboundState(StrEnum):
    """`answered` keeps the finished reply, so that a repeat gets the same bytes."""

    RECEIVED = "received"
    ANSWERED = "answered"
    FAILED = "failed"


class InboundMessage(SQLModel, table=True):
    """One message or event of the platform; `platform_id` is MsgId with the sender, or a digest of the XML."""

    __tablename__ = "inbound_messages"
    __table_args__ = (
        UniqueConstraint("account_id", "platform_id", name="uq_inbound_messages_platform"),
        one_of("state", InboundState, "inbound_messages"),
        CheckConstraint("handled_ms >= 0", name="ck_inbound_messages_handled_ms"),
        Index("ix_inbound_messages_member", "member_id", "received_at"),
    )
    id: int = big_key()
    account_id: int = link("accounts.id", index=False)
    platform_id: str
    outside_id: str
    member_id: int | None = link("members.id", index=False, default=None, nullable=True)
    kind: str
    payload: dict[str, Any] = json_column()
    state: InboundState = status(InboundState, default=InboundState.RECEIVED)
    reply: dict[str, Any] | None = json_column(default=None, nullable=True)
    received_at: datetime
    answered_at: datetime | None = None
    handled_ms: float | None = None


class Conversation(SQLModel, table=True):
    """Where a multi-turn talk stands; `version` grows at each turn, and the row is void after `expires_at`."""

    __tablename__ = "conversations"
    identity_id: int = link("identities.id", index=False, primary_key=True)
    step: str
    facts: dict[str, Any] = json_column(default_factory=dict)
    version: int = Field(default=1)
    expires_at: datetime
