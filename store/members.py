"""Members and visitors, their outside identities, and merges that can be undone.

A member has a mobile; a visitor has only an outside id. Both are rows of `members`.
"""

from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, Index, UniqueConstraint
from sqlmodel import Field, SQLModel

from store.columns import big_key, json_column, link, one_of, status
from store.tokens import new_code


class MemberStatus(StrEnum):
    """A merged row has given everything to another; an erased one keeps no personal data."""

    ACTIVE = "active"
    MERGED = "merged"
    ERASED = "erased"


class IdentityChannel(StrEnum):
    """Where an outside id lives."""

    WECHAT = "wechat"
    WECOM = "wecom"


class Member(SQLModel, table=True):
    """A person who buys. `card_no` is what a till scans; `external_id` is the id in the brand's own system."""

    __tablename__ = "members"
    __table_args__ = (
        one_of("status", MemberStatus, "members"),
        CheckConstraint("mobile ~ '^1[0-9]{10}$'", name="ck_members_mobile"),
        Index("uq_members_mobile", "mobile", unique=True, postgresql_where="status = 'active'"),
    )
    id: int = big_key()
    card_no: str = Field(unique=True, default_factory=new_code)
    external_id: str | None = Field(default=None, unique=True)
    mobile: str | None = None
    name: str = ""
    birthday_on: date | None = None
    timezone: str | None = None
    brand_id: int = link("brands.id")
    shop_id: int | None = link("shops.id", default=None, nullable=True)
    level_id: int | None = link("levels.id", default=None, nullable=True)
    status: MemberStatus = status(MemberStatus, default=MemberStatus.ACTIVE)
    merged_into_id: int | None = link("members.id", default=None, nullable=True)
    joined_at: datetime | None = None
    created_at: datetime


class Identity(SQLModel, table=True):
    """A member's id on a channel and account: an openid, or an external_userid."""

    __tablename__ = "identities"
    __table_args__ = (
        UniqueConstraint("channel", "account", "outside_id", name="uq_identities_outside"),
        one_of("channel", IdentityChannel, "identities"),
        Index("ix_identities_unionid", "unionid", postgresql_where="unionid IS NOT NULL"),
    )
    id: int = big_key()
    member_id: int = link("members.id")
    channel: IdentityChannel = status(IdentityChannel)
    account: str
    outside_id: str
    unionid: str | None = None
    is_reachable: bool = True
    created_at: datetime


class Merge(SQLModel, table=True):
    """One merge of `gone` into `kept`; `moved` names every row that changed hands, so that undo is exact."""

    __tablename__ = "merges"
    __table_args__ = (CheckConstraint("kept_id <> gone_id", name="ck_merges_two_people"),)
    id: int = big_key()
    kept_id: int = link("members.id")
    gone_id: int = link("members.id")
    reason: str
    moved: dict[str, Any] = json_column()
    merged_at: datetime
    undone_at: datetime | None = None
