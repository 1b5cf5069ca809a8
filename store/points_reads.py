"""What a member is shown of the own points: what can be spent, what ends when, every movement."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import col, func, select

from store import ledger, points
from store.db import Session
from store.points import PointsEntry, PointsLot


@dataclass(frozen=True, slots=True)
class Standing:
    """Points at an instant: to spend now, still to come, and owed after a refund."""

    spendable: int
    pending: int
    debt: int


def standing(session: Session, member_id: int, now: datetime) -> Standing:
    """How the points stand by the clock, whether or not the nightly job has come by."""
    pending = select(func.coalesce(func.sum(PointsLot.remaining), 0)).where(
        PointsLot.member_id == member_id, PointsLot.available_at > now, ledger.is_fresh(now)
    )
    return Standing(
        spendable=points.spendable(session, member_id, now),
        pending=int(session.exec(pending).one()),
        debt=ledger.debt(session, member_id),
    )


def endings(session: Session, member_id: int, now: datetime) -> list[tuple[datetime, int]]:
    """When points end and how many, the soonest first; those without an end are left out."""
    query = (
        select(PointsLot.expires_at, func.sum(PointsLot.remaining))
        .where(PointsLot.member_id == member_id, PointsLot.remaining > 0)
        .where(col(PointsLot.expires_at) > now)
        .group_by(col(PointsLot.expires_at))
        .order_by(col(PointsLot.expires_at))
    )
    return [(ends, int(left)) for ends, left in session.exec(query).all() if ends is not None]


def entries(session: Session, member_id: int, *, skip: int, limit: int) -> list[PointsEntry]:
    """A page of movements, newest first."""
    query = select(PointsEntry).where(PointsEntry.member_id == member_id)
    return list(session.exec(query.order_by(col(PointsEntry.id).desc()).offset(skip).limit(limit)))


def given_by(session: Session, reason: str, source_ids: Collection[str]) -> dict[str, int]:
    """What each source gave, less what was taken back of it; sources that gave none are absent."""
    given = select(PointsEntry.id, PointsEntry.source_id, PointsEntry.points).where(
        PointsEntry.reason == reason, col(PointsEntry.source_id).in_(source_ids)
    )
    rows = session.exec(given).all()
    taken = (
        select(PointsEntry.reverses_id, func.sum(PointsEntry.points))
        .where(PointsEntry.kind == points.EntryKind.REVERSE)
        .where(col(PointsEntry.reverses_id).in_([entry_id for entry_id, _, _ in rows]))
        .group_by(col(PointsEntry.reverses_id))
    )
    back = {entry_id: int(sum_) for entry_id, sum_ in session.exec(taken).all()}
    return {source_id: sum_ + back.get(entry_id, 0) for entry_id, source_id, sum_ in rows}
