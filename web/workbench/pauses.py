"""Until when a guide can put a task off: a few choices, as people say them."""

from datetime import datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo


class Pause(StrEnum):
    """What a guide taps."""

    TWO_HOURS = "two_hours"
    EVENING = "evening"
    TOMORROW = "tomorrow"


_EVENING, _MORNING = time(18), time(10)


def end_of(pause: Pause, *, zone: ZoneInfo, now: datetime) -> datetime:
    """When a pause that begins now is over."""
    today = now.astimezone(zone).date()
    match pause:
        case Pause.TWO_HOURS:
            return now + timedelta(hours=2)
        case Pause.EVENING:
            return datetime.combine(today, _EVENING, zone)
        case Pause.TOMORROW:
            return datetime.combine(today + timedelta(days=1), _MORNING, zone)


def before(deadline_at: datetime, *, zone: ZoneInfo, now: datetime) -> dict[Pause, datetime]:
    """The choices that end before the deadline, with their ends."""
    ends = {pause: end_of(pause, zone=zone, now=now) for pause in Pause}
    # An evening that begins within the two hours is no choice of its own.
    if ends[Pause.EVENING] <= ends[Pause.TWO_HOURS]:
        del ends[Pause.EVENING]
    return {pause: end for pause, end in ends.items() if end < deadline_at}
