"""Grants: a platform's window that the member's own act opens (design.md §8; wechat-oa.md §5.1, §6.2)."""

from datetime import datetime

from sqlalchemy import CheckConstraint, Index, UniqueConstraint
from sqlmodel import SQLModel

from store.columns import big_key, link, one_of, status
from store.touches import Channel


class Grant(SQLModel, table=True):
    """From `opened_at` the account may send `allowance` touches on `channel`, until `expires_at` if set."""

    __tablename__ = "grants"
    __table_args__ = (
        one_of("channel", Channel, "grants"),
        UniqueConstraint("source_id", name="uq_grants_source"),
        CheckConstraint("allowance > 0", name="ck_grants_allowance"),
        Index("ix_grants_member", "member_id", "channel", "opened_at"),
    )
    id: int = big_key()
    member_id: int = link("members.id", index=False)
    channel: Channel = status(Channel)
    account: str
    template_id: str = ""
    allowance: int
    opened_at: datetime
    expires_at: datetime | None = None
    source_id: str
