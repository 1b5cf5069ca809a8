"""Writing down what came of a batch of calls, all in one transaction (design.md §9).

What is known here is known nowhere else: that a message went out. So a database that is away for a
moment is waited for, and one touch that cannot be settled does not keep the others unsettled.
"""

import logging
import random
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import groupby

from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from bot.addresses import close_address
from bot.channels.base import ChannelError, Receipt
from bot.sending import Outcome
from fatigue import gate
from fatigue.gate import Word
from guide_tasks import progress
from store import circuits, letters
from store.db import Database
from store.errors import Refusal
from store.touches import FINAL, Touch, TouchState

_log = logging.getLogger(__name__)

# What the platform could not take for a day is told to a person rather than tried for ever.
_PATIENCE = timedelta(days=1)
_LONGEST_WAIT = 3600
# Spreads what failed together, so that it does not come back together.
_JITTER_SECONDS = 10
# A database that restarts is back within these seconds.
_sleep = time.sleep
_PAUSES = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)


def write_down(
    database: Database,
    outcomes: Sequence[Outcome],
    *,
    clock: Callable[[], datetime],
    is_late: bool = False,
) -> None:
    """Settle every touch of a batch; raises only when the database stays away.

    A late word is what the platform says of an earlier call, so no person need decide any more.
    """
    for pause in (*_PAUSES, None):
        try:
            _write_all(database, outcomes, clock(), is_late=is_late)
        except DBAPIError as fault:
            if pause is None:
                raise
            _log.warning("A batch is not written down yet: %s.", type(fault).__name__)
            _sleep(pause)
        else:
            return


def write(
    session: Session, outcomes: Sequence[Outcome], now: datetime, *, is_late: bool = False
) -> None:
    """Settle the touches of these outcomes with their letters, all or none."""
    touches = gate.settle_many(session, [_word(one, now) for one in outcomes], now=now)
    reasons = {}
    for outcome, touch in zip(outcomes, touches, strict=True):
        found = outcome.found
        if isinstance(found, ChannelError):
            if found.is_gone:
                close_address(session, touch, now=now)
            if touch.state is TouchState.FAILED and _is_mendable(found):
                reasons[touch.id] = found.reason
    ended = [one for one in touches if one.state in FINAL or one.state is TouchState.UNKNOWN]
    progress.touches_settled(session, ended, now=now)
    if is_late:
        letters.settle(session, [one.id for one in ended if one.state in FINAL], now=now)
    else:
        letters.write(session, reasons, now=now)
    _tell_circuits(session, outcomes, now)


def _write_all(
    database: Database, outcomes: Sequence[Outcome], now: datetime, *, is_late: bool
) -> None:
    if not outcomes:
        return
    try:
        with database.transaction() as session:
            write(session, outcomes, now, is_late=is_late)
    except Refusal as fault:
        if len(outcomes) == 1:
            # Somebody else has settled it meanwhile: a person, or the platform's own report.
            touch_id = outcomes[0].ready.touch.id
            _log.warning("Touch %s cannot be settled: %s", touch_id, fault)
            return
        for outcome in outcomes:
            _write_all(database, [outcome], now, is_late=is_late)


def _word(outcome: Outcome, now: datetime) -> Word:
    touch, found = outcome.ready.touch, outcome.found
    if isinstance(found, Receipt):
        return Word(
            touch_id=touch.id,
            attempt=touch.attempts,
            state=TouchState.SENT if found.is_final else TouchState.SENDING,
            provider_id=found.provider_id,
            evidence=found.evidence,
            reached_at=found.reached_at,
        )
    if found.is_unsure:
        return Word(
            touch_id=touch.id,
            attempt=touch.attempts,
            state=TouchState.UNKNOWN,
            failure=found.reason,
        )
    retry_at = None if found.permanent else retry_time(touch, found, now)
    state = TouchState.FAILED if retry_at is None else TouchState.ASKED
    return Word(
        touch_id=touch.id,
        attempt=touch.attempts,
        state=state,
        failure=found.reason,
        retry_at=retry_at,
    )


def retry_time(touch: Touch, error: ChannelError, now: datetime) -> datetime | None:
    """When to try again, later with each attempt; none when it would be too late then."""
    grown = min(2.0**touch.attempts, _LONGEST_WAIT) if error.cause.is_platforms else 0.0
    wait = max(float(error.retry_after or 0), grown)
    spread = random.uniform(0, max(_JITTER_SECONDS, wait / 4))  # noqa: S311 -- no secret
    retry_at = now + timedelta(seconds=wait + spread)
    ends = (touch.tried_since or touch.asked_at) + _PATIENCE
    is_late = retry_at >= (min(ends, touch.deadline_at) if touch.deadline_at else ends)
    return None if is_late else retry_at


def _is_mendable(error: ChannelError) -> bool:
    """A person can mend it, or the platform may work again by now."""
    return error.cause.is_mendable or not error.permanent


def _tell_circuits(session: Session, outcomes: Sequence[Outcome], now: datetime) -> None:
    def by_way(outcome: Outcome) -> tuple[str, str]:
        return outcome.ready.way.account, outcome.ready.way.channel

    for _, group in groupby(sorted(outcomes, key=by_way), key=by_way):
        _tell_circuit(session, list(group), now)


def _tell_circuit(session: Session, outcomes: Sequence[Outcome], now: datetime) -> None:
    way = outcomes[0].ready.way
    errors = [one.found for one in outcomes if isinstance(one.found, ChannelError)]
    pauses = [one for one in errors if one.cause.is_pause]
    faults = [one for one in errors if one.cause.is_platforms]
    if pauses:
        longest = max(pauses, key=lambda one: one.retry_after or 0)
        pause = timedelta(seconds=longest.retry_after or 0)
        circuits.failed(session, way, reason=longest.reason, failures=1, pause=pause, now=now)
    elif len(outcomes) > len([one for one in errors if not _is_proof(one)]):
        circuits.worked(session, way, now=now)
    elif faults:
        reason = faults[0].reason
        circuits.failed(session, way, reason=reason, failures=len(faults), now=now)


def _is_proof(error: ChannelError) -> bool:
    """Whether the platform was asked, and answered for this recipient's or text's sake."""
    return error.code is not None and not error.cause.is_platforms and not error.cause.is_pause
