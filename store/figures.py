"""Figures of how the house is doing, for whoever watches it: counts and ages, never a person.

Each is one statement over a partial or block index, so that looking often costs little; one that
takes longer all the same is broken off.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlmodel import Session

HOUR = timedelta(hours=1)
# Callbacks are looked at for so long, and so many of them at most.
CALLBACKS_SPAN = timedelta(minutes=5)
_MOST_CALLBACKS = 20_000
_PATIENCE_MS = 5000

_RECENT = text("""
    SELECT channel, state, count(*) AS touches FROM touches
    WHERE asked_at >= :since GROUP BY channel, state ORDER BY channel, state
""")
# A deferred touch waits from its due time on, a reserved one from then, another from its fence.
_WAITING = text("""
    SELECT channel, state, count(*) AS touches, min(CASE state
        WHEN 'asked' THEN retry_at WHEN 'reserved' THEN counted_at ELSE fenced_at END) AS since
    FROM touches WHERE state IN ('asked', 'reserved', 'sending', 'unknown')
    GROUP BY channel, state ORDER BY channel, state
""")
_CIRCUITS = text("""
    SELECT channel, account, state FROM circuits WHERE state <> 'closed' ORDER BY channel, account
""")
_LETTERS = text("SELECT count(*) FROM letters WHERE state = 'open'")
# Keys grow with time, so the newest come first without an index on it.
_CALLBACKS = text("""
    SELECT state, count(*) AS callbacks, coalesce(sum(handled_ms), 0) / 1000 AS seconds,
        coalesce(percentile_disc(0.99) WITHIN GROUP (ORDER BY handled_ms), 0) / 1000 AS slowest
    FROM (
        SELECT state, handled_ms, received_at FROM inbound_messages ORDER BY id DESC LIMIT :most
    ) newest WHERE received_at >= :since GROUP BY state ORDER BY state
""")
_UNHEARD = text("SELECT count(*) FROM inbound_messages WHERE state = 'received'")


@dataclass(frozen=True, slots=True)
class Figures:
    """`recent` and `waiting` are (channel, state, touches[, since]), `circuits` (channel, account,
    state), `callbacks` (state, callbacks, seconds in all, seconds of the slowest hundredth).
    """

    recent: Sequence[Any]
    waiting: Sequence[Any]
    circuits: Sequence[Any]
    letters: int
    callbacks: Sequence[Any]
    unheard: int


def read(session: Session, *, now: datetime) -> Figures:
    """All figures at one instant."""
    ask = session.connection().execute
    ask(text(f"SET LOCAL statement_timeout = {_PATIENCE_MS}"))
    newest = {"since": now - CALLBACKS_SPAN, "most": _MOST_CALLBACKS}
    return Figures(
        recent=ask(_RECENT, {"since": now - HOUR}).all(),
        waiting=ask(_WAITING).all(),
        circuits=ask(_CIRCUITS).all(),
        letters=ask(_LETTERS).scalar_one(),
        callbacks=ask(_CALLBACKS, newest).all(),
        unheard=ask(_UNHEARD).scalar_one(),
    )
