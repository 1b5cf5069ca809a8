"""Transfers: a customer's contact goes from one guide to another in WeCom (wecom.md §4.5).

The platform takes its time, and the customer may refuse. A transfer is asked for once: past the
fence (`asking`) a crash is no reason to ask again before WeCom has been asked what it knows.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import CheckConstraint, ColumnElement, Index, exists, func, or_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import aliased
from sqlmodel import SQLModel, col, select

from store.columns import big_key, link, one_of, status
from store.contacts import Contact
from store.db import Session
from store.errors import WrongState

# wecom.md §4.5: natural days, for one customer, whoever asks.
MOST, SPAN = 2, timedelta(days=90)
# Why a transfer to who is full is the last: nobody else could take over.
NOBODY = "nobody_left"
# Why WeCom, or we before it, refuse to move a customer once more.
TOO_OFTEN = "moved_too_often"


class TransferState(StrEnum):
    """`waiting` is begun: the platform completes it after a day, unless the customer refuses."""

    PLANNED = "planned"
    ASKING = "asking"
    WAITING = "waiting"
    DONE = "done"
    REFUSED = "refused"
    FULL = "full"
    FAILED = "failed"


OPEN = frozenset({TransferState.PLANNED, TransferState.ASKING, TransferState.WAITING})
_ENDS = frozenset(TransferState) - OPEN
_MOVES: Mapping[TransferState, frozenset[TransferState]] = {
    TransferState.PLANNED: frozenset({TransferState.ASKING, TransferState.FAILED}),
    # Back to planned only when WeCom says that it knows nothing of it.
    TransferState.ASKING: frozenset({TransferState.PLANNED, TransferState.WAITING}) | _ENDS,
    TransferState.WAITING: _ENDS,
    TransferState.DONE: frozenset(),
    TransferState.REFUSED: frozenset(),
    TransferState.FULL: frozenset(),
    TransferState.FAILED: frozenset(),
}


class Transfer(SQLModel, table=True):
    """One contact on its way to another guide; `failure` says why it did not come there."""

    __tablename__ = "transfers"
    __table_args__ = (
        one_of("state", TransferState, "transfers"),
        Index(
            "uq_transfers_open",
            "contact_id",
            unique=True,
            postgresql_where="state IN ('planned', 'asking', 'waiting')",
        ),
        Index(
            "ix_transfers_due",
            "due_at",
            postgresql_where="state IN ('planned', 'asking', 'waiting')",
        ),
        CheckConstraint(
            "(state IN ('planned', 'asking', 'waiting')) = (due_at IS NOT NULL)",
            name="ck_transfers_due",
        ),
    )
    id: int = big_key()
    contact_id: int = link("contacts.id", ondelete="CASCADE")
    giver_id: int = link("guides.id")
    taker_id: int = link("guides.id", index=False)
    # The giver has left: another call, and no words to the customer.
    has_left: bool = False
    state: TransferState = status(TransferState, default=TransferState.PLANNED)
    failure: str = ""
    attempts: int = 0
    planned_at: datetime
    asked_at: datetime | None = None
    due_at: datetime | None = None
    settled_at: datetime | None = None


def plan(
    session: Session, contact: Contact, taker_id: int, *, has_left: bool, now: datetime
) -> int | None:
    """Have a contact go to another guide; none when it is on its way already."""
    assert contact.guide_id != taker_id
    query = insert(Transfer).values(
        contact_id=contact.id,
        giver_id=contact.guide_id,
        taker_id=taker_id,
        has_left=has_left,
        state=TransferState.PLANNED,
        failure="",
        attempts=0,
        planned_at=now,
        due_at=now,
    )
    query = query.on_conflict_do_nothing()
    return session.execute(query.returning(col(Transfer.id))).scalar_one_or_none()


def move(
    transfer: Transfer,
    state: TransferState,
    *,
    now: datetime,
    failure: str = "",
    due_at: datetime | None = None,
) -> None:
    """Move a locked transfer to `state`; one that goes on is looked at again at `due_at`."""
    if state not in _MOVES[transfer.state]:
        raise WrongState("transfer", transfer.state, state)
    assert (state in OPEN) == (due_at is not None)
    transfer.state, transfer.failure, transfer.due_at = state, failure, due_at
    if state is TransferState.ASKING:
        transfer.asked_at = now
        transfer.attempts += 1
    if state not in OPEN:
        transfer.settled_at = now


def due_givers(session: Session, now: datetime) -> list[int]:
    """Guides of whom transfers are due: one worker a giver, for WeCom takes no two at once."""
    query = select(Transfer.giver_id).where(
        col(Transfer.state).in_(OPEN), col(Transfer.due_at) <= now
    )
    return list(session.exec(query.distinct().order_by(col(Transfer.giver_id))).all())


def due(
    session: Session,
    giver_id: int,
    states: Collection[TransferState],
    *,
    limit: int,
    now: datetime,
) -> Sequence[Transfer]:
    """Transfers of a giver that are due, locked, all to the taker of the oldest of them."""
    query = select(Transfer).where(
        Transfer.giver_id == giver_id, col(Transfer.state).in_(states), col(Transfer.due_at) <= now
    )
    first = session.exec(query.order_by(col(Transfer.id)).limit(1)).one_or_none()
    if first is None:
        return []
    same = query.where(
        Transfer.taker_id == first.taker_id, col(Transfer.has_left).is_(first.has_left)
    )
    same = same.order_by(col(Transfer.id)).limit(limit).with_for_update(skip_locked=True)
    return session.exec(same.execution_options(populate_existing=True)).all()


def full(session: Session, *, limit: int) -> Sequence[int]:
    """Transfers whose taker had too many customers, and of which nothing has come since.

    Also those that come after such a one, and that the platform does not allow any more.
    """
    query = select(Transfer.id).where(_is_full())
    return session.exec(query.order_by(col(Transfer.id)).limit(limit)).all()


def lock_full(session: Session, transfer_id: int) -> Transfer | None:
    """The same for one of them, locked; its member is locked before."""
    query = select(Transfer).where(Transfer.id == transfer_id, _is_full()).with_for_update()
    return session.exec(query.execution_options(populate_existing=True)).one_or_none()


def takers(session: Session, contact_id: int) -> set[int]:
    """Guides to whom a contact was to go, whatever came of it."""
    query = select(Transfer.taker_id).where(Transfer.contact_id == contact_id)
    return set(session.exec(query).all())


def _is_full() -> ColumnElement[bool]:
    """The newest of a contact that is still there; or the platform allows no more tries."""
    later, before = aliased(Transfer), aliased(Transfer)
    newer = exists().where(
        col(later.contact_id) == Transfer.contact_id, col(later.id) > Transfer.id
    )
    ended = exists().where(
        col(Contact.id) == Transfer.contact_id, col(Contact.ended_by).is_not(None)
    )
    was_full = exists().where(
        col(before.contact_id) == Transfer.contact_id, col(before.state) == TransferState.FULL
    )
    is_full = (col(Transfer.state) == TransferState.FULL) & (col(Transfer.failure) != NOBODY)
    is_too_often = col(Transfer.failure) == TOO_OFTEN
    return (is_full | (is_too_often & was_full)) & ~newer & ~ended


def moved_before(
    session: Session, identity_ids: Collection[int], *, now: datetime
) -> dict[int, int]:
    """How often each customer was given on in the span in which WeCom allows it twice."""
    counted = or_(
        col(Transfer.state).in_((TransferState.ASKING, TransferState.WAITING)),
        col(Transfer.state) == TransferState.DONE,
    )
    query = (
        select(Contact.identity_id, func.count())
        .join(Transfer, col(Transfer.contact_id) == Contact.id)
        .where(col(Contact.identity_id).in_(identity_ids), counted)
        .where(col(Transfer.asked_at) > now - SPAN)
        .group_by(col(Contact.identity_id))
    )
    return dict(session.exec(query).all())


def open_to(session: Session, taker_id: int, identity_id: int) -> Transfer | None:
    """The transfer of a customer to a guide that is under way, locked."""
    query = (
        select(Transfer)
        .join(Contact, col(Contact.id) == Transfer.contact_id)
        .where(Transfer.taker_id == taker_id, Contact.identity_id == identity_id)
        .where(col(Transfer.state).in_(OPEN))
    )
    query = query.with_for_update(of=Transfer).execution_options(populate_existing=True)
    return session.exec(query).first()
