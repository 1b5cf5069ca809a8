"""Calendars at their edges: months, leap days, weeks, midnights, and members who move."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlmodel import Session

from fatigue import gate, policies
from fatigue.gate import Outcome
from fatigue.quiet_hours import span
from fatigue.rules import CalendarCap, Period
from store.touches import Channel
from tests.fatigue.people import a_member, an_ask
from tests.times import SHANGHAI, at

_SECOND = timedelta(seconds=1)
_NEW_YORK = "America/New_York"
_DAY = CalendarCap(name="day", source="test", cap=1, period=Period.DAY)


@pytest.mark.parametrize(
    ("period", "minute", "starts", "ends", "days"),
    [
        (Period.DAY, "2026-03-01 00:00", "2026-03-01 00:00", "2026-03-02 00:00", 1),
        (Period.DAY, "2026-03-01 23:59:59", "2026-03-01 00:00", "2026-03-02 00:00", 1),
        (Period.WEEK, "2026-03-01 23:59:59", "2026-02-23 00:00", "2026-03-02 00:00", 7),
        (Period.WEEK, "2026-03-02 00:00", "2026-03-02 00:00", "2026-03-09 00:00", 7),
        (Period.WEEK, "2026-12-31 12:00", "2026-12-28 00:00", "2027-01-04 00:00", 7),
        (Period.MONTH, "2026-02-28 23:59:59", "2026-02-01 00:00", "2026-03-01 00:00", 28),
        (Period.MONTH, "2028-02-29 12:00", "2028-02-01 00:00", "2028-03-01 00:00", 29),
        (Period.MONTH, "2026-04-30 12:00", "2026-04-01 00:00", "2026-05-01 00:00", 30),
        (Period.MONTH, "2026-12-31 23:59:59", "2026-12-01 00:00", "2027-01-01 00:00", 31),
    ],
)
def test_period_begins_and_ends_at_midnight(
    period: Period, minute: str, starts: str, ends: str, days: int
) -> None:
    assert span(period, at(minute), SHANGHAI) == (at(starts), at(ends), days)


@pytest.mark.parametrize(
    ("day", "hours"), [("2026-03-08", 23), ("2026-03-09", 24), ("2026-11-01", 25)]
)
def test_day_on_which_the_clock_is_changed_is_one_day(day: str, hours: int) -> None:
    zone = ZoneInfo(_NEW_YORK)
    noon = datetime.fromisoformat(f"{day} 12:00").replace(tzinfo=zone)

    starts, ends, _ = span(Period.DAY, noon, zone)

    assert ends - starts == timedelta(hours=hours)


def test_member_who_moves_gets_no_second_touch_on_a_day_of_the_new_calendar(
    session: Session,
) -> None:
    """Nine in the morning in Shanghai is the evening before in New York."""
    told = at("2026-03-02 09:00")
    policies.publish(session, [_DAY], author="hq", now=told)
    li = a_member(session, now=told)
    gate.record(
        session, an_ask(session, li), channel=Channel.WECOM_BROADCAST, sent_at=told, now=told
    )
    li.timezone = _NEW_YORK
    midnight = datetime(2026, 3, 2, tzinfo=ZoneInfo(_NEW_YORK))

    found = [
        gate.dry_run(session, [an_ask(session, li)], now=now)[0]
        for now in (told + _SECOND, midnight - _SECOND, midnight)
    ]

    assert [one.outcome for one in found] == [Outcome.DEFER, Outcome.DEFER, Outcome.OPEN]
    assert found[0].retry_at == midnight


def test_week_that_is_full_opens_on_monday(session: Session) -> None:
    sunday = at("2026-03-01 23:59:59")
    week = CalendarCap(name="week", source="test", cap=1, period=Period.WEEK)
    policies.publish(session, [week], author="hq", now=sunday)
    li = a_member(session, now=sunday)
    gate.record(
        session, an_ask(session, li), channel=Channel.WECOM_BROADCAST, sent_at=sunday, now=sunday
    )

    found = gate.dry_run(session, [an_ask(session, li)], now=sunday)[0]

    assert found.retry_at == at("2026-03-02 00:00")
    assert gate.dry_run(session, [an_ask(session, li)], now=at("2026-03-02 00:00"))[0].outcome is (
        Outcome.OPEN
    )
