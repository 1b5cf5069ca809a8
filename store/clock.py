"""The one clock. `now` enters at the edge and is passed down; nothing else reads the time."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

# Only a sandbox sets these: its day has to begin at any hour. All its processes inherit them. The
# file is for a sandbox whose clock can be moved while they run.
SHIFT = "ZHIYIN_CLOCK_SHIFT_SECONDS"
SHIFT_FILE = "ZHIYIN_CLOCK_SHIFT_FILE"


def now() -> datetime:
    """The present as aware UTC, moved by `shift` in a sandbox."""
    return real() + timedelta(seconds=shift())


def shift() -> int:
    """By how many seconds a sandbox has moved the clock."""
    path = os.environ.get(SHIFT_FILE)
    return int(Path(path).read_text()) if path else int(os.environ.get(SHIFT, "0"))


def real() -> datetime:
    """The present as aware UTC, whatever a sandbox says."""
    return datetime.now(UTC)
