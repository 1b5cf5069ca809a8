"""The one clock. `now` enters at the edge and is passed down; nothing else reads the time."""

import os
from datetime import UTC, datetime, timedelta

# Read once per process, so that every process of one sandbox agrees on the moved time.
_SHIFT = timedelta(seconds=int(os.environ.get("ZHIYIN_CLOCK_SHIFT_SECONDS", "0")))


def now() -> datetime:
    """The present as aware UTC, moved by `ZHIYIN_CLOCK_SHIFT_SECONDS` in a sandbox."""
    return datetime.now(UTC) + _SHIFT
