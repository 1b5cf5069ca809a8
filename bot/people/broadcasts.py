"""Broadcasts that guides and the corp made by themselves: they use up the customer's patience too.

WeCom tells of them only when asked (wecom.md §5.3). Each that reached a member is written down as
a touch that happened, so that the gate counts it.
"""

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
from fatigue import gate
from fatigue.gate import Ask
from store.members import Identity, IdentityChannel
from store.organisation import Guide
from store.touches import Category, Channel, Touch, TouchState

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
    """First the list, then one broadcast after the other."""
    if "waiting" not in position:
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
    waiting: list[Any] = position["waiting"]
    if not waiting:
        return Bit(None)
    msgid, words, seconds = waiting[0]
    one = _Made(str(msgid), str(words), datetime.fromtimestamp(seconds, UTC))
    return Bit({"waiting": waiting[1:]}, {"touches": _take(trip, one)})


def _ours(session: Session, msgids: list[str]) -> set[str | None]:
    """Those that this house has asked for itself."""
    query = select(Touch.provider_id).where(
        col(Touch.provider_id).in_(msgids), Touch.channel == Channel.WECOM_BROADCAST
    )
    return set(session.exec(query).all())


def _take(trip: Trip, made: _Made) -> int:
    try:
        confirmed = [one.userid for one in api.shares(trip.api, made.msgid) if one.is_confirmed]
        sent = [one for userid in confirmed for one in api.results(trip.api, made.msgid, userid)]
    except ApiError as error:
        if error.code == api.TOO_EARLY:
            return 0
        raise
    reached = [one for one in sent if one.fate == Fate.SENT and one.external_userid]
    return sum(_write(trip, made, one) for one in reached)


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
        key = f"outside-{made.msgid}-{identity.id}"
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
