"""Late answers: what follows a callback as a message of its own, once (wechat-oa.md §3, §5).

The state stands with the inbound message. Whoever takes an answer up has it until `late_due_at`:
past that a pending one may be taken up again, and a `sending` one is unknown, never sent again.
"""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import or_, update
from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from store.errors import WrongState
from store.inbound import InboundMessage, LateState
from store.jobs import Job, after_commit

# Longer than a language model is given, shorter than anyone waits in a chat.
_PATIENCE = timedelta(minutes=1)
_SILENCE = timedelta(minutes=5)

_MOVES = {
    LateState.PENDING: frozenset({LateState.SENDING, LateState.FAILED}),
    # A refusal that surely reached nobody may be tried again: back to pending.
    LateState.SENDING: frozenset(
        {LateState.SENT, LateState.FAILED, LateState.UNKNOWN, LateState.PENDING}
    ),
    LateState.UNKNOWN: frozenset({LateState.SENT, LateState.FAILED}),
    LateState.SENT: frozenset[LateState](),
    LateState.FAILED: frozenset[LateState](),
}


def promise(session: Session, row: InboundMessage) -> None:
    """The answer kept with the message is to follow."""
    row.late = LateState.PENDING
    session.add(row)
    after_commit(session, Job.SEND_ANSWER, row.id)


def take_up(session: Session, row_id: int, *, now: datetime) -> InboundMessage | None:
    """Take a pending answer for a minute; none when it is gone or in somebody's hands."""
    row = _locked(session, row_id, skip=True)
    if row is None or row.late is not LateState.PENDING:
        return None
    if row.late_due_at is not None and row.late_due_at > now:
        return None
    row.late_attempts += 1
    row.late_due_at = now + _PATIENCE
    session.add(row)
    return row


def fence(
    session: Session, row_id: int, *, attempt: int, reply: dict[str, Any], now: datetime
) -> InboundMessage | None:
    """Past this point it may have been sent; none when somebody else took it up meanwhile."""
    # Wait for whoever only looks: to skip would leave the answer lying for a minute.
    row = _locked(session, row_id)
    if row is None or row.late is not LateState.PENDING or row.late_attempts != attempt:
        return None
    move(row, LateState.SENDING)
    row.reply, row.answered_at = reply, now
    row.late_due_at = now + _SILENCE
    session.add(row)
    return row


def give_up(row: InboundMessage, reason: str) -> None:
    """A locked answer will not be sent."""
    move(row, LateState.FAILED)
    row.late_failure = reason


def settle(
    session: Session,
    row_id: int,
    state: LateState,
    *,
    failure: str | None = None,
    due_at: datetime | None = None,
) -> None:
    """What came of it; one that is pending again is due at `due_at`."""
    row = session.get_one(InboundMessage, row_id)
    session.refresh(row, with_for_update=True)
    if row.late is not LateState.SENDING and row.late is not LateState.UNKNOWN:
        return
    move(row, state)
    row.late_failure, row.late_due_at = failure, due_at
    session.add(row)


def move(row: InboundMessage, state: LateState) -> None:
    """Move a locked answer to `state`; refuses a move that its life does not know."""
    if row.late is None or state not in _MOVES[row.late]:
        raise WrongState("late answer", row.late or "none", state)
    row.late = state


def waiting(now: datetime) -> SelectOfScalar[int]:
    """The query of pending answers that a lost job left behind."""
    is_due = or_(col(InboundMessage.late_due_at).is_(None), col(InboundMessage.late_due_at) <= now)
    query = select(InboundMessage.id).where(InboundMessage.late == LateState.PENDING, is_due)
    return query.order_by(col(InboundMessage.id))


def mark_unknown(session: Session, *, now: datetime) -> int:
    """Answers left sending by a crash become unknown, never silently sent again; gives how many."""
    changed = session.execute(
        update(InboundMessage)
        .where(col(InboundMessage.late) == LateState.SENDING, col(InboundMessage.late_due_at) < now)
        .values(late=LateState.UNKNOWN, late_failure="no_answer")
        .execution_options(synchronize_session=False)
        .returning(col(InboundMessage.id))
    )
    return len(changed.all())


def _locked(session: Session, row_id: int, *, skip: bool = False) -> InboundMessage | None:
    return session.exec(
        select(InboundMessage)
        .where(InboundMessage.id == row_id)
        .with_for_update(skip_locked=skip)
        .execution_options(populate_existing=True)
    ).one_or_none()
