"""Consents per channel and purpose, and suppressions: what a person allowed, what they stopped.

A wish is what the person said, word for word in time; consents and suppressions are what follows.
"""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, Index
from sqlmodel import SQLModel, col, select

from store import members
from store.columns import big_key, link, one_of, status
from store.db import Session

EVERYWHERE = ""


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
    """A stop: on one channel or, with `channel` empty, on all; for ever or until `until`.

    Lifted only by the person.
    """

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


class WishKind(StrEnum):
    """What a person can ask: to hear less, nothing until a day, nothing ever, or as before."""

    LESS = "less"
    PAUSE = "pause"
    NEVER = "never"
    RESUME = "resume"


class Wish(SQLModel, table=True):
    """One wish as it was stated, with the version of the text that was shown; rows are only added.

    An empty `channel` means all. What a wish does stands in consents and suppressions.
    """

    __tablename__ = "wishes"
    __table_args__ = (
        one_of("kind", WishKind, "wishes"),
        CheckConstraint("(kind = 'pause') = (until IS NOT NULL)", name="ck_wishes_until"),
        Index("ix_wishes_member", "member_id", "stated_at"),
    )
    id: int = big_key()
    member_id: int = link("members.id", index=False)
    channel: str
    kind: WishKind = status(WishKind)
    until: datetime | None = None
    text_version: str
    source: str
    stated_at: datetime


def is_granted(session: Session, member_id: int, channel: str, purpose: Purpose) -> bool:
    """Whether the newest statement on this channel and purpose is a yes."""
    query = (
        select(Consent.is_granted)
        .where(Consent.member_id == member_id)
        .where(Consent.channel == channel, Consent.purpose == purpose)
        .order_by(col(Consent.stated_at).desc(), col(Consent.id).desc())
    )
    return bool(session.exec(query).first())


def stops(session: Session, member_id: int, now: datetime) -> list[Suppression]:
    """The stops that hold at this instant."""
    query = select(Suppression).where(
        Suppression.member_id == member_id, col(Suppression.lifted_at).is_(None)
    )
    return [stop for stop in session.exec(query) if stop.until is None or stop.until > now]


def wishes(session: Session, member_id: int, *, limit: int = 20) -> list[Wish]:
    """What the person asked of us, the newest first."""
    query = select(Wish).where(Wish.member_id == member_id)
    newest = query.order_by(col(Wish.stated_at).desc(), col(Wish.id).desc())
    return list(session.exec(newest.limit(limit)).all())


def state(  # noqa: PLR0913 -- a statement is worth nothing without each of these facts
    session: Session,
    member_id: int,
    channel: str,
    purpose: Purpose,
    *,
    is_granted: bool,
    text_version: str,
    source: str,
    now: datetime,
) -> Consent:
    """Write down what a person said about one channel and purpose; the newest word counts."""
    member = members.lock(session, member_id)
    consent = Consent(
        member_id=member.id,
        channel=channel,
        purpose=purpose,
        is_granted=is_granted,
        text_version=text_version,
        source=source,
        stated_at=now,
    )
    session.add(consent)
    session.flush()
    return consent


def stop(
    session: Session,
    member_id: int,
    *,
    channel: str = EVERYWHERE,
    reason: str,
    now: datetime,
    until: datetime | None = None,
) -> Suppression:
    """Stop a channel, or all, for ever or until an instant; a longer stop that holds is kept.

    Only `lift`, the person's own word, makes a stop shorter.
    """
    member = members.lock(session, member_id)
    held = _open(session, member.id, channel)
    if held is None:
        held = Suppression(
            member_id=member.id, channel=channel, until=until, reason=reason, stated_at=now
        )
        session.add(held)
    elif held.until is not None and (until is None or until > held.until):
        held.until, held.reason, held.stated_at = until, reason, now
    session.flush()
    return held


def lift(
    session: Session, member_id: int, *, channel: str = EVERYWHERE, now: datetime
) -> Suppression | None:
    """Lift the stop of exactly this channel, or the one on all; None when there was none."""
    member = members.lock(session, member_id)
    held = _open(session, member.id, channel)
    if held is not None:
        held.lifted_at = now
        session.flush()
    return held


def _open(session: Session, member_id: int, channel: str) -> Suppression | None:
    query = select(Suppression).where(
        Suppression.member_id == member_id,
        Suppression.channel == channel,
        col(Suppression.lifted_at).is_(None),
    )
    return session.exec(query.execution_options(populate_existing=True)).first()
