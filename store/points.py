"""Points: what a member may do with them, on an append-only ledger (`store.ledger`).

Whether points have expired is decided by the clock at each act; the nightly job only writes it
down. A repeat of the same (reason, source_id) is the same entry; with other facts it is refused.
"""

from datetime import datetime, timedelta

from sqlmodel import col, func, select

from store import ledger, members
from store.db import Session
from store.errors import Exhausted, NotFound, Refusal
from store.ledger import EntryDiffers, EntryKind, PointsEntry, PointsLot, PointsTake
from store.members import Member

__all__ = [
    "POINTS_LIFE_DAYS",
    "EntryDiffers",
    "EntryKind",
    "EntryNotFound",
    "MoreThanBooked",
    "NotEnoughPoints",
    "PointsEntry",
    "PointsLot",
    "PointsNotPositive",
    "PointsTake",
    "adjust",
    "balance",
    "earn",
    "expire_due",
    "expiring",
    "give_back",
    "history",
    "reverse",
    "spend",
    "spendable",
]

# The house's own rule: points live for a year unless the giver says otherwise.
POINTS_LIFE_DAYS = 365
_LIFE = timedelta(days=POINTS_LIFE_DAYS)
# Lots of one transaction: few enough that nobody waits long for one of their owners.
MOST_AT_ONCE = 200


class PointsNotPositive(Refusal):
    """An act on points needs a whole number above zero."""

    def __init__(self, points: int) -> None:
        self.points = points
        super().__init__(f"Points must be above zero, not {points}.")


class NotEnoughPoints(Exhausted):
    """More was asked for than can be spent now."""

    def __init__(self, balance: int, asked: int) -> None:
        self.balance, self.asked = balance, asked
        super().__init__(f"{balance} points can be spent, {asked} were asked for.")


class EntryNotFound(NotFound):
    """There is no such entry, or not of the kind that this act answers."""

    def __init__(self, entry_id: int) -> None:
        self.entry_id = entry_id
        super().__init__(f"There is no points entry {entry_id} that this could answer.")


class MoreThanBooked(Exhausted):
    """More was asked back than the entry still holds after earlier reversals."""

    def __init__(self, left: int, asked: int) -> None:
        self.left, self.asked = left, asked
        super().__init__(f"{left} points of the entry are left to undo, {asked} were asked for.")


def balance(session: Session, member_id: int) -> int:
    """The sum of all entries; below zero while a debt is open."""
    query = select(func.coalesce(func.sum(PointsEntry.points), 0))
    return int(session.exec(query.where(PointsEntry.member_id == member_id)).one())


def spendable(session: Session, member_id: int, now: datetime) -> int:
    """What can be spent at this instant: lots that have begun and not expired, less the debt."""
    query = select(func.coalesce(func.sum(PointsLot.remaining), 0)).where(
        PointsLot.member_id == member_id, PointsLot.available_at <= now, ledger.is_fresh(now)
    )
    return max(0, int(session.exec(query).one()) - ledger.debt(session, member_id))


def expiring(session: Session, member_id: int, *, before: datetime, now: datetime) -> int:
    """Points that will expire in [now, before) unless spent."""
    query = select(func.coalesce(func.sum(PointsLot.remaining), 0)).where(
        PointsLot.member_id == member_id,
        col(PointsLot.expires_at) > now,
        col(PointsLot.expires_at) < before,
    )
    return int(session.exec(query).one())


def history(session: Session, member_id: int, limit: int = 5) -> list[PointsEntry]:
    """The last entries, newest first."""
    query = select(PointsEntry).where(PointsEntry.member_id == member_id)
    return list(session.exec(query.order_by(col(PointsEntry.id).desc()).limit(limit)))


def earn(  # noqa: PLR0913 -- begin and end of the points are facts that few callers give
    session: Session,
    member_id: int,
    points: int,
    *,
    reason: str,
    source_id: str,
    now: datetime,
    expires_at: datetime | None = None,
    available_at: datetime | None = None,
) -> PointsEntry:
    """Give points, which repay a debt first; they expire after `POINTS_LIFE_DAYS` by default."""
    _need_positive(points)
    member = members.lock(session, member_id)
    fresh = PointsEntry(
        member_id=member.id,
        kind=EntryKind.EARN,
        points=points,
        reason=reason,
        source_id=source_id,
        created_at=now,
    )
    entry, is_new = ledger.book(session, fresh)
    if is_new:
        ledger.open_lot(
            session,
            entry,
            points,
            available_at=available_at or now,
            expires_at=expires_at or now + _LIFE,
        )
        ledger.repay(session, member.id, now)
    return entry


def spend(
    session: Session, member_id: int, points: int, *, reason: str, source_id: str, now: datetime
) -> PointsEntry:
    """Take points from the lots that expire first; never below zero (`NotEnoughPoints`)."""
    _need_positive(points)
    member = members.lock(session, member_id)
    fresh = PointsEntry(
        member_id=member.id,
        kind=EntryKind.SPEND,
        points=-points,
        reason=reason,
        source_id=source_id,
        created_at=now,
    )
    return _book_taking(session, fresh, now)


def adjust(
    session: Session, member_id: int, points: int, *, reason: str, source_id: str, now: datetime
) -> PointsEntry:
    """Correct by hand, up or down; down only as far as there are points to spend."""
    _need_positive(abs(points))
    member = members.lock(session, member_id)
    fresh = PointsEntry(
        member_id=member.id,
        kind=EntryKind.ADJUST,
        points=points,
        reason=reason,
        source_id=source_id,
        created_at=now,
    )
    if points < 0:
        return _book_taking(session, fresh, now)
    entry, is_new = ledger.book(session, fresh)
    if is_new:
        ledger.open_lot(session, entry, points, available_at=now, expires_at=now + _LIFE)
        ledger.repay(session, member.id, now)
    return entry


def reverse(
    session: Session, entry_id: int, points: int, *, reason: str, source_id: str, now: datetime
) -> PointsEntry:
    """Take back points of an earn after a refund: its own lot first, then others, then a debt.

    Points of the lot that have expired meanwhile are brought back for it, so nobody loses twice.
    """
    _need_positive(points)
    earned = _lock_entry(session, entry_id)
    if earned.points < 0 or (lot := ledger.lot_of(session, earned.id)) is None:
        raise EntryNotFound(entry_id)
    fresh = PointsEntry(
        member_id=earned.member_id,
        kind=EntryKind.REVERSE,
        points=-points,
        reason=reason,
        source_id=source_id,
        reverses_id=earned.id,
        created_at=now,
    )
    if (before := ledger.known(session, fresh)) is not None:
        return before
    _need_left(session, earned, points)
    ledger.unexpire(session, lot, points - lot.remaining, now)
    entry, _ = ledger.book(session, fresh)
    left = ledger.take(session, entry, [lot], points)
    ledger.take(session, entry, ledger.lots_to_take(session, earned.member_id, now), left)
    return entry


def give_back(
    session: Session, entry_id: int, points: int, *, reason: str, source_id: str, now: datetime
) -> PointsEntry:
    """Return spent points to the lots they came from, latest-expiring first, with their old expiry.

    A lot that has expired meanwhile takes its points too, and expires again with the next job.
    """
    _need_positive(points)
    spent = _lock_entry(session, entry_id)
    if spent.kind is not EntryKind.SPEND:
        raise EntryNotFound(entry_id)
    fresh = PointsEntry(
        member_id=spent.member_id,
        kind=EntryKind.GIVE_BACK,
        points=points,
        reason=reason,
        source_id=source_id,
        reverses_id=spent.id,
        created_at=now,
    )
    if (before := ledger.known(session, fresh)) is not None:
        return before
    _need_left(session, spent, points)
    entry, _ = ledger.book(session, fresh)
    left = ledger.put_back(session, entry, spent, points)
    if left > 0:
        # What the spend never got from a lot was a debt; a lot of its own pays that off at once.
        ledger.open_lot(session, entry, left, available_at=now, expires_at=now + _LIFE)
    ledger.repay(session, spent.member_id, now)
    return entry


def expire_due(session: Session, now: datetime, *, limit: int = MOST_AT_ONCE) -> int:
    """Write down the expiry of up to `limit` lots whose time has come, and of their owners' others.

    Gives how many; none when all are. All owners stay locked until the commit, so what ends on one
    day for a million members must not be one transaction.
    """
    due = (col(PointsLot.remaining) > 0, col(PointsLot.expires_at) <= now)
    first = select(PointsLot.member_id).where(*due).order_by(col(PointsLot.expires_at)).limit(limit)
    count = 0
    for member_id in sorted(set(session.exec(first).all())):
        _lock_row(session, member_id)
        mine = ledger.lots(session, col(PointsLot.member_id) == member_id, *due)
        for lot in mine:
            ledger.expire(session, lot, now)
        count += len(mine)
    return count


def _need_positive(points: int) -> None:
    if points <= 0:
        raise PointsNotPositive(points)


def _need_left(session: Session, entry: PointsEntry, points: int) -> None:
    left = abs(entry.points) - ledger.undone(session, entry)
    if points > left:
        raise MoreThanBooked(left, points)


def _lock_entry(session: Session, entry_id: int) -> PointsEntry:
    """The entry, under the lock of the member whose it is by then."""
    entry = session.get(PointsEntry, entry_id)
    if entry is None:
        raise EntryNotFound(entry_id)
    while True:
        member_id = members.lock(session, entry.member_id).id
        session.refresh(entry)
        if entry.member_id == member_id:
            return entry


def _lock_row(session: Session, member_id: int) -> None:
    # Points of an erased member expire too, so the state does not matter here.
    session.exec(select(Member.id).where(Member.id == member_id).with_for_update()).one()


def _book_taking(session: Session, fresh: PointsEntry, now: datetime) -> PointsEntry:
    """Book an entry that takes what can be spent, or refuse."""
    if (before := ledger.known(session, fresh)) is not None:
        return before
    ledger.repay(session, fresh.member_id, now)
    lots = ledger.lots_to_spend(session, fresh.member_id, now)
    there = max(0, sum(lot.remaining for lot in lots) - ledger.debt(session, fresh.member_id))
    if there < -fresh.points:
        raise NotEnoughPoints(there, -fresh.points)
    entry, is_new = ledger.book(session, fresh)
    if is_new:
        ledger.take(session, entry, lots, -fresh.points)
    return entry
