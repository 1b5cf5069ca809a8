"""The gate (design.md §8): every touch passes it, and every silence has a reason.

This is the face of the package. `ask` decides and reserves, `fence` is the last look before the
provider call, `settle` writes what came of it; `dry_run` and `explain` only look.
"""

from fatigue.asking import LEASE_MINUTES, ask, ask_again, ask_many, due
from fatigue.asks import Ask, Forecast, KeyReused, ask_of
from fatigue.displacing import untold
from fatigue.explaining import (
    Cause,
    Door,
    Silence,
    Story,
    explain,
    why_silent_in,
    why_silent_on,
)
from fatigue.fencing import (
    Fenced,
    FenceRefusal,
    fence,
    fence_again,
    fence_many,
    free_leases,
    mark_unknown,
    record,
    release,
)
from fatigue.forecasting import dry_run
from fatigue.holding import Plan, hold, lift
from fatigue.rules import Outcome
from fatigue.settling import Word, locked, put_back, settle, settle_many
from fatigue.verdict import Verdict, Violation

__all__ = [
    "LEASE_MINUTES",
    "Ask",
    "Cause",
    "Door",
    "FenceRefusal",
    "Fenced",
    "Forecast",
    "KeyReused",
    "Outcome",
    "Plan",
    "Silence",
    "Story",
    "Verdict",
    "Violation",
    "Word",
    "ask",
    "ask_again",
    "ask_many",
    "ask_of",
    "dry_run",
    "due",
    "explain",
    "fence",
    "fence_again",
    "fence_many",
    "free_leases",
    "hold",
    "lift",
    "locked",
    "mark_unknown",
    "put_back",
    "record",
    "release",
    "settle",
    "settle_many",
    "untold",
    "why_silent_in",
    "why_silent_on",
]
