"""Wall clocks: quiet hours and calendar periods as instants, also where the clock is changed."""

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from fatigue.festivals import is_holiday
from fatigue.rules import Period, QuietHours

_DAY = timedelta(days=1)
_WEEK = timedelta(days=7)
# A month's first day plus 32 days is always in the next month.
_INTO_NEXT_MONTH = timedelta(days=32)
# Longer than any holiday; a rule that leaves no minute of a day has no opening at all.
_LONGEST_SILENCE_DAYS = 30


def is_quiet(rule: QuietHours, at: datetime, zone: ZoneInfo) -> bool:
    """Whether the wall clock of `zone` stands in quiet hours at the instant `at`."""
    local = at.astimezone(zone)
    wall = local.time()
    if _is_within(wall, rule.start, rule.end):
        return True
    if rule.holiday_start is None or rule.holiday_end is None or not is_holiday(local.date()):
        return False
    is_all_day = rule.holiday_start == rule.holiday_end
    return is_all_day or _is_within(wall, rule.holiday_start, rule.holiday_end)


@lru_cache(maxsize=1024)
def opening(rule: QuietHours, at: datetime, zone: ZoneInfo) -> datetime | None:
    """The first instant after `at`, which is quiet, when the rule is open again."""
    today = at.astimezone(zone).date()
    for ahead in range(_LONGEST_SILENCE_DAYS):
        for instant in sorted(_turns(rule, today + ahead * _DAY, zone)):
            if instant > at and not is_quiet(rule, instant, zone):
                return instant
    return None


def _is_within(wall: time, start: time, end: time) -> bool:
    if start < end:
        return start <= wall < end
    return wall >= start or wall < end


def _turns(rule: QuietHours, day: date, zone: ZoneInfo) -> set[datetime]:
    """Every instant of a day at which silence may end: also midnight, and where the clock turns."""
    midnight = time()
    walls = {midnight, rule.end, rule.holiday_end or midnight}
    turns = {instant for wall in walls for instant in _instants(day, wall, zone)}
    begins, ends = _instant(day, midnight, zone), _instant(day + _DAY, midnight, zone)
    if begins.astimezone(zone).utcoffset() != ends.astimezone(zone).utcoffset():
        turns.add(_jump(begins, ends, zone))
    return turns


def span(period: Period, at: datetime, zone: ZoneInfo) -> tuple[datetime, datetime, int]:
    """Start and end (exclusive) of the calendar period around `at`, and how many days it has."""
    first, following = _days(period, at.astimezone(zone).date())
    midnight = time()
    return (
        _instant(first, midnight, zone),
        _instant(following, midnight, zone),
        (following - first).days,
    )


def day_of(day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Start and end (exclusive) of a date on the clock of `zone`."""
    midnight = time()
    return _instant(day, midnight, zone), _instant(day + _DAY, midnight, zone)


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


def _instant(day: date, wall: time, zone: ZoneInfo) -> datetime:
    """The first instant when the wall clock of `zone` shows `wall` or later."""
    return min(_instants(day, wall, zone))


def _instants(day: date, wall: time, zone: ZoneInfo) -> set[datetime]:
    """The instants when the wall clock shows `wall`: one, two, or that of the jump over it."""
    local = datetime.combine(day, wall, tzinfo=zone)
    early, late = local.astimezone(UTC), local.replace(fold=1).astimezone(UTC)
    return {_jump(late, early, zone)} if late < early else {early, late}


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
