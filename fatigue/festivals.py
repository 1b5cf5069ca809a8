"""Public holidays of China with the weekends that belong to them; make-up workdays are none.

The calendar is that of the package `holidays`, with the State Council's notices for past years and
an estimate for those to come.
"""

from datetime import date, timedelta
from functools import lru_cache

import holidays

_DAY = timedelta(days=1)


@lru_cache(maxsize=4096)
def is_holiday(day: date) -> bool:
    """Whether a day is off and hangs together with a public holiday, day off by day off."""
    return _is_off(day) and (_reaches(day, _DAY) or _reaches(day, -_DAY))


def between(first: date, last: date) -> list[date]:
    """The holidays from one day to another, both included."""
    days = (first + number * _DAY for number in range((last - first).days + 1))
    return [day for day in days if is_holiday(day)]


def _reaches(day: date, step: timedelta) -> bool:
    while _is_off(day):
        if day in _public(day.year):
            return True
        day += step
    return False


def _is_off(day: date) -> bool:
    if day in _public(day.year):
        return True
    return day.isoweekday() in {6, 7} and day not in _made_up(day.year)


@lru_cache(maxsize=64)
def _public(year: int) -> frozenset[date]:
    return frozenset(holidays.country_holidays("CN", years=year))


@lru_cache(maxsize=64)
def _made_up(year: int) -> frozenset[date]:
    """Saturdays and Sundays on which people work; the next year's may be at the end of this one."""
    calendar = holidays.country_holidays("CN", years=(year, year + 1))
    return frozenset(calendar.weekend_workdays)
