"""What a member may ask of us, in the chat and on a page: less, a pause, never, and all as before.

Every wish is written down with its source and the version of the text that was shown, and takes
effect at the next fence: what is reserved or deferred is looked at again there. A wish other than
`resume` only tightens, and `resume` gives back no more than the wishes took: the rules of the house
and of the platforms stand above it all the time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy.dialects.postgresql import distinct_on
from sqlmodel import Session, col, func, select

from store import consents, members
from store.consents import EVERYWHERE, Consent, Purpose, Wish, WishKind
from store.touches import CHOSEN, Channel

# Marks a consent that "less" took back, so that "resume" gives back no more than that.
LESS = "less"
# Of the words in the chat and on the page; a change of what they promise is a new version.
TEXT_VERSION = "preferences-1"
TO_MEMBERS = CHOSEN


class Mood(StrEnum):
    """How a channel stands for a member."""

    USUAL = "usual"
    LESS = "less"
    PAUSED = "paused"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Choice:
    """What a member chose for a channel, or for all where `channel` is none."""

    channel: Channel | None
    mood: Mood
    until: datetime | None = None


def stop(
    session: Session, member_id: int, *, reason: str, channel: Channel | None = None, now: datetime
) -> None:
    """Never again, on one channel or on all, until the member says otherwise."""
    place = channel or EVERYWHERE
    consents.stop(session, member_id, channel=place, reason=reason, now=now)
    _write(session, member_id, WishKind.NEVER, channel, source=reason, now=now)


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
    _write(session, member_id, WishKind.PAUSE, channel, source=reason, now=now, until=until)


def less(
    session: Session,
    member_id: int,
    *,
    source: str = "chat",
    channel: Channel | None = None,
    now: datetime,
) -> None:
    """No more marketing, on one channel or on all; care and the member's own business stay."""
    member = members.lock(session, member_id)
    stated = _newest_marketing(session, member.id)
    for place in [channel] if channel else list(stated):
        if _is_granted(stated, place):
            _state_marketing(session, member.id, place, is_granted=False, source=source, now=now)
    _write(session, member.id, WishKind.LESS, channel, source=source, now=now)


def resume(
    session: Session,
    member_id: int,
    *,
    source: str = "chat",
    channel: Channel | None = None,
    now: datetime,
) -> None:
    """As before, on one channel or on all: lift stops and give back the consents `less` took.

    What was asked for all channels stays when only one is resumed.
    """
    member = members.lock(session, member_id)
    # All together first: a no for all that stands keeps the no of each.
    for place in [channel] if channel else [EVERYWHERE, *Channel]:
        consents.lift(session, member.id, channel=place, now=now)
        stated = _newest_marketing(session, member.id)
        if not _was_taken(stated, place):
            continue
        refused = _refused_since(session, member.id, stated) if place == EVERYWHERE else []
        _state_marketing(session, member.id, place, is_granted=True, source=source, now=now)
        for no in refused:
            # A yes for all that is newer would speak for this channel, too.
            _state_again(session, no, now=now)
    _write(session, member.id, WishKind.RESUME, channel, source=source, now=now)


def choices(session: Session, member_id: int, now: datetime) -> list[Choice]:
    """What the member chose: for all channels first, then for each of them."""
    held = {stop.channel: stop.until for stop in consents.stops(session, member_id, now)}
    quieter = _quieter(session, member_id)
    return [_choice(channel, held, quieter) for channel in (None, *TO_MEMBERS)]


def _choice(
    channel: Channel | None, held: Mapping[str, datetime | None], quieter: set[str]
) -> Choice:
    place = channel or EVERYWHERE
    if place in held:
        until = held[place]
        return Choice(channel, Mood.NEVER if until is None else Mood.PAUSED, until)
    return Choice(channel, Mood.LESS if place in quieter else Mood.USUAL)


def _quieter(session: Session, member_id: int) -> set[str]:
    """The channels of which the member wanted less and has not said otherwise since."""
    query = (
        select(Wish.channel, Wish.kind)
        .where(Wish.member_id == member_id, col(Wish.kind).in_((WishKind.LESS, WishKind.RESUME)))
        .order_by(col(Wish.stated_at), col(Wish.id))
    )
    quieter: set[str] = set()
    for channel, kind in session.exec(query).all():
        if kind is WishKind.LESS:
            quieter.add(channel)
        else:
            quieter -= {channel} if channel else quieter.copy()
    return quieter


def _write(  # noqa: PLR0913 -- a statement is worth nothing without each of these facts
    session: Session,
    member_id: int,
    kind: WishKind,
    channel: Channel | None,
    *,
    source: str,
    now: datetime,
    until: datetime | None = None,
) -> None:
    member = members.lock(session, member_id)
    session.add(
        Wish(
            member_id=member.id,
            channel=channel or EVERYWHERE,
            kind=kind,
            until=until,
            text_version=TEXT_VERSION,
            source=source,
            stated_at=now,
        )
    )
    session.flush()


def _state_marketing(
    session: Session, member_id: int, place: str, *, is_granted: bool, source: str, now: datetime
) -> None:
    consents.state(
        session,
        member_id,
        place,
        Purpose.MARKETING,
        is_granted=is_granted,
        text_version=LESS,
        source=source,
        now=now,
    )


def _state_again(session: Session, consent: Consent, *, now: datetime) -> None:
    consents.state(
        session,
        consent.member_id,
        consent.channel,
        consent.purpose,
        is_granted=consent.is_granted,
        text_version=consent.text_version,
        source=consent.source,
        now=now,
    )


def _refused_since(
    session: Session, member_id: int, stated: Mapping[str, Consent]
) -> list[Consent]:
    """What the member refused for single channels since the yes for all that `less` took."""
    query = select(func.max(Consent.stated_at)).where(
        Consent.member_id == member_id,
        Consent.purpose == Purpose.MARKETING,
        Consent.channel == EVERYWHERE,
        col(Consent.is_granted),
    )
    yes_at = session.exec(query).one()
    return [
        own
        for place, own in stated.items()
        if place != EVERYWHERE and not own.is_granted and own.text_version != LESS
        if own.stated_at >= yes_at
    ]


def _newest_marketing(session: Session, member_id: int) -> dict[str, Consent]:
    """The newest statement about marketing of each channel, "" for all."""
    query = (
        select(Consent)
        .where(Consent.member_id == member_id, Consent.purpose == Purpose.MARKETING)
        .ext(distinct_on(col(Consent.channel)))
        .order_by(col(Consent.channel), col(Consent.stated_at).desc(), col(Consent.id).desc())
    )
    return {consent.channel: consent for consent in session.exec(query).all()}


def _is_granted(stated: Mapping[str, Consent], place: str) -> bool:
    """Whether the newest statement that counts for this place is a yes, as the gate reads it."""
    counting = [stated[name] for name in {EVERYWHERE, place} if name in stated]
    newest = max(counting, key=lambda found: (found.stated_at, not found.is_granted), default=None)
    return newest is not None and newest.is_granted


def _was_taken(stated: Mapping[str, Consent], place: str) -> bool:
    """Whether `less` took the consent of this place, and no later no for all stands above it."""
    own, for_all = stated.get(place), stated.get(EVERYWHERE)
    if own is None or own.is_granted or own.text_version != LESS:
        return False
    if place == EVERYWHERE or for_all is None or for_all.is_granted:
        return True
    return for_all.stated_at < own.stated_at
