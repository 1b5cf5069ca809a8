"""Tags on members: given by HQ, observed by a guide, or derived by a rule; some expire.

A guide's customers in WeCom are marked alike: whoever changes a tag has their contacts step.
"""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import delete, or_
from sqlmodel import Field, SQLModel, col, select

from store import contacts, members
from store.columns import big_key, link, one_of, status
from store.db import Session
from store.errors import NotFound


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


class TagNotFound(NotFound):
    """There is no tag with this code."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(f"There is no tag {code}.")


def of_member(session: Session, member_id: int, now: datetime) -> list[Tag]:
    """The tags that a member has at this instant, by group and name."""
    query = (
        select(Tag)
        .join(MemberTag, col(MemberTag.tag_id) == Tag.id)
        .where(MemberTag.member_id == member_id)
        .where(or_(col(MemberTag.expires_at).is_(None), col(MemberTag.expires_at) > now))
        .order_by(Tag.group_name, Tag.name)
    )
    return list(session.exec(query))


def put(
    session: Session,
    member_id: int,
    code: str,
    *,
    source: TagSource,
    now: datetime,
    expires_at: datetime | None = None,
) -> MemberTag:
    """Put a tag on a member; again renews its source and expiry."""
    member = members.lock(session, member_id)
    tag = _by_code(session, code)
    worn = session.get(MemberTag, (member.id, tag.id))
    if worn is None:
        worn = MemberTag(member_id=member.id, tag_id=tag.id, source=source, tagged_at=now)
        session.add(worn)
    worn.source, worn.tagged_at, worn.expires_at = source, now, expires_at
    session.flush()
    contacts.want_all_of(session, member.id, now=now)
    return worn


def take_off(session: Session, member_id: int, code: str, *, now: datetime) -> None:
    """Take a tag off a member; one that is not there is no matter."""
    member = members.lock(session, member_id)
    tag = _by_code(session, code)
    session.execute(
        delete(MemberTag).where(
            col(MemberTag.member_id) == member.id, col(MemberTag.tag_id) == tag.id
        )
    )
    contacts.want_all_of(session, member.id, now=now)


def _by_code(session: Session, code: str) -> Tag:
    tag = session.exec(select(Tag).where(Tag.code == code)).first()
    if tag is None:
        raise TagNotFound(code)
    return tag
