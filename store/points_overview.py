"""What members see of their points at a glance, read for many of them in one trip."""

from dataclasses import dataclass, field
from datetime import datetime

from store.asking import Wanted
from store.points import EntryKind
from store.trips import Rows, Statement

_SQL = """
    SELECT wanted.member_id, totals.balance, totals.expiring, newest.created_at, newest.kind,
           newest.points
    FROM wanted
    CROSS JOIN LATERAL (
        SELECT (SELECT coalesce(sum(points), 0) FROM points_entries
                WHERE member_id = wanted.member_id) AS balance,
               (SELECT coalesce(sum(remaining), 0) FROM points_lots
                WHERE member_id = wanted.member_id AND remaining > 0
                  AND expires_at > %(now)s AND expires_at < %(before)s) AS expiring
        OFFSET 0
    ) AS totals
    LEFT JOIN LATERAL (
        SELECT id, created_at, kind, points FROM points_entries
        WHERE member_id = wanted.member_id ORDER BY id DESC LIMIT %(newest)s
    ) AS newest ON true
    ORDER BY wanted.member_id, newest.id DESC
"""


@dataclass(frozen=True, slots=True)
class Movement:
    """One entry as its member sees it; `points` is negative where some were taken."""

    at: datetime
    kind: EntryKind
    points: int


@dataclass(frozen=True, slots=True)
class Overview:
    """The balance (below zero while a debt is open), what expires soon, and the newest entries."""

    balance: int
    expiring: int
    newest: list[Movement] = field(default_factory=list)


def reading(wanted: Wanted, *, before: datetime, newest: int = 5, now: datetime) -> Statement:
    """Ask what those wanted have; `expiring` is what ends in [now, before) unless spent."""
    told, facts = wanted
    return told + _SQL, {**facts, "now": now, "before": before, "newest": newest}


def overviews(rows: Rows) -> dict[int, Overview]:
    """The overview of every member, from the rows of `reading`."""
    found: dict[int, Overview] = {}
    for member_id, balance, expiring, at, kind, points in rows:
        overview = found.get(member_id)
        if overview is None:
            overview = found[member_id] = Overview(int(balance), int(expiring))
        if at is not None:
            overview.newest.append(Movement(at, EntryKind(kind), points))
    return found
