"""What members see of their points at a glance, read for many of them in one trip."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime

from sqlmodel import Session

from store import trips
from store.points import EntryKind

_SQL = """
    SELECT wanted.member_id, totals.balance, totals.expiring, newest.created_at, newest.kind,
           newest.points
    FROM unnest(CAST(%(members)s AS bigint[])) AS wanted(member_id)
    CROSS JOIN LATERAL (
        SELECT (SELECT coalesce(sum(points), 0) FROM points_entries
                WHERE member_id = wanted.member_id) AS balance,
               (SELECT coalesce(sum(remaining), 0) FROM points_lots
                WHERE member_id = wanted.member_id AND remaining > 0
                  AND expires_at > %(now)s AND expires_at < %(before)s) AS expiring
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


def read(
    session: Session,
    member_ids: Collection[int],
    *,
    before: datetime,
    newest: int = 5,
    now: datetime,
) -> dict[int, Overview]:
    """The overview of every member; `expiring` is what ends in [now, before) unless spent."""
    facts = {"members": list(member_ids), "now": now, "before": before, "newest": newest}
    found: dict[int, Overview] = {}
    for member_id, balance, expiring, at, kind, points in trips.fetch(session, _SQL, facts):
        overview = found.setdefault(member_id, Overview(int(balance), int(expiring)))
        if at is not None:
            overview.newest.append(Movement(at, EntryKind(kind), points))
    return found
