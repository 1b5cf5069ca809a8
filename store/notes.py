"""Notes: what guides write down about a customer, for themselves and for who comes after them.

A note stays with the customer when the guide changes. What a guide has begun and not yet saved is
a draft, kept so that a phone may sleep; nobody else sees it.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import CheckConstraint, ColumnElement, Index, delete
from sqlmodel import Field, Session, SQLModel, col, select

from store import members
from store.columns import big_key, link
from store.errors import NotFound, Refusal
from store.organisation import Guide
from store.plain import plain
from store.tokens import new_token

# The database promises the same.
LONGEST = 500
# A form that is sent twice, by a second tap or a page that is opened again, is one note.
_REPEAT = timedelta(minutes=10)


class Note(SQLModel, table=True):
    """What a guide has written about a customer; a draft while `written_at` is missing."""

    __tablename__ = "customer_notes"
    __table_args__ = (
        CheckConstraint("char_length(text) BETWEEN 1 AND 500", name="ck_customer_notes_text"),
        Index("ix_customer_notes_member", "member_id", "id"),
    )
    id: int = big_key()
    token: str = Field(unique=True, default_factory=new_token)
    member_id: int = link("members.id", index=False)
    guide_id: int = link("guides.id", index=False)
    text: str
    created_at: datetime
    written_at: datetime | None = None


class BadNote(Refusal):
    """A note needs some words, and not too many."""

    def __init__(self, size: int) -> None:
        self.size, self.most = size, LONGEST
        super().__init__(f"text: the note has {size} characters; 1 to {LONGEST} are kept.")


class NoteNotFound(NotFound):
    """There is no such note by this guide."""

    def __init__(self) -> None:
        super().__init__("There is no such note by this guide.")


def of_member(
    session: Session, member_id: int, *, limit: int, after: str | None = None
) -> Sequence[tuple[Note, str]]:
    """Written notes with their authors' names, newest first; `after` is the token of one of them.

    An unknown `after` begins at the top.
    """
    written = (col(Note.member_id) == member_id, col(Note.written_at).is_not(None))
    query = select(Note, Guide.name).join(Guide, col(Guide.id) == Note.guide_id).where(*written)
    place = select(Note.written_at, Note.id).where(*written, Note.token == after)
    anchor = session.exec(place).first() if after else None
    if anchor is not None:
        query = query.where(_is_older(*anchor))
    newest = query.order_by(col(Note.written_at).desc(), col(Note.id).desc())
    return session.exec(newest.limit(limit)).all()


def _is_older(written_at: datetime | None, note_id: int) -> ColumnElement[bool]:
    same = (col(Note.written_at) == written_at) & (col(Note.id) < note_id)
    return (col(Note.written_at) < written_at) | same


def draft(session: Session, member_id: int, guide_id: int) -> str:
    """What the guide has begun to write about a member, or nothing."""
    query = select(Note.text).where(*_draft_of(member_id, guide_id))
    return session.exec(query.order_by(col(Note.id).desc())).first() or ""


def write(session: Session, member_id: int, guide_id: int, words: str, *, now: datetime) -> Note:
    """Keep a note and forget its draft, locking the member; the same again at once is one note."""
    text = plain(words)
    if not 1 <= len(text) <= LONGEST:
        raise BadNote(len(text))
    member = members.lock(session, member_id)
    session.execute(delete(Note).where(*_draft_of(member.id, guide_id)))
    known = _just_written(session, member.id, guide_id, now)
    if known is not None and known.text == text:
        return known
    note = Note(member_id=member.id, guide_id=guide_id, text=text, created_at=now, written_at=now)
    session.add(note)
    session.flush()
    return note


def keep(session: Session, member_id: int, guide_id: int, words: str, *, now: datetime) -> None:
    """Keep what is being written, up to its limit, locking the member; no words are no draft.

    What comes late, after its note, is no draft any more.
    """
    text = plain(words)[:LONGEST]
    member = members.lock(session, member_id)
    session.execute(delete(Note).where(*_draft_of(member.id, guide_id)))
    known = _just_written(session, member.id, guide_id, now)
    if text and not (known is not None and known.text == text):
        session.add(Note(member_id=member.id, guide_id=guide_id, text=text, created_at=now))
        session.flush()


def remove(session: Session, member_id: int, guide_id: int, token: str) -> None:
    """Delete a note of the guide's own; anybody else's is not there."""
    found = session.exec(
        select(Note)
        .where(Note.token == token, Note.member_id == member_id, Note.guide_id == guide_id)
        .with_for_update()
    ).first()
    if found is None:
        raise NoteNotFound
    session.delete(found)
    session.flush()


def _draft_of(member_id: int, guide_id: int) -> tuple[Any, ...]:
    return (
        col(Note.member_id) == member_id,
        col(Note.guide_id) == guide_id,
        col(Note.written_at).is_(None),
    )


def _just_written(session: Session, member_id: int, guide_id: int, now: datetime) -> Note | None:
    query = (
        select(Note)
        .where(Note.member_id == member_id, Note.guide_id == guide_id)
        .where(col(Note.written_at) > now - _REPEAT)
        .order_by(col(Note.id).desc())
    )
    return session.exec(query).first()
