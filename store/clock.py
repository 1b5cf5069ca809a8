"""The one clock. `now` enters at the edge and is passed down; nothing else reads the time."""

import os
from datetime import UTC, datetime, timedelta

# Only a sandbox sets this: its day has to begin at any hour. All its processes inherit it.
SHIFT = "ZHIYIN_CLOCK_SHIFT_SECONDS"


def now() -> datetime:
    """The present as aware UTC, moved by `ZHIYIN_CLOCK_SHIFT_SECONDS` in a sandbox."""
    return real() + timedelta(seconds=int(os.environ.get(SHIFT, "0")))


def real() -> datetime:
    """The present as aware UTC, whatever a sandbox says."""
    return datetime.now(UTC)
