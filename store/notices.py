"""Notices: messages to guides in WeCom, the outbox that the worker empties.

`key` makes a repeat the same notice.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Index, func, or_, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Field, Session, SQLModel, col, select
from sqlmodel.sql.expression import SelectOfScalar

from store.columns import big_key, json_column, link, one_of, status
from store.errors import WrongState
from store.jobs import Job, after_commit


class NoticeKind(StrEnum):
    """What a guide is told."""

    CARD = "card"
    SALE = "sale"
    HANDOVER = "handover"
    FEEDBACK = "feedback"


class NoticeState(StrEnum):
    """`sending` is past the point of no return: after a crash it is `unknown`, never sent again."""

    PENDING = "pending"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Notice(SQLModel, table=True):
    """One message to one guide, its words already rendered in `message`."""

    __tablename__ = "notices"
    __table_args__ = (
        one_of("kind", NoticeKind, "notices"),
        one_of("state", NoticeState, "notices"),
        Index("ix_notices_open", "id", postgresql_where="state IN ('pending', 'sending')"),
    )
    id: int = big_key()
    key: str = Field(unique=True)
    guide_id: int = link("guides.id")
    assignment_id: int | None = link("assignments.id", default=None, nullable=True)
    kind: NoticeKind = status(NoticeKind)
    message: dict[str, Any] = json_column()
    state: NoticeState = status(NoticeState, default=NoticeState.PENDING)
    attempts: int = 0
    provider_id: str | None = None
    failure: str | None = None
    created_at: datetime
    sending_at: datetime | None = None
    sent_at: datetime | None = None


_MOVES = {
    NoticeState.PENDING: frozenset({NoticeState.SENDING}),
    # A refusal that surely reached nobody may be tried again: back to pending.
    NoticeState.SENDING: frozenset(
        {NoticeState.SENT, NoticeState.FAILED, NoticeState.UNKNOWN, NoticeState.PENDING}
    ),
    NoticeState.UNKNOWN: frozenset({NoticeState.SENT, NoticeState.FAILED}),
    NoticeState.SENT: frozenset[NoticeState](),
    NoticeState.FAILED: frozenset[NoticeState](),
}
# Seconds before the second try, and the most between any two.
_FIRST_PAUSE, _LONGEST_PAUSE = 5, 3600
_OUT = (NoticeState.SENDING, NoticeState.SENT, NoticeState.UNKNOWN)


@dataclass(frozen=True)
class NoticeForm:
    """One notice to post; `message` is {"title", "text", "rows": [[label, value]], "url"}."""

    key: str
    guide_id: int
    kind: NoticeKind
    message: dict[str, Any]
    assignment_id: int | None = None


def post(session: Session, form: NoticeForm, *, now: datetime) -> None:
    """Put one notice in the outbox; a repeat of the key is the same notice."""
    post_all(session, [form], now=now)


def post_all(session: Session, forms: Sequence[NoticeForm], *, now: datetime) -> int:
    """Put notices in the outbox in one statement and nudge for each new one; gives how many."""
    if not forms:
        return 0
    rows = [asdict(form) | {"state": NoticeState.PENDING, "created_at": now} for form in forms]
    ids = session.execute(
        insert(Notice)
        .values(rows)
        .on_conflict_do_nothing(index_elements=["key"])
        .returning(col(Notice.id))
    ).scalars()
    new = list(ids)
    for notice_id in new:
        after_commit(session, Job.SEND_NOTICE, notice_id)
    return len(new)


def claim(session: Session, notice_id: int, *, now: datetime) -> Notice | None:
    """Take a pending notice past the fence; none when another worker has it."""
    notice = session.exec(
        select(Notice)
        .where(Notice.id == notice_id)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    ).one_or_none()
    if notice is None or notice.state is not NoticeState.PENDING:
        return None
    move(notice, NoticeState.SENDING)
    notice.sending_at = now
    notice.attempts += 1
    session.add(notice)
    return notice


def move(notice: Notice, state: NoticeState) -> None:
    """Move a locked notice to `state`; refuses a move that its life does not know."""
    if state not in _MOVES[notice.state]:
        raise WrongState("notice", notice.state, state)
    notice.state = state


def out_since(session: Session, guide_id: int, since: datetime) -> int:
    """How many notices left the house for a guide since then, certainly or possibly."""
    return session.exec(
        select(func.count())
        .select_from(Notice)
        .where(
            Notice.guide_id == guide_id,
            col(Notice.state).in_(_OUT),
            col(Notice.sending_at) > since,
        )
    ).one()


def waiting(now: datetime) -> SelectOfScalar[int]:
    """The query of pending notices to take up: each failed try doubles the pause before the next.

    An outage of some hours costs no guide a card.
    """
    pause = func.make_interval(
        0, 0, 0, 0, 0, 0, func.least(_FIRST_PAUSE * func.power(2, Notice.attempts), _LONGEST_PAUSE)
    )
    is_rested = or_(col(Notice.sending_at).is_(None), col(Notice.sending_at) + pause <= now)
    query = select(Notice.id).where(Notice.state == NoticeState.PENDING, is_rested)
    return query.order_by(col(Notice.id))


def mark_unknown(session: Session, *, older_than: datetime) -> int:
    """Notices left sending by a crash become unknown, never silently sent again; gives how many."""
    changed = session.execute(
        update(Notice)
        .where(col(Notice.state) == NoticeState.SENDING, col(Notice.sending_at) < older_than)
        .values(state=NoticeState.UNKNOWN, failure="no_answer")
        .execution_options(synchronize_session=False)
        .returning(col(Notice.id))
    )
    return len(changed.all())
