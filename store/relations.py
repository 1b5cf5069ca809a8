"""Who looks after whom: ownership (the brand's decision) and friendship in WeCom (the customer's)."""

from datetime import datetime

from sqlalchemy import Index
from sqlmodel import SQLModel

from store.columns import big_key, link


class Ownership(SQLModel, table=True):
    """A member's own guide from `since` until `until`; one at a time."""

    __tablename__ = "ownerships"
    __table_args__ = (
        Index("uq_ownerships_open", "member_id", unique=True, postgresql_where="until IS NULL"),
    )
    id: int = big_key()
    member_id: int = link("members.id")
    guide_id: int = link("guides.id")
    since: datetime
    until: datetime | None = None


class Friendship(SQLModel, table=True):
    """A WeCom contact between a guide and a customer; `member_id` is set once the customer is known."""

    __tablename__ = "friendships"
    __table_args__ = (
        Index(
            "uq_friendships_open",
            "guide_id",
            "external_userid",
            unique=True,
            postgresql_where="until IS NULL",
        ),
    )
    id: int = big_key()
    guide_id: int = link("guides.id", index=False)
    external_userid: str
    member_id: int | None = link("members.id", default=None, nullable=True)
    since: datetime
    until: datetime | None = None
