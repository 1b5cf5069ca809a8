"""The clock of the sandbox and of all its processes, which a person may move ahead.

It stands in a file, `ZHIYIN_CLOCK_SHIFT_FILE`, that every process reads. It never goes back: what
has happened must not lie in the future.
"""

import os
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from store import clock

_CHINA = ZoneInfo("Asia/Shanghai")
_MORNING = (9, 30)
LONGEST = timedelta(days=400)


class ClockStands(Exception):  # noqa: N818 -- an everyday answer, not a fault
    """This sandbox was started without a clock that can be moved, or so far is too far."""


def can_move() -> bool:
    """The processes share a clock that stands in a file."""
    return clock.SHIFT_FILE in os.environ


def keep_in(file: Path, seconds: int) -> None:
    """Let this process, and those that it starts from now on, read their clock from a file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    _write(file, seconds)
    os.environ[clock.SHIFT_FILE] = str(file)


def move(by: timedelta) -> datetime:
    """Move everybody's clock ahead and give the new time. Refuses `ClockStands`."""
    if not can_move() or not timedelta(0) <= by <= LONGEST:
        raise ClockStands
    _write(Path(os.environ[clock.SHIFT_FILE]), clock.shift() + int(by.total_seconds()))
    return clock.now()


def until_morning(now: datetime) -> timedelta:
    """How long it is to half past nine tomorrow in China."""
    hour, minute = _MORNING
    tomorrow = now.astimezone(_CHINA) + timedelta(days=1)
    return tomorrow.replace(hour=hour, minute=minute, second=0, microsecond=0) - now


def _write(file: Path, seconds: int) -> None:
    """All at once: nobody may read half a number."""
    fresh = file.with_suffix(".new")
    fresh.write_text(str(seconds))
    fresh.replace(file)
