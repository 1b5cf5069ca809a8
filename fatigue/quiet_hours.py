"""Wall clocks: quiet hours and calendar periods as instants, also where the clock is changed."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from fatigue.rules import Period, QuietHours

_DAY = timedelta(days=1)
_WEEK = timedelta(days=7)
# A month's first day plus 32 days is always in the next month.
_INTO_NEXT_MONTH = timedelta(days=32)


def is_quiet(rule: QuietHours, at: datetime, zone: ZoneInfo) -> bool:
    """Whether the wall clock of `zone` stands in `[start, end)` at the instant `at`."""
    wall = at.astimezone(zone).time()
    if rule.start < rule.end:
        return rule.start <= wall < rule.end
    return wall >= rule.start or wall < rule.end


def opening(rule: QuietHours, at: datetime, zone: ZoneInfo) -> datetime:
    """The first instant after `at`, which is quiet, when the rule is open again."""
    local = at.astimezone(zone)
    day = local.date() if local.time() < rule.end else local.date() + _DAY
    return _instant(day, rule.end, zone, after=at)


def span(period: Period, at: datetime, zone: ZoneInfo) -> tuple[datetime, datetime, int]:
    """Start and end (exclusive) of the calendar period around `at`, and how many days it has."""
    first, following = _days(period, at.astimezone(zone).date())
    midnight = time()
    return (
        _instant(first, midnight, zone),
        _instant(following, midnight, zone),
        (following - first).days,
    )


def _days(period: Period, day: date) -> tuple[date, date]:
    match period:
        case Period.DAY:
            return day, day + _DAY
        case Period.WEEK:
            monday = day - timedelta(days=day.weekday())
            return monday, monday + _WEEK
        case Period.MONTH:
            first = day.replace(day=1)
            return first, (first + _INTO_NEXT_MONTH).replace(day=1)


def _instant(day: date, wall: time, zone: ZoneInfo, after: datetime | None = None) -> datetime:
    """The first instant (after `after`) when the wall clock of `zone` shows `wall` or later."""
    local = datetime.combine(day, wall, tzinfo=zone)
    early, late = local.astimezone(UTC), local.replace(fold=1).astimezone(UTC)
    if late < early:
        # The clock jumps over this wall time: the jump itself is the first instant past it.
        return _jump(late, early, zone)
    if after is not None and early <= after:
        # The clock shows this wall time twice, and the first time is over.
        return late
    return early


def _jump(before: datetime, behind: datetime, zone: ZoneInfo) -> datetime:
    offset = before.astimezone(zone).utcoffset()
    second = timedelta(seconds=1)
    while behind - before > second:
        middle = before + timedelta(seconds=(behind - before) // second // 2)
        if middle.astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            behind = middle
    return behind
