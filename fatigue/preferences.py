"""What a member may ask of us, in the chat and on a page: stop, pause, less, and all as before.

Every wish takes effect at the next fence: what is reserved or deferred is looked at again there.
"""

from datetime import datetime

from sqlalchemy.dialects.postgresql import distinct_on
from sqlmodel import Session, col, select

from store import consents, members
from store.consents import EVERYWHERE, Consent, Purpose
from store.touches import Channel

# Marks a consent that "less" took back, so that "resume" gives back no more than that.
LESS = "less"


def stop(
    session: Session, member_id: int, *, reason: str, channel: Channel | None = None, now: datetime
) -> None:
    """Never again, on one channel or on all, until the member says otherwise."""
    consents.stop(session, member_id, channel=channel or EVERYWHERE, reason=reason, now=now)


def pause(
    session: Session,
    member_id: int,
    *,
    until: datetime,
    reason: str,
    channel: Channel | None = None,
    now: datetime,
) -> None:
    """Silence until an instant, on one channel or on all; a longer silence that holds is kept."""
    place = channel or EVERYWHERE
    consents.stop(session, member_id, channel=place, reason=reason, until=until, now=now)


def less(session: Session, member_id: int, *, source: str = "chat", now: datetime) -> None:
    """No more marketing on any channel; care and what the member's own business needs stay."""
    member = members.lock(session, member_id)
    for consent in _newest_marketing(session, member.id):
        if consent.is_granted:
            _state_marketing(session, consent, is_granted=False, source=source, now=now)


def resume(session: Session, member_id: int, *, source: str = "chat", now: datetime) -> None:
    """As before: lift every stop and pause, and give back the consents that `less` took."""
    member = members.lock(session, member_id)
    for channel in (EVERYWHERE, *Channel):
        consents.lift(session, member.id, channel=channel, now=now)
    for consent in _newest_marketing(session, member.id):
        if not consent.is_granted and consent.text_version == LESS:
            _state_marketing(session, consent, is_granted=True, source=source, now=now)


def _state_marketing(
    session: Session, consent: Consent, *, is_granted: bool, source: str, now: datetime
) -> None:
    consents.state(
        session,
        consent.member_id,
        consent.channel,
        Purpose.MARKETING,
        is_granted=is_granted,
        text_version=LESS,
        source=source,
        now=now,
    )


def _newest_marketing(session: Session, member_id: int) -> list[Consent]:
    query = (
        select(Consent)
        .where(Consent.member_id == member_id, Consent.purpose == Purpose.MARKETING)
        .ext(distinct_on(col(Consent.channel)))
        .order_by(col(Consent.channel), col(Consent.stated_at).desc(), col(Consent.id).desc())
    )
    return list(session.exec(query).all())
