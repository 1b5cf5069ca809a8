"""Holidays as the State Council gave them, quiet hours on them, and a spread at their end."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as some
from sqlmodel import Session

from fatigue import gate, policies
from fatigue.audit import audit_caps
from fatigue.festivals import between, is_holiday
from fatigue.quiet_hours import is_quiet, opening
from fatigue.rules import QuietHours, RollingCap
from store.touches import TouchState
from tests.fatigue.people import a_grant, a_member, an_ask
from tests.fatigue.test_audit import a_sent_touch
from tests.times import SHANGHAI, at

_SECOND = timedelta(seconds=1)
_DAY = timedelta(days=1)
# Days off by the State Council's notices for 2025 and 2026: first and last day of each holiday.
_OFF = (
    ("2025-01-28", "2025-02-04"),
    ("2025-04-04", "2025-04-06"),
    ("2025-05-01", "2025-05-05"),
    ("2025-05-31", "2025-06-02"),
    ("2025-10-01", "2025-10-08"),
    ("2026-01-01", "2026-01-03"),
    ("2026-02-15", "2026-02-23"),
    ("2026-04-04", "2026-04-06"),
    ("2026-05-01", "2026-05-05"),
    ("2026-06-19", "2026-06-21"),
    ("2026-09-25", "2026-09-27"),
    ("2026-10-01", "2026-10-07"),
)
_WORKED = ("2025-01-26", "2025-02-08", "2025-04-27", "2025-09-28", "2025-10-11")
_WORKED_TOO = ("2026-01-04", "2026-02-14", "2026-02-28", "2026-05-09", "2026-09-20", "2026-10-10")
NIGHT = QuietHours(name="night", source="test", start=time(22), end=time(8))
LATE = QuietHours(
    name="night",
    source="test",
    start=time(22),
    end=time(8),
    holiday_start=time(8),
    holiday_end=time(10),
)
ALL_DAY = QuietHours(
    name="night",
    source="test",
    start=time(22),
    end=time(8),
    holiday_start=time(),
    holiday_end=time(),
)


def test_holidays_are_those_that_were_announced_with_their_weekends() -> None:
    announced = [
        date.fromisoformat(first) + number * _DAY
        for first, last in _OFF
        for number in range((date.fromisoformat(last) - date.fromisoformat(first)).days + 1)
    ]

    assert between(date(2025, 1, 2), date(2026, 12, 31)) == announced


@pytest.mark.parametrize("day", [*_WORKED, *_WORKED_TOO])
def test_weekend_on_which_people_work_is_no_holiday(day: str) -> None:
    assert not is_holiday(date.fromisoformat(day))


@pytest.mark.parametrize(
    ("rule", "minute", "opens"),
    [
        (LATE, "2026-02-17 09:59:59", "2026-02-17 10:00"),
        (LATE, "2026-02-16 23:00", "2026-02-17 10:00"),
        (LATE, "2026-02-23 22:00", "2026-02-24 08:00"),
        (LATE, "2026-02-14 22:00", "2026-02-15 10:00"),
        (ALL_DAY, "2026-02-14 22:00", "2026-02-24 08:00"),
        (ALL_DAY, "2026-02-20 12:00", "2026-02-24 08:00"),
        (ALL_DAY, "2026-06-21 12:00", "2026-06-22 08:00"),
    ],
)
def test_quiet_hours_on_holidays_open_on_the_minute(
    rule: QuietHours, minute: str, opens: str
) -> None:
    assert is_quiet(rule, at(minute), SHANGHAI)
    assert opening(rule, at(minute), SHANGHAI) == at(opens)


@pytest.mark.parametrize("minute", ["2026-02-14 09:00", "2026-02-28 21:59", "2026-03-02 08:00"])
def test_day_that_is_worked_has_the_everyday_hours(minute: str) -> None:
    assert not is_quiet(LATE, at(minute), SHANGHAI)
    assert not is_quiet(ALL_DAY, at(minute), SHANGHAI)


_TIMES = some.times().map(lambda wall: wall.replace(second=0, microsecond=0))


@given(
    start=_TIMES,
    end=_TIMES,
    holidays=some.none() | some.tuples(_TIMES, _TIMES),
    second=some.integers(0, 2 * 365 * 86_400),
    zone=some.sampled_from(["Asia/Shanghai", "America/New_York", "Australia/Lord_Howe"]),
)
def test_opening_is_the_first_second_that_is_not_quiet(
    start: time, end: time, holidays: tuple[time, time] | None, second: int, zone: str
) -> None:
    if start == end:
        return
    rule = QuietHours(
        name="x",
        source="test",
        start=start,
        end=end,
        holiday_start=holidays[0] if holidays else None,
        holiday_end=holidays[1] if holidays else None,
    )
    instant = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(seconds=second)
    where = ZoneInfo(zone)
    if not is_quiet(rule, instant, where):
        return

    opens = opening(rule, instant, where)

    assert opens is not None
    assert not is_quiet(rule, opens, where)
    minute = timedelta(minutes=1)
    steps = int((opens - instant) / minute)
    # Every minute between is quiet, and the very last second too.
    assert is_quiet(rule, max(instant, opens - _SECOND), where)
    assert all(is_quiet(rule, opens - step * minute, where) for step in range(1, min(steps, 3000)))


def test_ask_of_a_night_waits_for_a_moment_of_its_own_after_the_opening(session: Session) -> None:
    night, opens = at("2026-03-02 23:00"), at("2026-03-03 08:00")
    spread = QuietHours(name="n", source="test", start=time(22), end=time(8), spread_minutes=30)
    policies.publish(session, [spread], author="hq", now=night)
    asks = [an_ask(session, a_member(session, now=night)) for _ in range(40)]

    touches = gate.ask_many(session, asks, now=night)
    again = [gate.dry_run(session, [ask], now=opens)[0] for ask in asks[:1]]

    exact = {touch.verdict["retry_at"] for touch in touches}
    waits = [touch.retry_at - opens for touch in touches if touch.retry_at is not None]
    assert exact == {opens.isoformat()}
    assert len(set(waits)) > 20
    assert (min(waits) >= timedelta(0), max(waits) < timedelta(minutes=30)) == (True, True)
    assert again[0].touch_id == touches[0].id
    new = an_ask(session, a_member(session, now=night))
    assert gate.ask(session, new, now=opens).state is TouchState.RESERVED


def test_ask_that_could_not_go_later_any_more_is_not_spread(session: Session) -> None:
    night, opens = at("2026-03-02 23:00"), at("2026-03-03 08:00")
    spread = QuietHours(name="n", source="test", start=time(22), end=time(8), spread_minutes=30)
    policies.publish(session, [spread], author="hq", now=night)
    asks = [
        an_ask(session, a_member(session, now=night), deadline_at=opens + _SECOND)
        for _ in range(20)
    ]

    touches = gate.ask_many(session, asks, now=night)

    assert {touch.retry_at for touch in touches} == {opens}


def test_only_what_waits_for_the_end_of_a_night_is_spread(session: Session) -> None:
    morning = at("2026-03-02 10:00")
    spread = QuietHours(name="n", source="test", start=time(22), end=time(8), spread_minutes=30)
    cap = RollingCap(name="cap", source="test", cap=1, seconds=3600)
    policies.publish(session, [spread, cap], author="hq", now=morning)
    li = a_member(session, now=morning)
    a_grant(session, li.id, now=morning)
    gate.ask(session, an_ask(session, li), now=morning)

    second = gate.ask(session, an_ask(session, li), now=morning)

    assert second.retry_at == morning + timedelta(hours=1)


@pytest.mark.parametrize(
    ("rule", "minute", "breaches"),
    [
        (NIGHT, "2026-02-17 09:00", 0),
        (LATE, "2026-02-17 09:00", 1),
        (LATE, "2026-02-17 10:00", 0),
        (LATE, "2026-02-28 09:00", 0),
        (ALL_DAY, "2026-02-22 15:00", 1),
        (ALL_DAY, "2026-02-14 15:00", 0),
    ],
)
def test_recount_knows_the_holidays(
    session: Session, rule: QuietHours, minute: str, breaches: int
) -> None:
    policies.publish(session, [rule], author="hq", now=at(minute))
    a_sent_touch(session, a_member(session, now=at(minute)), at(minute))

    assert len(audit_caps(session)) == breaches
