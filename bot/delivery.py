"""Delivery of touches (design.md §9): fence, send outside any transaction, settle.

T1 is done by whoever asked the gate. T2 takes the touch past the fence and commits; then the one
call is made; T3 writes what came of it. A crash in between leaves the touch `sending`, and the
sweep makes it `unknown`: it is never sent again without a person's word.
"""

import logging
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import Session, col, func, select

from bot.addresses import Addressed, NoAddress, address_of, close_address
from bot.channels.base import Channel, ChannelError, Outgoing, Receipt
from bot.channels.wecom_broadcast import WecomBroadcast
from bot.notifying import send_notice, sweep_notices
from fatigue import gate
from guide_tasks import progress
from store.db import Database
from store.jobs import Job, after_commit
from store.touches import FINAL, Evidence, Touch, TouchState
from store.touches import Channel as ChannelName

__all__ = ["Channels", "deliver", "poll_broadcasts", "send_notice", "sweep"]

_log = logging.getLogger(__name__)

Channels = Mapping[ChannelName, Channel]
Clock = Callable[[], datetime]

# A worker that has not settled by then is gone: the longest call ends within half a minute.
_SILENCE = timedelta(minutes=5)
# What the platform could not take for a day is told to a person rather than tried for ever.
_PATIENCE = timedelta(days=1)
# Spreads what failed together, so that it does not come back together.
_JITTER_SECONDS = 10
_SWEEP_LIMIT = 500
# One round of polling must not keep deliveries waiting: at a tenth of a second each, half a minute.
_POLL_LIMIT = 300
# A guide who has not confirmed by then will not; in a month the customer's quota is a new one.
_POLL_SPAN = timedelta(days=31)
_WAITING = (TouchState.SENDING, TouchState.UNKNOWN)


@dataclass(frozen=True)
class _Ready:
    """A touch past the fence, with all that the call needs."""

    touch: Touch
    to: Addressed


def deliver(database: Database, channels: Channels, touch_id: int, *, clock: Clock) -> None:
    """Send one reserved touch; a second worker with the same touch does nothing."""
    with database.transaction() as session:
        ready = _fenced(session, touch_id, clock())
    if ready is None:
        return
    touch = ready.touch
    out = Outgoing(touch.key, touch.text, touch.payload)
    try:
        receipt = channels[touch.channel].send(out, ready.to.address, ready.to.account)
    except ChannelError as error:
        with database.transaction() as session:
            _write_failure(session, touch, error, clock())
        return
    with database.transaction() as session:
        _write_receipt(session, touch, receipt, clock())


def poll_broadcasts(database: Database, channels: Channels, *, now: datetime) -> int:
    """Ask after broadcasts that wait for their guides; gives how many came to an end."""
    channel = channels.get(ChannelName.WECOM_BROADCAST)
    if not isinstance(channel, WecomBroadcast):
        return 0
    with database.transaction() as session:
        waiting = [_waiting(session, touch) for touch in _pending_broadcasts(session, now)]
    return sum(_poll(database, channel, ready, now) for ready in waiting if ready is not None)


def sweep(database: Database, *, now: datetime) -> None:
    """Take up what was left lying: lapsed leases, due deferrals, senders that fell silent."""
    with database.transaction() as session:
        gate.free_leases(session, now)
    with database.transaction() as session:
        for touch in gate.ask_again(session, gate.due(session, now, _SWEEP_LIMIT), now=now):
            _take_up(session, touch, now)
    with database.transaction() as session:
        for touch_id in gate.mark_unknown(session, older_than=_SILENCE, now=now):
            _log.warning("Touch %s fell silent while sending; it is unknown now.", touch_id)
            progress.touch_settled(session, session.get_one(Touch, touch_id), now=now)
    sweep_notices(database, now=now)


def _fenced(session: Session, touch_id: int, now: datetime) -> _Ready | None:
    fenced = gate.fence(session, touch_id, now=now)
    touch = fenced.touch
    if fenced.refusal is not None:
        if fenced.refusal is not gate.FenceRefusal.NOT_RESERVED and touch.state in FINAL:
            progress.touch_settled(session, touch, now=now)
        return None
    try:
        return _Ready(touch, address_of(session, touch))
    except NoAddress as error:
        gate.settle(session, touch.id, TouchState.FAILED, failure=error.reason, now=now)
        progress.touch_settled(session, touch, now=now)
        return None


def _write_receipt(session: Session, touch: Touch, receipt: Receipt, now: datetime) -> None:
    state = TouchState.SENT if receipt.is_final else TouchState.SENDING
    settled = gate.settle(
        session,
        touch.id,
        state,
        provider_id=receipt.provider_id,
        evidence=receipt.evidence,
        now=now,
    )
    if receipt.is_final:
        progress.touch_settled(session, settled, now=now)


def _write_failure(session: Session, touch: Touch, error: ChannelError, now: datetime) -> None:
    if error.is_unsure:
        state = TouchState.UNKNOWN
    elif not error.permanent and _put_back(session, touch, error, now):
        return
    else:
        state = TouchState.FAILED
    settled = gate.settle(session, touch.id, state, failure=error.reason, now=now)
    if error.is_gone:
        close_address(session, settled, now=now)
    progress.touch_settled(session, settled, now=now)


def _put_back(session: Session, touch: Touch, error: ChannelError, now: datetime) -> bool:
    """Nothing went out: try later, unless it would be too late then."""
    wait = (error.retry_after or 0) + secrets.randbelow(_JITTER_SECONDS)
    retry_at = now + timedelta(seconds=wait)
    ends = touch.asked_at + _PATIENCE
    if retry_at >= (min(ends, touch.deadline_at) if touch.deadline_at else ends):
        return False
    gate.put_back(session, touch.id, retry_at=retry_at, failure=error.reason, now=now)
    return True


def _take_up(session: Session, touch: Touch, now: datetime) -> None:
    if touch.state is TouchState.RESERVED:
        after_commit(session, Job.DELIVER_TOUCH, touch.id)
    elif touch.state in FINAL:
        progress.touch_settled(session, touch, now=now)


def _pending_broadcasts(session: Session, now: datetime) -> list[Touch]:
    """Some of those that wait; chance chooses, so that old ones cannot stand before the new."""
    query = (
        select(Touch)
        .where(
            Touch.channel == ChannelName.WECOM_BROADCAST,
            col(Touch.state).in_(_WAITING),
            col(Touch.provider_id).is_not(None),
            col(Touch.fenced_at) > now - _POLL_SPAN,
        )
        .order_by(func.random())
        .limit(_POLL_LIMIT)
    )
    return list(session.exec(query).all())


def _waiting(session: Session, touch: Touch) -> _Ready | None:
    try:
        return _Ready(touch, address_of(session, touch, is_past=True))
    except NoAddress:
        _log.warning("Touch %s waits for a contact that is no more.", touch.id)
        return None


def _poll(database: Database, channel: WecomBroadcast, ready: _Ready, now: datetime) -> bool:
    touch = ready.touch
    assert touch.provider_id is not None
    try:
        outcome = channel.poll(touch.provider_id, ready.to.address, ready.to.account)
    except ChannelError as error:
        # Asking again does no harm, so whatever went wrong is left to the next poll.
        _log.info("Touch %s could not be polled: %s.", touch.id, error.reason)
        return False
    if outcome is None:
        return False
    with database.transaction() as session:
        if outcome.cause is None:
            _write_receipt(session, touch, Receipt(evidence=Evidence.PLATFORM), now)
        else:
            _write_failure(session, touch, ChannelError(outcome.cause), now)
    return True
