"""Tags on members: given by HQ, observed by a guide, or derived by a rule; some expire."""

from datetime import datetime
from enum import StrEnum

from sqlmodel import Field, SQLModel

from store.columns import big_key, link, one_of, status


class TagSource(StrEnum):
    """Who says so."""

    GIVEN = "given"
    OBSERVED = "observed"
    DERIVED = "derived"


class Tag(SQLModel, table=True):
    """A word about members, in a group such as age or household."""

    __tablename__ = "tags"
    id: int = big_key()
    code: str = Field(unique=True)
    name: str
    group_name: str = ""


class MemberTag(SQLModel, table=True):
    """A tag on a member."""

    __tablename__ = "member_tags"
    __table_args__ = (one_of("source", TagSource, "member_tags"),)
    member_id: int = link("members.id", index=False, primary_key=True)
    tag_id: int = link("tags.id", primary_key=True)
    source: TagSource = status(TagSource)
    tagged_at: datetime
    expires_at: datetime | None = None
