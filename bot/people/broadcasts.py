"""Broadcasts that guides and the corp made by themselves: they use up the customer's patience too.

WeCom tells of them only when asked (wecom.md §5.3). Each that reached a member is written down as
a touch that happened, so that the gate counts it.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import and_, func, or_
from sqlmodel import Session, col, select

from bot.calls import ApiError
from bot.channels.wecom_broadcast import AROUND
from bot.people.bits import Bit, Position, Trip
from bot.wecom import broadcasts as api
from bot.wecom.broadcasts import Fate, Sent
from bot.wecom.directory import UNSEEN
from fatigue import gate
from fatigue.gate import Ask
from store.members import Identity, IdentityChannel
from store.organisation import Guide
from store.touches import Category, Channel, Touch, TouchState

_log = logging.getLogger(__name__)

# Not handed out yet, of another app, of a guide whom the app does not see or who may have no
# customers, and a cursor of another day (wecom.md §2.3): the next run looks again.
_PASSED_OVER = UNSEEN | {api.TOO_EARLY, api.NOT_OURS, 84074, 40098, 41054, 40058}
# A guide may confirm days after a broadcast was made.
_SPAN = timedelta(days=7)
_TEXT = 200
# What went out, or may have.
_UNDER_WAY = (TouchState.SENDING, TouchState.UNKNOWN, TouchState.SENT)


@dataclass(frozen=True)
class _Made:
    """A broadcast that this house may not have made."""

    msgid: str
    words: str
    at: datetime


def bit(trip: Trip, position: Position) -> Bit:
    """First the list; of each broadcast who has confirmed; of each guide the customers by page."""
    if "waiting" not in position:
        return _list(trip)
    waiting: list[Any] = position["waiting"]
    if not waiting:
        return Bit(None)
    msgid, words, seconds = waiting[0]
    made = _Made(str(msgid), str(words), datetime.fromtimestamp(seconds, UTC))
    try:
        if "guides" not in position:
            return Bit({"waiting": waiting, "guides": _confirmed(trip, made)})
        return _next_page(trip, made, position)
    except ApiError as error:
        if error.code not in _PASSED_OVER:
            raise
        # One that cannot be read must not keep all others from being counted.
        _log.info("A part of broadcast %s is passed over: errcode %s.", msgid, error.code)
        return Bit(_after(position), {"passed_over": 1})


def _list(trip: Trip) -> Bit:
    # WeCom's clock may be a little ahead of ours.
    until = trip.began_at + timedelta(minutes=1)
    made = list(api.between(trip.api, trip.began_at - _SPAN, until))
    with trip.database.transaction() as session:
        ours = _ours(session, [one.msgid for one in made])
    outside = [
        [one.msgid, one.text[:_TEXT], int(one.created_at.timestamp())]
        for one in made
        if one.msgid not in ours
    ]
    return Bit({"waiting": outside}, {"broadcasts": len(outside)})


def _confirmed(trip: Trip, made: _Made) -> list[str]:
    return [one.userid for one in api.shares(trip.api, made.msgid) if one.is_confirmed]


def _next_page(trip: Trip, made: _Made, position: Position) -> Bit:
    if not position["guides"]:
        return Bit(_after(position))
    cursor = str(position.get("cursor", ""))
    page = api.results_from(trip.api, made.msgid, position["guides"][0], cursor)
    counts = {"touches": _take(trip, made, page.sent)}
    if page.cursor:
        return Bit({**position, "cursor": page.cursor}, counts)
    return Bit(_after(position), counts)


def _after(position: Position) -> Position:
    """Where the next guide of the same broadcast begins, or else the next broadcast."""
    waiting, guides = position["waiting"], position.get("guides", [])[1:]
    return {"waiting": waiting, "guides": guides} if guides else {"waiting": waiting[1:]}


def _ours(session: Session, msgids: list[str]) -> set[str | None]:
    """Those that this house has asked for itself."""
    query = select(Touch.provider_id).where(
        col(Touch.provider_id).in_(msgids), Touch.channel == Channel.WECOM_BROADCAST
    )
    return set(session.exec(query).all())


def _take(trip: Trip, made: _Made, sent: Sequence[Sent]) -> int:
    reached = [one for one in sent if one.fate == Fate.SENT and one.external_userid]
    with trip.database.transaction() as session:
        fresh = _fresh(session, trip, made, [one.external_userid for one in reached])
    return sum(_write(trip, made, one) for one in reached if one.external_userid in fresh)


def _fresh(session: Session, trip: Trip, made: _Made, outside_ids: Sequence[str]) -> set[str]:
    """Those of a page who are known here and have no touch of this broadcast so far."""
    query = select(Identity.id, Identity.outside_id).where(
        Identity.channel == IdentityChannel.WECOM,
        Identity.account == trip.account.app_id,
        col(Identity.outside_id).in_(outside_ids),
    )
    known = {_key(made, one): outside_id for one, outside_id in session.exec(query)}
    written = session.exec(select(Touch.key).where(col(Touch.key).in_(known))).all()
    return {known[key] for key in known.keys() - set(written)}


def _key(made: _Made, identity_id: int) -> str:
    return f"outside-{made.msgid}-{identity_id}"


def _write(trip: Trip, made: _Made, sent: Sent) -> bool:
    """One touch that happened without us; a repeat is the same touch."""
    with trip.database.transaction() as session:
        identity = session.exec(
            select(Identity).where(
                Identity.channel == IdentityChannel.WECOM,
                Identity.account == trip.account.app_id,
                Identity.outside_id == sent.external_userid,
            )
        ).one_or_none()
        if identity is None:
            return False
        key = _key(made, identity.id)
        if _is_known(session, key, made, identity.member_id):
            return False
        guide = session.exec(select(Guide).where(Guide.userid == sent.userid)).one_or_none()
        wish = Ask(
            key=key,
            member_id=identity.member_id,
            channels=(Channel.WECOM_BROADCAST,),
            category=Category.MARKETING,
            brand_id=trip.account.brand_id,
            guide_id=guide.id if guide is not None else None,
            text=made.words,
        )
        at = min(sent.at or trip.began_at, trip.clock())
        gate.record(session, wish, channel=Channel.WECOM_BROADCAST, sent_at=at, now=trip.clock())
        return True


def _is_known(session: Session, key: str, made: _Made, member_id: int) -> bool:
    """Whether the touch is on record: as such, or as ours. What we made and were never answered for
    has no id yet; it is told by its words and its time.
    """
    unanswered = and_(
        col(Touch.provider_id).is_(None),
        col(Touch.state).in_(_UNDER_WAY),
        func.left(Touch.text, _TEXT) == made.words,
        col(Touch.fenced_at).between(made.at - AROUND, made.at + AROUND),
    )
    ours = and_(
        col(Touch.member_id) == member_id,
        col(Touch.channel) == Channel.WECOM_BROADCAST,
        or_(col(Touch.provider_id) == made.msgid, unanswered),
    )
    query = select(Touch.id).where(or_(col(Touch.key) == key, ours))
    return session.exec(query.limit(1)).first() is not None
