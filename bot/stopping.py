"""Broadcasts that no guide confirmed in time: stopped at the platform before anyone else speaks.

The platform is told to stop, then asked once more: who confirmed in the last second has spoken, and
only a broadcast that surely did not go gives way to the next channel (wecom.md §5.3).
"""

import logging

from bot.addresses import NoAddress, address_of
from bot.channels.base import ChannelError, Receipt
from bot.channels.wecom_broadcast import WecomBroadcast
from bot.sending import Channels, Clock, Outcome, Ready
from bot.settling import write_down
from guide_tasks import stopping
from store.db import Database
from store.touches import Channel as ChannelName
from store.touches import Evidence

_log = logging.getLogger(__name__)


def stop_overdue(database: Database, channels: Channels, *, clock: Clock) -> int:
    """Stop what is past its deadline, give it up once its grace is over; gives how many ended."""
    channel = channels.get(ChannelName.WECOM_BROADCAST)
    if not isinstance(channel, WecomBroadcast):
        return 0
    with database.transaction() as session:
        late = []
        for touch in stopping.overdue(session, now=clock()):
            try:
                late.append(Ready(touch, address_of(session, touch, is_past=True)))
            except NoAddress:
                _log.warning("Touch %s waits for a contact that is no more.", touch.id)
    return sum(_end(database, channel, ready, clock) for ready in late)


def _end(database: Database, channel: WecomBroadcast, ready: Ready, clock: Clock) -> bool:
    """Whether the broadcast came to an end."""
    try:
        if ready.touch.retry_at is None:
            return _stop(database, channel, ready, clock)
        if stopping.is_waiting(ready.touch, now=clock()):
            return False
        return _last_word(database, channel, ready, clock)
    except ChannelError as error:
        # To ask again does no harm, so whatever went wrong is left to the next round.
        _log.info("Touch %s could not be stopped: %s.", ready.touch.id, error.reason)
        if error.permanent and ready.touch.retry_at is not None:
            with database.transaction() as session:
                stopping.leave_to_a_person(session, ready.touch.id, now=clock())
        return False


def _stop(database: Database, channel: WecomBroadcast, ready: Ready, clock: Clock) -> bool:
    assert ready.touch.provider_id is not None
    channel.stop(ready.touch.provider_id, ready.to.account)
    with database.transaction() as session:
        stopping.stopped(session, ready.touch.id, now=clock())
    return False


def _last_word(database: Database, channel: WecomBroadcast, ready: Ready, clock: Clock) -> bool:
    assert ready.touch.provider_id is not None
    address = ready.to.address
    found = channel.results(ready.touch.provider_id, address.sender, ready.to.account)
    result = found.get(address.outside_id)
    if result is None:
        with database.transaction() as session:
            stopping.give_up(session, ready.touch.id, now=clock())
        return True
    if result.cause is None:
        word: Receipt | ChannelError = Receipt(
            evidence=Evidence.PLATFORM, reached_at=result.sent_at
        )
    else:
        word = ChannelError(result.cause)
    write_down(database, [Outcome(ready, word)], clock=clock, is_late=True)
    return True
