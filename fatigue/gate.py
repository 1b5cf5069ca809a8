"""The gate (design.md §8): every touch passes it, and every silence has a reason.

This is the face of the package. `ask` decides and reserves, `fence` is the last look before the
provider call, `settle` writes what came of it; `dry_run` and `explain` only look.
"""

from fatigue.asking import LEASE_MINUTES, ask, ask_again, ask_many, dry_run, due
from fatigue.asks import Ask, Forecast, KeyReused
from fatigue.explaining import Door, Story, explain
from fatigue.fencing import (
    Fenced,
    FenceRefusal,
    fence,
    free_leases,
    mark_unknown,
    put_back,
    record,
    release,
    settle,
)
from fatigue.rules import Outcome
from fatigue.verdict import Verdict, Violation

__all__ = [
    "LEASE_MINUTES",
    "Ask",
    "Door",
    "FenceRefusal",
    "Fenced",
    "Forecast",
    "KeyReused",
    "Outcome",
    "Story",
    "Verdict",
    "Violation",
    "ask",
    "ask_again",
    "ask_many",
    "dry_run",
    "due",
    "explain",
    "fence",
    "free_leases",
    "mark_unknown",
    "put_back",
    "record",
    "release",
    "settle",
]
