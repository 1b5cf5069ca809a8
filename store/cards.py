"""Cards in WeCom that can still be changed: by which code, once, and until when (wecom.md §3.3)."""

from datetime import datetime

from sqlalchemy import update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Field, SQLModel, col, select

from store.columns import big_key
from store.db import Session
from store.jobs import Job, after_commit


class Card(SQLModel, table=True):
    """The card that a notice became: its `task_id` is the notice's key.

    A code is used up by one change; each tap brings a new one.
    """

    __tablename__ = "cards"
    id: int = big_key()
    task_id: str = Field(unique=True)
    msgid: str = ""
    response_code: str = ""
    code_until: datetime | None = None
    # What the card shows now, so that the same is not shown again.
    shown: str = ""
    sent_at: datetime
    closed_at: datetime | None = None


def sent(session: Session, card: Card) -> None:
    """Remember a card that went out; a repeat changes nothing."""
    values = card.model_dump(exclude={"id"})
    session.execute(insert(Card).values(**values).on_conflict_do_nothing())


def by_task(session: Session, task_id: str) -> Card | None:
    """The card of a task id."""
    return session.exec(select(Card).where(Card.task_id == task_id)).one_or_none()


def tapped(session: Session, card: Card, code: str, *, until: datetime) -> None:
    """A tap brought a new code: the card is to show how things stand now."""
    card.response_code, card.code_until = code, until
    session.flush()
    after_commit(session, Job.CHANGE_CARD, card.id)


def take_code(session: Session, card_id: int, *, now: datetime) -> str:
    """The code to change a card by, used up from now on; empty when there is none that works."""
    card = session.exec(
        select(Card)
        .where(Card.id == card_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one()
    code = card.response_code
    is_good = bool(code) and card.code_until is not None and card.code_until > now
    session.execute(
        update(Card)
        .where(col(Card.id) == card_id)
        .values(response_code="")
        .execution_options(synchronize_session=False)
    )
    return code if is_good else ""
