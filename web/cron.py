"""The clock of the house: every recurring job and its pace, in one place.

A plain loop: rq's own scheduler would queue a job again while the last one still waits.
"""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from store.jobs import Job

LINES: dict[Job, timedelta] = {
    Job.SWEEP: timedelta(seconds=5),
    Job.PASS_DEADLINES: timedelta(seconds=5),
    Job.LAUNCH_DUE: timedelta(seconds=5),
    Job.POLL_BROADCASTS: timedelta(seconds=5),
    Job.EXPIRE: timedelta(minutes=5),
    Job.REMIND_GUIDES: timedelta(minutes=10),
    Job.TEND_HANDOVERS: timedelta(seconds=30),
    Job.BEGIN_SYNCS: timedelta(minutes=5),
    Job.MOVE_CONTACTS: timedelta(minutes=1),
    Job.CHECK_INVARIANTS: timedelta(hours=24),
}
_TICK_SECONDS = 1.0


def run(
    nudge: Callable[[tuple[Job, int]], None], clock: Callable[[], datetime], stop: threading.Event
) -> None:
    """Nudge every job at its pace until `stop` is set."""
    due = dict.fromkeys(LINES, clock())
    while not stop.wait(_TICK_SECONDS):
        now = clock()
        for job, pace in LINES.items():
            # A clock that was set back must not keep the house waiting until it has caught up.
            if not now < due[job] <= now + pace:
                nudge((job, 0))
                due[job] = now + pace
