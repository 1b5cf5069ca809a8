"""Unknown touches: asked after where a platform can be asked (design.md §9).

A provider that drops repeats is asked by repeating: it either says what it said before, or sends
what never came to it, which is looked at by the gate first. A broadcast whose answer was lost is
looked for in the platform's list. What nobody can say waits for a person (`bot/dead_letters.py`).
"""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import false, update
from sqlmodel import Session, col, func, or_, select
from sqlmodel.sql.expression import SelectOfScalar

from bot.addresses import NoAddress, address_of
from bot.channels.base import ChannelError
from bot.channels.wecom_broadcast import WecomBroadcast
from bot.sending import Channels, Clock, Ready, send_all
from bot.settling import write_down
from fatigue import gate
from store.db import Database
from store.touches import Channel as ChannelName
from store.touches import Touch, TouchState

_log = logging.getLogger(__name__)

# Few at a time and by chance: a platform that loses answers is not to be pressed.
_AT_ONCE = 10
# The answer may still be on its way, and the platform forgets a little early.
_EARLY, _LATE = timedelta(seconds=20), timedelta(minutes=1)
# A broadcast that was lost is looked for at once and for so long again and again; once in any case.
_LOOKED_FOR = timedelta(hours=2)
_NEXT_LOOK = timedelta(minutes=10)


def reconcile(database: Database, channels: Channels, *, clock: Clock) -> None:
    """Ask after some of the unknown touches."""
    _repeat(database, channels, clock)
    broadcast = channels.get(ChannelName.WECOM_BROADCAST)
    if isinstance(broadcast, WecomBroadcast):
        _look_for(database, broadcast, clock())


def _repeat(database: Database, channels: Channels, clock: Clock) -> None:
    now = clock()
    with database.transaction() as session:
        batch = [
            ready
            for touch in _repeatable(session, channels, now)
            if gate.fence_again(session, touch.id, now=now) and (ready := _ready(session, touch))
        ]
    if not batch:
        return
    outcomes, fault = send_all(channels, batch)
    # Who could not be asked is as unknown as before.
    told = [one for one in outcomes if not isinstance(one.found, ChannelError)]
    write_down(database, told, clock=clock, is_late=True)
    if fault is not None:
        raise fault


def _repeatable(session: Session, channels: Channels, now: datetime) -> Sequence[Touch]:
    spans = {
        name: channel.powers.same_for
        for name, channel in channels.items()
        if channel.powers.same_for and name is not ChannelName.WECOM_APP
    }
    if not spans:
        return []
    fresh = [
        (col(Touch.channel) == name) & (col(Touch.fenced_at) > now - span + _LATE)
        for name, span in spans.items()
    ]
    query = (
        select(Touch)
        .where(Touch.state == TouchState.UNKNOWN, col(Touch.fenced_at) <= now - _EARLY, or_(*fresh))
        .order_by(func.random())
        .limit(_AT_ONCE)
    )
    return session.exec(query).all()


def _look_for(database: Database, channel: WecomBroadcast, now: datetime) -> None:
    with database.transaction() as session:
        touches = _lost(session, now)
        known = {msgid for msgid in session.exec(_owned(touches)).all() if msgid}
        lost = [(touch, _ready(session, touch)) for touch in touches]
    for touch, ready in lost:
        try:
            msgid = _found(channel, ready, known) if ready is not None else None
        except ChannelError as error:
            _log.info("Touch %s could not be looked for: %s.", touch.id, error.reason)
            continue
        with database.transaction() as session:
            _note(session, touch.id, msgid, now)


def _found(channel: WecomBroadcast, ready: Ready, known: set[str]) -> str | None:
    touch = ready.touch
    assert touch.fenced_at is not None
    msgid = channel.find(
        touch.text, ready.to.address, ready.to.account, made_at=touch.fenced_at, known=known
    )
    known |= {msgid} if msgid is not None else set()
    return msgid


def _note(session: Session, touch_id: int, msgid: str | None, now: datetime) -> None:
    """Keep the id that was found, or when to look again: by then it was looked for once."""
    if msgid is not None:
        gate.settle(session, touch_id, TouchState.UNKNOWN, provider_id=msgid, now=now)
    lost = (col(Touch.id) == touch_id) & (col(Touch.state) == TouchState.UNKNOWN)
    next_at = now + _NEXT_LOOK if msgid is None else None
    session.exec(update(Touch).where(lost).values(retry_at=next_at))


def _lost(session: Session, now: datetime) -> Sequence[Touch]:
    query = (
        select(Touch)
        .where(
            Touch.channel == ChannelName.WECOM_BROADCAST,
            Touch.state == TouchState.UNKNOWN,
            col(Touch.provider_id).is_(None),
            col(Touch.fenced_at) <= now - _EARLY,
            or_(
                col(Touch.retry_at).is_(None),
                (col(Touch.retry_at) <= now) & (col(Touch.fenced_at) > now - _LOOKED_FOR),
            ),
        )
        .order_by(func.random())
        .limit(_AT_ONCE)
    )
    return session.exec(query).all()


def _owned(lost: Sequence[Touch]) -> SelectOfScalar[Any]:
    """Ids that are known, of broadcasts that were made when these were, or later."""
    first = min((touch.fenced_at for touch in lost if touch.fenced_at is not None), default=None)
    return select(Touch.provider_id).where(
        Touch.channel == ChannelName.WECOM_BROADCAST,
        col(Touch.provider_id).is_not(None),
        col(Touch.fenced_at) > first - _LOOKED_FOR if first is not None else false(),
    )


def _ready(session: Session, touch: Touch) -> Ready | None:
    try:
        return Ready(touch, address_of(session, touch, is_past=True))
    except NoAddress:
        return None
