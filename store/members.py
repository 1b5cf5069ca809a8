"""Members and visitors, their outside identities, and the lock that every act on a member takes.

A member has a mobile; a visitor has only an outside id. Both are rows of `members`. Whoever was
merged away lives on in another row, and acts asked of the old row reach the new one.
"""

import re
from collections.abc import Iterable
from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, func
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Field, SQLModel, col, select

from store import levels, merges
from store.columns import big_key, link, one_of, status
from store.db import Session
from store.errors import NotAllowed, NotFound, Refusal
from store.tokens import new_code

_MOBILE = re.compile(r"1[0-9]{10}")


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
    """A person who buys.

    `card_no` is what a till scans; `external_id` is the id in the brand's own system.
    """

    __tablename__ = "members"
    __table_args__ = (
        one_of("status", MemberStatus, "members"),
        CheckConstraint("mobile ~ '^1[0-9]{10}$'", name="ck_members_mobile"),
        Index("uq_members_mobile", "mobile", unique=True, postgresql_where="status = 'active'"),
        # A till may name the mobile of a row that was merged away.
        Index("ix_members_mobile", "mobile", postgresql_where="mobile IS NOT NULL"),
    )
    id: int = big_key()
    card_no: str = Field(unique=True, default_factory=new_code)
    external_id: str | None = Field(default=None, unique=True)
    mobile: str | None = None
    name: str = ""
    birthday_on: date | None = None
    # When the person set it last; null when it came with an import.
    birthday_set_at: datetime | None = None
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


class MemberNotFound(NotFound):
    """Nobody active has this key; `asked` holds no full mobile."""

    def __init__(self, asked: str) -> None:
        self.asked = asked
        super().__init__(f"There is no active member {asked}.")


class BadMobile(Refusal):
    """What was given is not a mobile number of mainland China."""

    def __init__(self) -> None:
        super().__init__("A mobile is 11 digits and starts with 1.")


class MobileTaken(NotAllowed):
    """A member who has a mobile asked for that of another member: two people, so no merge."""

    def __init__(self, mobile: str) -> None:
        self.masked = mask(mobile)
        super().__init__(f"The mobile {self.masked} belongs to another member.")


def is_mobile(text: str) -> bool:
    """Whether this could be a mobile of mainland China."""
    return _MOBILE.fullmatch(text) is not None


def mask(mobile: str | None) -> str:
    """A mobile as screens and logs may show it: `138****5678`."""
    return f"{mobile[:3]}****{mobile[-4:]}" if mobile else ""


def of_identity(
    session: Session, channel: IdentityChannel, account: str, outside_id: str
) -> Member | None:
    """The active member behind an outside id."""
    identity = _identity(session, channel, account, outside_id)
    return _active(session, identity.member_id) if identity else None


def by_mobile(session: Session, mobile: str) -> Member | None:
    """The active member with this mobile."""
    query = select(Member).where(Member.mobile == mobile, Member.status == MemberStatus.ACTIVE)
    return session.exec(query).first()


def survivor(session: Session, member_id: int) -> int:
    """The id under which this member lives on after merges; its own when there was none."""
    query = select(Member.merged_into_id).where(Member.id == member_id)
    while (into_id := session.exec(query).first()) is not None:
        member_id = into_id
        query = select(Member.merged_into_id).where(Member.id == member_id)
    return member_id


def lock(session: Session, member_id: int) -> Member:
    """The member, locked and freshly read: the first lock of every act that changes what is theirs.

    A merged row leads to the one it was merged into; erased or unknown ones are `MemberNotFound`.
    """
    while True:
        member_id = survivor(session, member_id)
        member = _locked(session, [member_id]).get(member_id)
        if member is None or member.status is MemberStatus.ERASED:
            raise MemberNotFound(f"with id {member_id}")
        if member.status is MemberStatus.ACTIVE:
            return member


def lock_behind(session: Session, identity: Identity) -> Member | None:
    """Lock whom an identity belongs to, and read it anew; none when it was forgotten meanwhile.

    Between the look at an identity and the lock a merge may take it to somebody else.
    """
    while True:
        try:
            member = lock(session, identity.member_id)
        except MemberNotFound:
            return None
        query = select(Identity).where(Identity.id == identity.id)
        held = session.exec(query.execution_options(populate_existing=True)).one_or_none()
        if held is None or survivor(session, held.member_id) == member.id:
            return member if held else None


def lock_both(session: Session, one_id: int, other_id: int) -> tuple[Member, Member]:
    """Two members, locked in id order so that two such acts cannot wait for each other."""
    while True:
        one_id, other_id = survivor(session, one_id), survivor(session, other_id)
        locked = _locked(session, {one_id, other_id})
        one, other = locked.get(one_id), locked.get(other_id)
        if one is None or other is None or MemberStatus.ERASED in {one.status, other.status}:
            raise MemberNotFound(f"with id {other_id if one else one_id}")
        if one.status is MemberStatus.ACTIVE and other.status is MemberStatus.ACTIVE:
            return one, other


def take_turns(session: Session, key: str) -> None:
    """Wait for others who work on the same key, which no row stands for yet, until the commit."""
    session.exec(select(func.pg_advisory_xact_lock(func.hashtextextended(key, 0)))).one()


def meet(  # noqa: PLR0913 -- where somebody was met takes three facts, and who may be a fourth
    session: Session,
    *,
    channel: IdentityChannel,
    account: str,
    outside_id: str,
    brand_id: int,
    now: datetime,
    unionid: str | None = None,
) -> Identity:
    """The identity behind an outside id; a stranger becomes a visitor.

    The same unionid is the same person: a new identity joins that member, and a visitor met before
    the unionid was known is merged into the member who has it.
    """
    if unionid:
        take_turns(session, f"unionid:{unionid}")
    identity = _identity(session, channel, account, outside_id)
    if identity is None:
        found = _member_of_unionid(session, unionid)
        # Locked, so that the new identity cannot be left behind by a merge under way.
        owner = None if found is None else lock(session, found)
        member_id = owner.id if owner else _new_visitor(session, brand_id, now=now)
        fresh = Identity(
            member_id=member_id,
            channel=channel,
            account=account,
            outside_id=outside_id,
            unionid=unionid,
            created_at=now,
        )
        return _enter(session, fresh, is_visitor_new=owner is None)
    if unionid and identity.unionid is None:
        _join_by_unionid(session, identity, unionid, now=now)
    return identity


def bind_mobile(session: Session, member_id: int, mobile: str, *, now: datetime) -> Member:
    """Make a visitor a member, and give back the member that survives.

    When a member has this mobile already, the visitor is merged into that one. A member may change
    to a free mobile; the mobile of another member is refused with `MobileTaken`.
    """
    if not is_mobile(mobile):
        raise BadMobile
    take_turns(session, f"mobile:{mobile}")
    owner = by_mobile(session, mobile)
    if owner is None:
        member = lock(session, member_id)
        member.mobile = mobile
        member.joined_at = member.joined_at or now
        session.flush()
        levels.settle(session, [member.id], now=now)
        session.refresh(member)
        return member
    owner, member = lock_both(session, owner.id, member_id)
    if owner.mobile != mobile:
        # Given up for another one before the lock was had, so it is free by now.
        return bind_mobile(session, member_id, mobile, now=now)
    if member.id != owner.id:
        if member.mobile is not None:
            raise MobileTaken(mobile)
        merges.merge(session, owner.id, member.id, reason="mobile", now=now)
    return owner


def _locked(session: Session, ids: Iterable[int]) -> dict[int, Member]:
    query = (
        select(Member)
        .where(col(Member.id).in_(set(ids)))
        .order_by(col(Member.id))
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return {member.id: member for member in session.exec(query)}


def _active(session: Session, member_id: int) -> Member | None:
    member = session.get(Member, survivor(session, member_id))
    return member if member is not None and member.status is MemberStatus.ACTIVE else None


def _identity(
    session: Session, channel: IdentityChannel, account: str, outside_id: str
) -> Identity | None:
    query = select(Identity).where(
        Identity.channel == channel,
        Identity.account == account,
        Identity.outside_id == outside_id,
    )
    return session.exec(query).first()


def _member_of_unionid(session: Session, unionid: str | None) -> int | None:
    if unionid is None:
        return None
    query = select(Identity.member_id).where(Identity.unionid == unionid).order_by(col(Identity.id))
    return session.exec(query).first()


def _new_visitor(session: Session, brand_id: int, *, now: datetime) -> int:
    visitor = Member(brand_id=brand_id, created_at=now)
    session.add(visitor)
    session.flush()
    return visitor.id


def _enter(session: Session, fresh: Identity, *, is_visitor_new: bool) -> Identity:
    """Write the identity down; if another process met this person meanwhile, theirs counts."""
    facts = fresh.model_dump(exclude={"id"})
    query = insert(Identity).values(**facts).on_conflict_do_nothing().returning(col(Identity.id))
    written = session.execute(query).scalar()
    if written is not None:
        return session.get_one(Identity, written)
    if is_visitor_new:
        session.delete(session.get_one(Member, fresh.member_id))
    identity = _identity(session, fresh.channel, fresh.account, fresh.outside_id)
    assert identity is not None, "The identity that was in the way is gone."
    return identity


def _join_by_unionid(session: Session, identity: Identity, unionid: str, *, now: datetime) -> None:
    known_id = _member_of_unionid(session, unionid)
    identity.unionid = unionid
    session.flush()
    if known_id is None or survivor(session, known_id) == survivor(session, identity.member_id):
        return
    known, met = lock_both(session, known_id, identity.member_id)
    # Two mobiles in one WeChat are two cards: a person must say that they are one.
    if known.mobile is not None and met.mobile is not None:
        return
    kept, gone = (met, known) if known.mobile is None and met.mobile is not None else (known, met)
    merges.merge(session, kept.id, gone.id, reason="unionid", now=now)
