"""Broadcasts that guides and the corp made by themselves: they use up the customer's patience too.

WeCom tells of them only when asked (wecom.md §5.3). Each that reached a member is written down as
a touch that happened, so that the gate counts it.
"""

from datetime import timedelta
from typing import Any

from sqlmodel import Session, col, select

from bot.calls import ApiError
from bot.people.bits import Bit, Position, Trip
from bot.wecom import broadcasts as api
from bot.wecom.broadcasts import Fate, Sent
from fatigue import gate
from fatigue.gate import Ask
from store.members import Identity, IdentityChannel
from store.organisation import Guide
from store.touches import Category, Channel, Touch

# A guide may confirm days after a broadcast was made.
_SPAN = timedelta(days=7)
_TEXT = 200


def bit(trip: Trip, position: Position) -> Bit:
    """First the list, then one broadcast after the other."""
    if "waiting" not in position:
        # WeCom's clock may be a little ahead of ours.
        until = trip.began_at + timedelta(minutes=1)
        made = list(api.between(trip.api, trip.began_at - _SPAN, until))
        with trip.database.transaction() as session:
            ours = _ours(session, [one.msgid for one in made])
        outside = [[one.msgid, one.text[:_TEXT]] for one in made if one.msgid not in ours]
        return Bit({"waiting": outside}, {"broadcasts": len(outside)})
    waiting: list[Any] = position["waiting"]
    if not waiting:
        return Bit(None)
    msgid, words = waiting[0]
    return Bit({"waiting": waiting[1:]}, {"touches": _take(trip, str(msgid), str(words))})


def _ours(session: Session, msgids: list[str]) -> set[str | None]:
    """Those that this house has asked for itself."""
    query = select(Touch.provider_id).where(
        col(Touch.provider_id).in_(msgids), Touch.channel == Channel.WECOM_BROADCAST
    )
    return set(session.exec(query).all())


def _take(trip: Trip, msgid: str, words: str) -> int:
    try:
        confirmed = [one.userid for one in api.shares(trip.api, msgid) if one.is_confirmed]
        sent = [one for userid in confirmed for one in api.results(trip.api, msgid, userid)]
    except ApiError as error:
        if error.code == api.TOO_EARLY:
            return 0
        raise
    reached = [one for one in sent if one.fate == Fate.SENT and one.external_userid]
    return sum(_write(trip, msgid, words, one) for one in reached)


def _write(trip: Trip, msgid: str, words: str, sent: Sent) -> bool:
    """One touch that happened without us; a repeat is the same touch."""
    with trip.database.transaction() as session:
        identity = session.exec(
            select(Identity).where(
                Identity.channel == IdentityChannel.WECOM,
                Identity.account == trip.account.app_id,
                Identity.outside_id == sent.external_userid,
            )
        ).one_or_none()
        guide = session.exec(select(Guide).where(Guide.userid == sent.userid)).one_or_none()
        if identity is None:
            return False
        wish = Ask(
            key=f"outside-{msgid}-{identity.id}",
            member_id=identity.member_id,
            channels=(Channel.WECOM_BROADCAST,),
            category=Category.MARKETING,
            brand_id=trip.account.brand_id,
            guide_id=guide.id if guide is not None else None,
            text=words,
        )
        is_known = session.exec(select(Touch.id).where(Touch.key == wish.key)).first()
        if is_known is not None:
            return False
        at = min(sent.at or trip.began_at, trip.clock())
        gate.record(session, wish, channel=Channel.WECOM_BROADCAST, sent_at=at, now=trip.clock())
        return True
