"""Delivery of touches (design.md §9): fence, send outside any transaction, settle.

T1 is done by whoever asked the gate. T2 takes a batch past the fence and commits; then the calls
are made, several at once; T3 writes what came of them. A crash in between leaves touches `sending`,
and the sweep makes them `unknown`: they are never sent again without a person's word.
"""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlmodel import Session

from bot import dead_letters
from bot.addresses import NoAddress, addresses_of
from bot.channels.base import Cause, ChannelError
from bot.notifying import send_notice, sweep_notices
from bot.polling import poll_broadcasts
from bot.sending import Channels, Clock, Ready, send_all
from bot.settling import retry_time, write_down
from fatigue import gate
from fatigue.gate import Word
from guide_tasks import progress
from store import circuits, letters
from store.circuits import Pause
from store.clock import real
from store.db import Database
from store.jobs import Job, after_commit
from store.touches import FINAL, Touch, TouchState

__all__ = [
    "Channels",
    "deliver",
    "deliver_waiting",
    "poll_broadcasts",
    "send_notice",
    "sweep",
]

_log = logging.getLogger(__name__)

# A worker that has not settled by then is gone: a batch is sent within a minute and a call.
_SILENCE = timedelta(minutes=5)
_SWEEP_LIMIT = 500
BATCH = 50
# So that other jobs get their turn, and a worker that is told to stop does soon.
_BATCHES_AT_ONCE = 10
# Jobs that empty the same heap side by side, each with two names: one cannot queue itself again
# while it runs.
LANES = 4
# One message is out to see whether the platform works again; the others look again soon.
_AFTER_TRIAL_SECONDS = 10
# The members are locked, and what another worker holds is left to it.
_CLAIM = text("""
    SELECT t.id FROM touches t JOIN members m ON m.id = t.member_id
    WHERE t.state = 'reserved' ORDER BY t.id LIMIT :most
    FOR NO KEY UPDATE OF m SKIP LOCKED
""")


def deliver(database: Database, channels: Channels, touch_id: int, *, clock: Clock) -> None:
    """Send one reserved touch; a second worker with the same touch does nothing."""
    with database.transaction() as session:
        batch = _fenced(session, [touch_id], clock())
    _send(database, channels, batch, clock)


def deliver_waiting(database: Database, channels: Channels, lane: int, *, clock: Clock) -> int:
    """Send what is reserved, batch by batch, and ask for another turn while there is more."""
    claimed = 0
    for _ in range(_BATCHES_AT_ONCE):
        ids, batch = _claimed(database, clock)
        _send(database, channels, batch, clock)
        claimed += len(ids)
        if len(ids) < BATCH:
            return claimed
    with database.transaction() as session:
        after_commit(session, Job.DELIVER_WAITING, lane ^ 1)
    return claimed


def _claimed(database: Database, clock: Clock) -> tuple[list[int], list[Ready]]:
    """The next batch, past the fence. One touch that breaks it must not keep the others for ever:
    then each of them gets a job of its own.
    """
    ids: list[int] = []
    try:
        with database.transaction() as session:
            ids += session.connection().execute(_CLAIM, {"most": BATCH}).scalars()
            return ids, _fenced(session, ids, clock())
    except Exception:
        with database.transaction() as session:
            for touch_id in ids:
                after_commit(session, Job.DELIVER_TOUCH, touch_id)
        raise


def sweep(database: Database, *, now: datetime) -> None:
    """Take up what was left lying: lapsed leases, due deferrals, senders that fell silent."""
    with database.transaction() as session:
        gate.free_leases(session, now)
    with database.transaction() as session:
        touches = gate.ask_again(session, gate.due(session, now, _SWEEP_LIMIT), now=now)
        nudge(session, [touch.id for touch in touches if touch.state is TouchState.RESERVED])
        for touch in touches:
            if touch.state in FINAL:
                progress.touch_settled(session, touch, now=now)
    with database.transaction() as session:
        for touch_id in gate.mark_unknown(session, older_than=_SILENCE, now=now):
            _log.warning("Touch %s fell silent while sending; it is unknown now.", touch_id)
            progress.touch_settled(session, session.get_one(Touch, touch_id), now=now)
    with database.transaction() as session:
        dead_letters.write_unknown(session, now=now)
    sweep_notices(database, now=now)


def nudge(session: Session, touch_ids: Sequence[int]) -> None:
    """Have reserved touches sent after the commit: a few by a job each, many by the lanes."""
    if len(touch_ids) <= LANES:
        for touch_id in touch_ids:
            after_commit(session, Job.DELIVER_TOUCH, touch_id)
        return
    for lane in range(min(LANES, 1 + len(touch_ids) // BATCH)):
        after_commit(session, Job.DELIVER_WAITING, 2 * lane)


def _send(database: Database, channels: Channels, batch: Sequence[Ready], clock: Clock) -> None:
    if not batch:
        return
    outcomes, fault = send_all(channels, batch)
    write_down(database, outcomes, clock=clock)
    if fault is not None:
        raise fault


def _fenced(session: Session, touch_ids: Sequence[int], now: datetime) -> list[Ready]:
    """The touches that may go out now, with their addresses; the others are taken care of."""
    if not touch_ids:
        return []
    since, passed = real(), []
    for fenced in gate.fence_many(session, touch_ids, now=now):
        if fenced.refusal is None:
            passed.append(fenced.touch)
        elif fenced.refusal is not gate.FenceRefusal.NOT_RESERVED and fenced.touch.state in FINAL:
            progress.touch_settled(session, fenced.touch, now=now)
    found = addresses_of(session, passed)
    lost = {touch.id: to.reason for touch in passed if isinstance(to := found[touch.id], NoAddress)}
    _give_up(session, lost, now)
    ready = [
        Ready(touch, to, since)
        for touch in passed
        if not isinstance(to := found[touch.id], NoAddress)
    ]
    return _without_paused(session, ready, now)


def _give_up(session: Session, reasons: dict[int, str], now: datetime) -> None:
    for touch_id, reason in reasons.items():
        touch = gate.settle(session, touch_id, TouchState.FAILED, failure=reason, now=now)
        progress.touch_settled(session, touch, now=now)
    mendable = {touch_id: why for touch_id, why in reasons.items() if why == "no_account"}
    letters.write(session, mendable, now=now)


def _without_paused(session: Session, batch: Sequence[Ready], now: datetime) -> list[Ready]:
    """Those whose platform works; the others wait for it, but for one that may try."""
    paused = circuits.pauses(session, {ready.way for ready in batch}, now=now)
    if not paused:
        return list(batch)
    going, words = [], []
    for ready in batch:
        pause = paused.get(ready.way)
        if pause is None or pause.may_try:
            going.append(ready)
            if pause is not None:
                paused[ready.way] = Pause(pause.reason, pause.retry_at)
        else:
            words.append(_waiting(ready.touch, pause, now))
    for touch in gate.settle_many(session, words, now=now) if words else ():
        touch.attempts -= 1
        if touch.state in FINAL:
            progress.touch_settled(session, touch, now=now)
            letters.write(session, {touch.id: touch.failure or ""}, now=now)
    return going


def _waiting(touch: Touch, pause: Pause, now: datetime) -> Word:
    seconds = (pause.retry_at - now).total_seconds()
    error = ChannelError(Cause(pause.reason, is_permanent=False, retry_after=int(seconds) + 1))
    retry_at = retry_time(touch, error, now)
    state = TouchState.FAILED if retry_at is None else TouchState.ASKED
    return Word(touch_id=touch.id, state=state, failure=pause.reason, retry_at=retry_at)
