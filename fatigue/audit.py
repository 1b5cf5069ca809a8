"""A recount of every cap in plain SQL, over all touches that went out (design.md §8).

Written apart from `verdict` on purpose: it counts rows the way an auditor would, so that a fault in
the one shows in the other. Calendar periods and quiet hours follow the database's own time zones.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlmodel import Session

from fatigue import policies
from fatigue.bands import HIGHEST
from fatigue.festivals import between
from fatigue.rules import (
    DAYS_IN_PERIOD,
    CalendarCap,
    GrantRule,
    LifetimeCap,
    MinGap,
    Never,
    Policy,
    QuietHours,
    RollingCap,
    Rule,
    is_zone,
)


@dataclass(frozen=True, slots=True)
class CapBreach:
    """More touches than a rule allows, `at` the touch that went over; `touches` made the count.

    `is_human` marks a count that holds a touch recorded by hand, which no gate could stop.
    """

    rule: str
    member_id: int
    at: datetime
    count: int
    cap: int
    touches: tuple[int, ...]
    is_human: bool


# What counts: all that was, or may have been, sent. A zone that nobody knows is the brand's.
_SENT = """
WITH sent AS (
    SELECT t.id, t.member_id, t.counted_at, t.fenced_at, t.category, t.campaign_id, t.channel,
        t.payload ->> 'template_id' AS template_id,
        COALESCE(
            CAST(:zone AS text),
            CASE WHEN m.timezone = ANY(CAST(:zones AS text[])) THEN m.timezone END,
            b.timezone
        ) AS zone
    FROM touches t JOIN members m ON m.id = t.member_id JOIN brands b ON b.id = m.brand_id
    WHERE t.state IN ('sent', 'sending', 'unknown')
        AND (CAST(:channels AS text[]) IS NULL OR t.channel = ANY(:channels))
        AND (CAST(:categories AS text[]) IS NULL OR t.category = ANY(:categories))
        AND (CAST(:brand_id AS bigint) IS NULL OR t.brand_id = :brand_id)
        AND (CAST(:campaign_id AS bigint) IS NULL OR t.campaign_id = :campaign_id)
        AND (CAST(:guide_id AS bigint) IS NULL OR t.guide_id = :guide_id)
        AND (CAST(:floors AS int[]) IS NULL OR EXISTS (
            SELECT FROM unnest(CAST(:floors AS int[]), CAST(:ceilings AS int[])) AS band(low, high)
            WHERE t.priority >= low AND t.priority < high))
)
"""
# `last` is the touch that a rule should have stopped, `other` each one before it, and itself. A
# service touch may pass a brand rule after `last` was let out and before a guide confirmed it.
_PAIRS = """
SELECT last.member_id, last.counted_at, count(*), {cap}, array_agg(other.id ORDER BY other.id),
    bool_or(other.fenced_at IS NULL)
FROM sent last JOIN sent other ON other.member_id = last.member_id
    AND other.counted_at <= last.counted_at AND {near}
WHERE last.counted_at >= COALESCE(CAST(:since AS timestamptz), '-infinity')
    AND (:is_platform OR last.category <> 'service')
    AND (:is_platform OR other.category <> 'service'
        OR other.counted_at <= COALESCE(last.fenced_at, last.counted_at))
GROUP BY last.id, last.member_id, last.counted_at, last.zone
HAVING count(*) > {cap}
ORDER BY last.counted_at, last.id
"""
_WITHIN = "other.counted_at > last.counted_at - make_interval(secs => :seconds)"
_SAME_PERIOD = """date_trunc(:period, other.counted_at AT TIME ZONE other.zone)
    = date_trunc(:period, last.counted_at AT TIME ZONE last.zone)"""
_SAME_CAMPAIGN = "other.campaign_id = last.campaign_id"
_DAYS_OF_PERIOD = """CAST(extract(epoch FROM
    date_trunc(:period, last.counted_at AT TIME ZONE last.zone) + CAST('1 ' || :period AS interval)
    - date_trunc(:period, last.counted_at AT TIME ZONE last.zone)) / 86400 AS integer)"""
# Whether the wall clock stands in a span, which may go over midnight or hold the whole day.
_WITHIN_HOURS = """CASE WHEN CAST(:{0}start AS time) < CAST(:{0}end AS time)
        THEN wall >= CAST(:{0}start AS time) AND wall < CAST(:{0}end AS time)
        ELSE wall >= CAST(:{0}start AS time) OR wall < CAST(:{0}end AS time) END"""
_AT_NIGHT = """
SELECT member_id, fenced_at, 1, 0, array[id], FALSE FROM (
    SELECT *, CAST(fenced_at AT TIME ZONE zone AS time) AS wall,
        CAST(fenced_at AT TIME ZONE zone AS date) AS day
    FROM sent) AS told
WHERE fenced_at >= COALESCE(CAST(:since AS timestamptz), '-infinity')
    AND (:is_platform OR category <> 'service')
    AND ({everyday} OR day = ANY(CAST(:holidays AS date[])) AND {on_holidays})
ORDER BY fenced_at, id
""".format(  # noqa: S608 -- our own words
    everyday=_WITHIN_HOURS.format(""), on_holidays=_WITHIN_HOURS.format("holiday_")
)
_AT_ALL = """
SELECT member_id, counted_at, 1, 0, array[id], fenced_at IS NULL FROM sent
WHERE counted_at >= COALESCE(CAST(:since AS timestamptz), '-infinity')
    AND (:is_platform OR category <> 'service')
ORDER BY counted_at, id
"""
_YEARS = text("SELECT min(fenced_at), max(fenced_at) FROM touches")
# A touch with no grant that was live and had something left when it went.
_WITHOUT_GRANT = """
SELECT last.member_id, last.fenced_at, 1, 0, array[last.id], FALSE FROM sent last
WHERE last.fenced_at >= COALESCE(CAST(:since AS timestamptz), '-infinity')
    AND NOT EXISTS (
        SELECT FROM grants g WHERE g.member_id = last.member_id AND g.channel = last.channel
            AND g.opened_at <= last.fenced_at
            AND COALESCE(g.expires_at, 'infinity') > last.fenced_at
            AND (CAST(:seconds AS integer) IS NULL
                OR g.opened_at + make_interval(secs => :seconds) > last.fenced_at)
            AND COALESCE(NULLIF(g.template_id, ''), last.template_id, '')
                = COALESCE(last.template_id, g.template_id)
            AND LEAST(g.allowance, :allowance) >= (
                SELECT count(*) FROM sent other
                WHERE other.member_id = last.member_id AND other.channel = last.channel
                    AND other.counted_at BETWEEN g.opened_at AND last.fenced_at
                    AND COALESCE(NULLIF(g.template_id, ''), other.template_id, '')
                        = COALESCE(other.template_id, g.template_id)))
ORDER BY last.fenced_at, last.id
"""


def audit_caps(session: Session, *, since: datetime | None = None) -> list[CapBreach]:
    """Every breach of the policy in force among all touches sent; none is what we promise.

    `since` leaves out breaches that were complete before, such as those of an older policy.
    """
    policy = policies.current(session)
    shared = {"since": since, "zones": _zones(session), "holidays": _holidays(session)}
    return [
        CapBreach(rule.name, member_id, at, count, cap, tuple(touches), is_human)
        for rule in policy.rules
        if not rule.is_shadow
        for query, facts in _queries(rule)
        for member_id, at, count, cap, touches, is_human in session.connection().execute(
            text(_SENT + query), shared | _selected(policy, rule) | facts
        )
    ]


def _queries(rule: Rule) -> Iterator[tuple[str, dict[str, Any]]]:
    match rule:
        case RollingCap() | MinGap():
            yield _pairs(":cap", _WITHIN), {"cap": rule.cap, "seconds": rule.seconds}
        case LifetimeCap():
            yield _pairs(":cap", _SAME_CAMPAIGN), {"cap": rule.cap}
        case CalendarCap():
            facts = {"period": rule.period.value, "zone": rule.zone}
            if rule.cap == DAYS_IN_PERIOD:
                yield _pairs(_DAYS_OF_PERIOD, _SAME_PERIOD), facts
            else:
                yield _pairs(":cap", _SAME_PERIOD), facts | {"cap": rule.cap}
        case QuietHours():
            yield _AT_NIGHT, _hours(rule)
        case Never():
            yield _AT_ALL, {}
        case GrantRule():
            yield _WITHOUT_GRANT, {"allowance": rule.allowance, "seconds": rule.seconds}
        case _:
            raise AssertionError(f"No recount for {type(rule).__name__}.")


def _hours(rule: QuietHours) -> dict[str, Any]:
    """The same hours twice where holidays have none of their own."""
    has_own = rule.holiday_start is not None
    return {
        "start": rule.start,
        "end": rule.end,
        "holiday_start": rule.holiday_start if has_own else rule.start,
        "holiday_end": rule.holiday_end if has_own else rule.end,
    }


def _pairs(cap: str, near: str) -> str:
    return _PAIRS.format(cap=cap, near=near)


def _selected(policy: Policy, rule: Rule) -> dict[str, Any]:
    selector = rule.selector
    floors = [band.floor for band in policy.bands if band.name in selector.bands]
    return {
        "channels": sorted(selector.channels) or None,
        "categories": sorted(selector.categories) or None,
        "brand_id": selector.brand_id,
        "campaign_id": selector.campaign_id,
        "guide_id": selector.guide_id,
        "floors": floors or None,
        "ceilings": [_ceiling(policy, floor) for floor in floors] or None,
        "is_platform": rule.is_platform,
        "zone": None,
    }


def _ceiling(policy: Policy, floor: int) -> int:
    """Where the band above begins; there is nothing above the highest priority."""
    return min((band.floor for band in policy.bands if band.floor > floor), default=HIGHEST + 1)


def _holidays(session: Session) -> list[date]:
    """All holidays of the time from which there are touches, a day more for zones at either end."""
    first, last = session.connection().execute(_YEARS).one()
    if first is None:
        return []
    return between(first.date() - timedelta(days=1), last.date() + timedelta(days=1))


def _zones(session: Session) -> list[str]:
    found = session.connection().execute(
        text("SELECT DISTINCT timezone FROM members WHERE timezone IS NOT NULL")
    )
    return [name for (name,) in found if is_zone(name)]
