"""Waiting for what other threads and processes bring about, instead of for a time."""

import time
from collections.abc import Callable

# Far more than anything here takes: on a busy machine everything takes longer.
SECONDS = 120.0


def until(is_so: Callable[[], bool]) -> None:
    """Come back once it is so."""
    end = time.monotonic() + SECONDS
    while not is_so():
        assert time.monotonic() < end, "It has not come about."
        time.sleep(0.01)
