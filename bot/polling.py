"""Broadcasts that wait for their guides: asked after once for each guide's part (wecom.md §5.3)."""

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlmodel import Session, col, func, select

from bot.addresses import NoAddress, address_of
from bot.channels.base import ChannelError, Receipt
from bot.channels.wecom_broadcast import Result, WecomBroadcast
from bot.sending import Channels, Clock, Outcome, Ready
from bot.settling import write_down
from store.db import Database
from store.touches import Channel as ChannelName
from store.touches import Evidence, Touch, TouchState

_log = logging.getLogger(__name__)

# One round of polling must not keep deliveries waiting: at a tenth of a second each, half a minute.
_POLL_LIMIT = 300
# A guide who has not confirmed by then will not; in a month the customer's quota is a new one.
_POLL_SPAN = timedelta(days=31)
_WAITING = (TouchState.SENDING, TouchState.UNKNOWN)

# A guide's part of a broadcast, on an account.
_Part = tuple[int, str, str]


def poll_broadcasts(database: Database, channels: Channels, *, clock: Clock) -> int:
    """Ask after broadcasts that wait for their guides; gives how many touches came to an end."""
    channel = channels.get(ChannelName.WECOM_BROADCAST)
    if not isinstance(channel, WecomBroadcast):
        return 0
    with database.transaction() as session:
        waiting = [_waiting(session, touch) for touch in _pending(session, clock())]
    parts: dict[_Part, list[Ready]] = defaultdict(list)
    for ready in waiting:
        if ready is not None:
            parts[_part(ready)].append(ready)
    return sum(_poll(database, channel, part, clock) for part in parts.values())


def _part(ready: Ready) -> _Part:
    assert ready.touch.provider_id is not None
    return ready.to.account.id, ready.touch.provider_id, ready.to.address.sender


def _pending(session: Session, now: datetime) -> list[Touch]:
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


def _waiting(session: Session, touch: Touch) -> Ready | None:
    try:
        return Ready(touch, address_of(session, touch, is_past=True))
    except NoAddress:
        _log.warning("Touch %s waits for a contact that is no more.", touch.id)
        return None


def _poll(database: Database, channel: WecomBroadcast, part: Sequence[Ready], clock: Clock) -> int:
    _, msgid, sender = _part(part[0])
    try:
        results = channel.results(msgid, sender, part[0].to.account)
    except ChannelError as error:
        # Asking again does no harm, so whatever went wrong is left to the next poll.
        _log.info("Broadcast %s could not be polled: %s.", msgid, error.reason)
        return 0
    outcomes = list(_ended(part, results))
    if outcomes:
        # Not by the clock of the round's beginning: a guide may have confirmed since.
        write_down(database, outcomes, clock=clock, is_late=True)
    return len(outcomes)


def _ended(part: Sequence[Ready], results: Mapping[str, Result]) -> list[Outcome]:
    ended = []
    for ready in part:
        result = results.get(ready.to.address.outside_id)
        if result is None:
            continue
        if result.cause is None:
            receipt = Receipt(evidence=Evidence.PLATFORM, reached_at=result.sent_at)
            ended.append(Outcome(ready, receipt))
        else:
            ended.append(Outcome(ready, ChannelError(result.cause)))
    return ended
