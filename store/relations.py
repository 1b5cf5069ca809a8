"""Who looks after whom: ownership, the brand's decision; WeCom friendship, the customer's."""

from datetime import datetime

from sqlalchemy import Index
from sqlmodel import SQLModel, col, select

from store import members
from store.columns import big_key, link
from store.db import Session
from store.errors import NotAllowed
from store.organisation import Guide, GuideStatus

_NOT_LEAVING = {"read": True, "key_share": True}


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
    """A WeCom contact of a guide and a customer; `member_id` is set once the customer is known."""

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


class GuideNotInPost(NotAllowed):
    """The guide is unknown or has left, and can look after nobody."""

    def __init__(self, guide_id: int) -> None:
        self.guide_id = guide_id
        super().__init__(f"The guide {guide_id} is not in post.")


def guide_of(session: Session, member_id: int) -> Guide | None:
    """The member's own guide, while in post."""
    query = (
        select(Guide)
        .join(Ownership, col(Ownership.guide_id) == Guide.id)
        .where(Ownership.member_id == member_id, col(Ownership.until).is_(None))
        .where(Guide.status == GuideStatus.ACTIVE)
    )
    return session.exec(query).first()


def own(session: Session, member_id: int, guide_id: int, *, now: datetime) -> Ownership:
    """Make a guide the member's own from now on; the earlier one's time ends."""
    member = members.lock(session, member_id)
    # A guide who is leaving right now is waited for: nobody may be left with who has left.
    guide = session.get(Guide, guide_id, with_for_update=_NOT_LEAVING, populate_existing=True)
    if guide is None or guide.status is not GuideStatus.ACTIVE:
        raise GuideNotInPost(guide_id)
    query = select(Ownership).where(
        Ownership.member_id == member.id, col(Ownership.until).is_(None)
    )
    current = session.exec(query.execution_options(populate_existing=True)).first()
    if current is not None:
        if current.guide_id == guide_id:
            return current
        current.until = now
        session.flush()
    ownership = Ownership(member_id=member.id, guide_id=guide_id, since=now)
    session.add(ownership)
    session.flush()
    return ownership


def disown(session: Session, member_id: int, guide_id: int, *, now: datetime) -> None:
    """End a guide's time as the member's own, with nobody after; another's is left alone."""
    member = members.lock(session, member_id)
    query = select(Ownership).where(
        Ownership.member_id == member.id,
        Ownership.guide_id == guide_id,
        col(Ownership.until).is_(None),
    )
    current = session.exec(query.execution_options(populate_existing=True)).first()
    if current is not None:
        current.until = now
        session.flush()


def befriend(
    session: Session, guide_id: int, external_userid: str, *, member_id: int, now: datetime
) -> Friendship:
    """Write down that a customer and a guide are in contact; a repeat is the same friendship."""
    member = members.lock(session, member_id)
    friendship = _open(session, guide_id, external_userid)
    if friendship is None:
        friendship = Friendship(
            guide_id=guide_id, external_userid=external_userid, member_id=member.id, since=now
        )
        session.add(friendship)
    friendship.member_id = member.id
    session.flush()
    return friendship


def unfriend(
    session: Session, guide_id: int, external_userid: str, *, now: datetime
) -> Friendship | None:
    """Write down that one of the two left the contact; None when there was none."""
    friendship = _open(session, guide_id, external_userid)
    if friendship is not None:
        # A word from the platform may be older than the row that it ends.
        friendship.until = max(now, friendship.since)
        session.flush()
    return friendship


def _open(session: Session, guide_id: int, external_userid: str) -> Friendship | None:
    query = select(Friendship).where(
        Friendship.guide_id == guide_id,
        Friendship.external_userid == external_userid,
        col(Friendship.until).is_(None),
    )
    query = query.with_for_update().execution_options(populate_existing=True)
    return session.exec(query).first()
