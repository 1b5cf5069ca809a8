"""The member's points: what can be spent, what ends on which day, and every movement."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby
from zoneinfo import ZoneInfo

from sqlmodel import Session

from content.phrases import points_label
from store import points_reads
from store.members import Member
from store.points_reads import Standing

_A_PAGE = 20


@dataclass(frozen=True, slots=True)
class Ending:
    """Points that are gone after this day."""

    on: date
    points: int


@dataclass(frozen=True, slots=True)
class Movement:
    """One line of the list."""

    label: str
    at: datetime
    points: int


@dataclass(frozen=True, slots=True)
class PointsView:
    """The page; pages count from one."""

    standing: Standing
    endings: Sequence[Ending]
    movements: Sequence[Movement]
    number: int
    has_more: bool


def read(
    session: Session, member: Member, *, number: int, zone: ZoneInfo, now: datetime
) -> PointsView:
    """One page of a member's points."""
    skip = (number - 1) * _A_PAGE
    entries = points_reads.entries(session, member.id, skip=skip, limit=_A_PAGE + 1)
    return PointsView(
        standing=points_reads.standing(session, member.id, now),
        endings=_by_day(points_reads.endings(session, member.id, now), zone),
        movements=[
            Movement(points_label(entry.kind, entry.reason), entry.created_at, entry.points)
            for entry in entries[:_A_PAGE]
        ],
        number=number,
        has_more=len(entries) > _A_PAGE,
    )


def _by_day(endings: Sequence[tuple[datetime, int]], zone: ZoneInfo) -> list[Ending]:
    days = groupby(endings, key=lambda ending: ending[0].astimezone(zone).date())
    return [Ending(day, sum(points for _, points in found)) for day, found in days]
