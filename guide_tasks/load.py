"""The load of a guide: how many tasks begin for one guide on one day, across campaigns."""

from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import text
from sqlmodel import Session

from store.bulk import id_array
from store.campaigns import Campaign
from store.organisation import Brand

# Under the guides' locks in id order: two launches at once would both see the same free places.
_LOCK = text("""
    SELECT id FROM guides WHERE id = ANY(CAST(:guides AS bigint[])) ORDER BY id
    FOR NO KEY UPDATE
""")
_TAKEN = text("""
    SELECT guide_id, CAST(coalesce(waits_until, created_at) AT TIME ZONE :zone AS date) AS day,
           count(*)
    FROM care_tasks
    WHERE guide_id = ANY(CAST(:guides AS bigint[])) AND state NOT IN ('planned', 'suppressed')
        AND coalesce(waits_until, created_at) >= :since
    GROUP BY guide_id, day
""")


def beginnings(
    session: Session, campaign: Campaign, guide_ids: Sequence[int], *, now: datetime
) -> list[datetime | None]:
    """When the next task of each guide in turn begins; None where no day before the end is free.

    Locks the guides when the campaign limits their load; without a limit all begin now.
    """
    limit = campaign.tasks_per_day
    if limit is None or not guide_ids:
        return [now] * len(guide_ids)
    zone = ZoneInfo(session.get_one(Brand, campaign.brand_id).timezone)
    taken = _taken(session, guide_ids, zone, now)
    days = _days(campaign.deadline_at, zone, now)
    return [_next(taken, guide_id, days, limit) for guide_id in guide_ids]


def _taken(
    session: Session, guide_ids: Sequence[int], zone: ZoneInfo, now: datetime
) -> Counter[tuple[int, date]]:
    guides = {"guides": id_array(sorted(set(guide_ids)))}
    session.connection().execute(_LOCK, guides)
    midnight = datetime.combine(now.astimezone(zone).date(), time(), zone)
    facts = guides | {"zone": zone.key, "since": midnight}
    found = session.connection().execute(_TAKEN, facts)
    return Counter({(guide_id, day): tasks for guide_id, day, tasks in found})


def _days(deadline_at: datetime, zone: ZoneInfo, now: datetime) -> list[tuple[date, datetime]]:
    """The days until the deadline, each with the instant when its tasks begin."""
    today = now.astimezone(zone).date()
    days = [(today, now)]
    while True:
        day = today + timedelta(days=len(days))
        midnight = datetime.combine(day, time(), zone)
        if midnight >= deadline_at:
            return days
        days.append((day, midnight))


def _next(
    taken: Counter[tuple[int, date]],
    guide_id: int,
    days: Sequence[tuple[date, datetime]],
    limit: int,
) -> datetime | None:
    for day, begins_at in days:
        if taken[guide_id, day] < limit:
            taken[guide_id, day] += 1
            return begins_at
    return None
