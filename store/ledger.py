"""The ledger under the points: its tables, and how entries book takes on lots.

`store.points` holds the acts; each locks the member first, which is what makes these steps safe.
An entry that gives points (earn, positive adjust) opens a lot of as many; one that takes them books
takes on lots. What an entry could not take from any lot is a debt, which later points repay first.
So, for each member, whatever the order of acts: sum(entries) = sum(remaining) - debt.
"""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ColumnElement, Index, UniqueConstraint, func, or_
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import SQLModel, col, select

from store.columns import big_key, link, one_of, status
from store.db import Session
from store.errors import NotAllowed

UNEXPIRED = "unexpire"


class EntryKind(StrEnum):
    """Why points moved."""

    EARN = "earn"
    SPEND = "spend"
    REVERSE = "reverse"
    GIVE_BACK = "give_back"
    EXPIRE = "expire"
    ADJUST = "adjust"


class PointsEntry(SQLModel, table=True):
    """One signed movement, never edited. A repeat of (reason, source_id) is the same entry."""

    __tablename__ = "points_entries"
    __table_args__ = (
        UniqueConstraint("reason", "source_id", name="uq_points_entries_source"),
        one_of("kind", EntryKind, "points_entries"),
        CheckConstraint("points <> 0", name="ck_points_entries_points"),
        Index("ix_points_entries_member", "member_id", "id"),
    )
    id: int = big_key()
    member_id: int = link("members.id", index=False)
    kind: EntryKind = status(EntryKind)
    points: int
    reason: str
    source_id: str
    reverses_id: int | None = link("points_entries.id", default=None, nullable=True)
    created_at: datetime


class PointsLot(SQLModel, table=True):
    """Points of one positive entry that are still there; never negative, never above its start."""

    __tablename__ = "points_lots"
    __table_args__ = (
        CheckConstraint("remaining BETWEEN 0 AND points", name="ck_points_lots_remaining"),
        Index("ix_points_lots_open", "member_id", "expires_at", postgresql_where="remaining > 0"),
        Index("ix_points_lots_ends", "expires_at", postgresql_where="remaining > 0"),
    )
    id: int = big_key()
    entry_id: int = link("points_entries.id", index=False, unique=True)
    member_id: int = link("members.id", index=False)
    points: int
    remaining: int
    available_at: datetime
    expires_at: datetime | None = None


class PointsTake(SQLModel, table=True):
    """How many points an entry took from a lot (positive), or gave back to it (negative)."""

    __tablename__ = "points_takes"
    __table_args__ = (CheckConstraint("points <> 0", name="ck_points_takes_points"),)
    id: int = big_key()
    entry_id: int = link("points_entries.id")
    lot_id: int = link("points_lots.id")
    points: int


class EntryDiffers(NotAllowed):
    """The same (reason, source_id) was booked before with another member, kind or number."""

    def __init__(self, reason: str, source_id: str) -> None:
        self.reason, self.source_id = reason, source_id
        super().__init__(f"{reason} {source_id} is booked already, with other facts.")


def known(session: Session, fresh: PointsEntry) -> PointsEntry | None:
    """The entry booked before under this (reason, source_id); `EntryDiffers` if it says other."""
    query = select(PointsEntry).where(
        PointsEntry.reason == fresh.reason, PointsEntry.source_id == fresh.source_id
    )
    entry = session.exec(query).first()
    if entry is not None and _said(entry) != _said(fresh):
        raise EntryDiffers(fresh.reason, fresh.source_id)
    return entry


def book(session: Session, fresh: PointsEntry) -> tuple[PointsEntry, bool]:
    """Write an entry once; gives the entry and whether this call wrote it."""
    values = fresh.model_dump(exclude={"id"})
    query = insert(PointsEntry).values(**values).on_conflict_do_nothing()
    written = session.execute(query.returning(col(PointsEntry.id))).scalar()
    if written is not None:
        return session.get_one(PointsEntry, written), True
    entry = known(session, fresh)
    assert entry is not None, "The entry that was in the way is gone, but entries never go."
    return entry, False


def open_lot(
    session: Session,
    entry: PointsEntry,
    points: int,
    *,
    available_at: datetime,
    expires_at: datetime | None,
) -> PointsLot:
    """Put the points of an entry where they can be taken from."""
    lot = PointsLot(
        entry_id=entry.id,
        member_id=entry.member_id,
        points=points,
        remaining=points,
        available_at=available_at,
        expires_at=expires_at,
    )
    session.add(lot)
    session.flush()
    return lot


def take(session: Session, entry: PointsEntry, lots: Iterable[PointsLot], points: int) -> int:
    """Take up to `points` from the lots in their order; gives what they could not cover."""
    left = points
    for lot in lots:
        taken = min(left, lot.remaining)
        if taken > 0:
            _move(session, entry, lot, taken)
            left -= taken
    return left


def put_back(session: Session, entry: PointsEntry, spent: PointsEntry, points: int) -> int:
    """Return up to `points` to the lots that `spent` took from; gives what no lot is owed.

    Lots that expire last come first, which is the order in which a smaller spend would have left
    them alone.
    """
    left = points
    for lot, net in _taken_by(session, spent):
        returned = min(left, net)
        if returned > 0:
            _move(session, entry, lot, -returned)
            left -= returned
    return left


def undone(session: Session, entry: PointsEntry) -> int:
    """How many points of this entry were reversed or given back before."""
    query = select(func.coalesce(func.sum(func.abs(PointsEntry.points)), 0)).where(
        PointsEntry.reverses_id == entry.id,
        col(PointsEntry.kind).in_([EntryKind.REVERSE, EntryKind.GIVE_BACK]),
    )
    return int(session.exec(query).one())


def debt(session: Session, member_id: int) -> int:
    """What entries took beyond the lots they found."""
    query = select(func.coalesce(func.sum(_owed()), 0)).where(PointsEntry.member_id == member_id)
    return int(session.exec(query).one())


def repay(session: Session, member_id: int, now: datetime) -> None:
    """Let the lots that are there pay what older entries owe, oldest entry first."""
    left = debt(session, member_id)
    if left <= 0:
        return
    owed = _owed()
    query = select(PointsEntry, owed).where(PointsEntry.member_id == member_id, owed > 0)
    lots = lots_to_take(session, member_id, now)
    for entry, points in session.exec(query.order_by(col(PointsEntry.id))).all():
        asked = min(left, int(points))
        left -= asked - take(session, entry, lots, asked)


def expire(session: Session, lot: PointsLot, now: datetime) -> None:
    """Write down that what remains in a lot has expired."""
    # A lot can expire again: after its end a spend may be given back to it.
    source_id = f"{lot.id}:{len(_expiries(session, lot)) + 1}"
    fresh = PointsEntry(
        member_id=lot.member_id,
        kind=EntryKind.EXPIRE,
        points=-lot.remaining,
        reason="expire",
        source_id=source_id,
        reverses_id=lot.entry_id,
        created_at=now,
    )
    entry, _ = book(session, fresh)
    take(session, entry, [lot], lot.remaining)


def unexpire(session: Session, lot: PointsLot, missing: int, now: datetime) -> None:
    """Bring back up to `missing` points that this lot lost to expiry, for a reversal to take."""
    expiries = _expiries(session, lot)
    points = min(missing, _lost_to(session, lot, expiries))
    if points <= 0:
        return
    fresh = PointsEntry(
        member_id=lot.member_id,
        kind=EntryKind.ADJUST,
        points=points,
        reason=UNEXPIRED,
        source_id=f"{lot.id}:{_moves_on(session, lot)}",
        reverses_id=expiries[-1],
        created_at=now,
    )
    entry, _ = book(session, fresh)
    _move(session, entry, lot, -points)


def lots(session: Session, *where: ColumnElement[bool]) -> list[PointsLot]:
    """Lots, freshly read, those that expire first first; those without an end last."""
    query = (
        select(PointsLot)
        .where(*where)
        .order_by(col(PointsLot.expires_at).asc().nulls_last(), col(PointsLot.id))
        .execution_options(populate_existing=True)
    )
    return list(session.exec(query))


def lots_to_spend(session: Session, member_id: int, now: datetime) -> list[PointsLot]:
    """Lots that have begun and not expired, in the order of spending."""
    mine = (col(PointsLot.member_id) == member_id, col(PointsLot.remaining) > 0)
    return lots(session, *mine, col(PointsLot.available_at) <= now, is_fresh(now))


def lots_to_take(session: Session, member_id: int, now: datetime) -> list[PointsLot]:
    """Lots that a debt or a reversal may take from: also those that begin later, but last."""
    mine = (col(PointsLot.member_id) == member_id, col(PointsLot.remaining) > 0)
    later = lots(session, *mine, col(PointsLot.available_at) > now, is_fresh(now))
    return lots_to_spend(session, member_id, now) + later


def lot_of(session: Session, entry_id: int) -> PointsLot | None:
    """The lot that an entry opened."""
    found = lots(session, col(PointsLot.entry_id) == entry_id)
    return found[0] if found else None


def is_fresh(now: datetime) -> ColumnElement[bool]:
    """The lot has not expired at this instant."""
    return or_(col(PointsLot.expires_at).is_(None), col(PointsLot.expires_at) > now)


def _said(entry: PointsEntry) -> tuple[object, ...]:
    return entry.member_id, entry.kind, entry.points, entry.reverses_id


def _move(session: Session, entry: PointsEntry, lot: PointsLot, points: int) -> None:
    lot.remaining -= points
    session.add(PointsTake(entry_id=entry.id, lot_id=lot.id, points=points))
    session.flush()


def _owed() -> ColumnElement[int]:
    """What one entry still owes: its points, less what it took, plus what it opened."""
    took = select(func.sum(PointsTake.points)).where(PointsTake.entry_id == PointsEntry.id)
    opened = select(func.sum(PointsLot.points)).where(PointsLot.entry_id == PointsEntry.id)
    return (
        func.coalesce(opened.scalar_subquery(), 0)
        - func.coalesce(took.scalar_subquery(), 0)
        - col(PointsEntry.points)
    )


def _taken_by(session: Session, spent: PointsEntry) -> list[tuple[PointsLot, int]]:
    """The lots a spend took from and has not given back to, those that expire last first."""
    answers = select(PointsEntry.id).where(PointsEntry.reverses_id == spent.id)
    mine = or_(col(PointsTake.entry_id) == spent.id, col(PointsTake.entry_id).in_(answers))
    net = func.sum(PointsTake.points)
    query = select(PointsTake.lot_id, net).where(mine).group_by(col(PointsTake.lot_id))
    nets = {lot_id: int(points) for lot_id, points in session.exec(query.having(net > 0)).all()}
    found = lots(session, col(PointsLot.id).in_(nets))
    return [(lot, nets[lot.id]) for lot in reversed(found)]


def _expiries(session: Session, lot: PointsLot) -> list[int]:
    query = select(PointsEntry.id).where(
        PointsEntry.reverses_id == lot.entry_id, PointsEntry.kind == EntryKind.EXPIRE
    )
    return list(session.exec(query.order_by(col(PointsEntry.id))))


def _lost_to(session: Session, lot: PointsLot, expiries: list[int]) -> int:
    """What the lot lost to these expiries, less what was brought back."""
    brought = select(PointsEntry.id).where(col(PointsEntry.reverses_id).in_(expiries))
    query = select(func.coalesce(func.sum(PointsTake.points), 0)).where(
        PointsTake.lot_id == lot.id,
        or_(col(PointsTake.entry_id).in_(expiries), col(PointsTake.entry_id).in_(brought)),
    )
    return int(session.exec(query).one())


def _moves_on(session: Session, lot: PointsLot) -> int:
    query = select(func.count()).select_from(PointsTake).where(PointsTake.lot_id == lot.id)
    return int(session.exec(query).one())
