"""Letters that nobody could deliver: a touch that waits for a person's word (design.md §9).

A letter is opened for a touch that failed for a reason that a person can mend, and for one of which
nobody knows what became. A touch has one letter; one that is sent again is another touch.
"""

from collections.abc import Collection
from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, func, update
from sqlalchemy.dialects import postgresql
from sqlmodel import Field, Session, SQLModel, col, select

from store.columns import big_key, link, one_of, status
from store.errors import NotFound, WrongState
from store.tokens import new_token
from store.touches import Touch, TouchState


class LetterState(StrEnum):
    """`settled` was closed by what the platform said later, the others by a person."""

    OPEN = "open"
    RETRIED = "retried"
    CONFIRMED = "confirmed"
    DROPPED = "dropped"
    SETTLED = "settled"


class Letter(SQLModel, table=True):
    """A touch that a person must decide about; `reason` is why it is here."""

    __tablename__ = "letters"
    __table_args__ = (
        one_of("state", LetterState, "letters"),
        UniqueConstraint("touch_id", name="uq_letters_touch"),
        CheckConstraint("(state = 'open') = (closed_at IS NULL)", name="ck_letters_closed"),
        Index("ix_letters_open", "id", postgresql_where="state = 'open'"),
    )
    id: int = big_key()
    token: str = Field(unique=True)
    touch_id: int = link("touches.id", index=False)
    reason: str
    state: LetterState = status(LetterState, default=LetterState.OPEN)
    opened_at: datetime
    closed_at: datetime | None = None
    closed_by: str | None = None


def write(session: Session, reasons: dict[int, str], *, now: datetime) -> None:
    """Open a letter for each touch of `reasons`; a touch that has one keeps it."""
    rows = [
        {
            "token": new_token(),
            "touch_id": touch_id,
            "reason": reason,
            "state": LetterState.OPEN,
            "opened_at": now,
        }
        for touch_id, reason in reasons.items()
    ]
    if rows:
        insert = postgresql.insert(Letter).on_conflict_do_nothing(index_elements=["touch_id"])
        session.exec(insert.values(rows))


def by_token(session: Session, token: str) -> Letter:
    """The letter behind a token."""
    letter = session.exec(select(Letter).where(Letter.token == token)).first()
    if letter is None:
        raise NotFound("There is no such letter.")
    return letter


def count_open(session: Session) -> int:
    """How many wait for a person."""
    query = select(func.count()).select_from(Letter).where(Letter.state == LetterState.OPEN)
    return session.exec(query).one()


def close(
    session: Session, letter: Letter, state: LetterState, *, actor: str, now: datetime
) -> None:
    """A person has decided, once: refuses a letter that is closed. Locks it."""
    session.refresh(letter, with_for_update=True)
    if letter.state is not LetterState.OPEN:
        raise WrongState("letter", letter.state, state)
    letter.state, letter.closed_at, letter.closed_by = state, now, actor
    session.flush()


def settle(session: Session, touch_ids: Collection[int], *, now: datetime) -> None:
    """What became of these touches is known now: nobody need decide about them any more."""
    waiting = col(Letter.touch_id).in_(touch_ids) & (col(Letter.state) == LetterState.OPEN)
    session.exec(update(Letter).where(waiting).values(state=LetterState.SETTLED, closed_at=now))


def unanswered(session: Session, *, older_than: datetime, limit: int = 500) -> list[Touch]:
    """Unknown touches that were sent before `older_than` and have no letter yet."""
    query = (
        select(Touch)
        .outerjoin(Letter)
        .where(
            Touch.state == TouchState.UNKNOWN,
            col(Touch.fenced_at) <= older_than,
            col(Letter.id).is_(None),
        )
        .order_by(col(Touch.id))
        .limit(limit)
    )
    return list(session.exec(query).all())
