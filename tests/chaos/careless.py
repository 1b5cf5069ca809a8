"""The house with a fault put into it: `python -m tests.chaos.careless FAULT MODULE ARGUMENTS…`.

Each fault is one that real senders have. A storm over such a house must find it; otherwise the
storm would prove nothing.
"""

import runpy
import sys
from datetime import datetime
from typing import Any

import pytest

from bot.channels import base
from fatigue import judging, settling
from fatigue.case import Question, Verdict
from fatigue.rules import Outcome
from store.touches import Touch, TouchState

_FOR_GOOD = pytest.MonkeyPatch()


def _try_again() -> None:
    """No answer is taken for a no, so the message goes out once more."""
    was_made = base.ChannelError.__init__

    def made(error: base.ChannelError, cause: base.Cause, **facts: Any) -> None:
        was_made(error, cause, **facts | {"is_unsure": False})

    _FOR_GOOD.setattr(base.ChannelError, "__init__", made)


def _believe_it_went() -> None:
    """No answer is taken for a yes."""
    landed = settling.land

    def land(touch: Touch, state: TouchState, now: datetime) -> None:
        landed(touch, TouchState.SENT if state is TouchState.UNKNOWN else state, now)

    _FOR_GOOD.setattr(settling, "land", land)


def _count_nothing() -> None:
    """Nobody looks at caps and the night."""

    def verdict(_policy: Any, _recent: Any, ask: Question, _now: Any) -> Verdict:
        return Verdict(Outcome.OPEN, ask.channel)

    _FOR_GOOD.setattr(judging, "verdict", verdict)


FAULTS = {
    "tries again": _try_again,
    "believes it went": _believe_it_went,
    "counts nothing": _count_nothing,
}

if __name__ == "__main__":
    FAULTS[sys.argv[1]]()
    del sys.argv[:2]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
