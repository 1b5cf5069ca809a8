"""Less, a pause, never, as before: the member says so and is obeyed at once (compliance.md §3.5).

What acts is said in plain words or tapped; a wish that was only guessed gets the page or a choice.
"""

from datetime import datetime, timedelta

from sqlmodel import Session

from bot.dialogue import number_of
from bot.messages import Answer, Card, Choices, Reply, Turn
from bot.router import Filter
from content import talk_words, wishes
from content.messages import MessageKind, render
from content.wishes import Asked
from fatigue import preferences
from fatigue.preferences import Mood
from store import coupons, inbound
from store.consents import WishKind
from store.touches import Channel

PAUSE = "pause:"
_SOURCE = "chat"


def _asks(*kinds: WishKind) -> Filter:
    def is_asked(turn: Turn) -> bool:
        asked = wishes.read(turn.words)
        return asked is not None and asked.kind in kinds

    return Filter(is_asked)


# A clear no counts at every step of every talk.
SAYS_NEVER = _asks(WishKind.NEVER)
SAYS_WISH = _asks(WishKind.LESS, WishKind.PAUSE, WishKind.RESUME)


def stop(turn: Turn, session: Session, now: datetime) -> Answer:
    """No more marketing or care on any channel."""
    preferences.stop(session, turn.member_id, reason=_SOURCE, now=now)
    return Reply(render(MessageKind.STOPPED))


def cancel(turn: Turn, session: Session, now: datetime) -> Answer:
    """A word that stops all, unless a question of ours is still open: then it says no to that.

    While a coupon waits for a friend it may mean the gift, so it is asked which.
    """
    if inbound.is_left_open(session, turn.identity_id, turn.member_id, now=now):
        inbound.end_talk(session, turn.identity_id)
        return Reply(talk_words.LEFT_OPEN)
    if coupons.on_the_way(session, turn.member_id, now):
        return Reply(talk_words.GIFT_LEFT_OPEN)
    return stop(turn, session, now)


def resume(turn: Turn, session: Session, now: datetime) -> Answer:
    """The member takes every wish for less back."""
    preferences.resume(session, turn.member_id, source=_SOURCE, now=now)
    return Reply(render(MessageKind.RESUMED))


def grant(turn: Turn, session: Session, now: datetime) -> Answer:
    """Do what the words ask for, on the channels that they name."""
    asked = wishes.read(turn.words)
    assert asked is not None
    if not asked.channels and asked.kind is WishKind.NEVER:
        return stop(turn, session, now)
    if not asked.channels and asked.kind is WishKind.RESUME:
        return resume(turn, session, now)
    until = asked.span.after(turn.local(now)) if asked.span else None
    for channel in asked.channels or (None,):
        _grant(session, turn.member_id, asked.kind, channel, until=until, now=now)
    return _changed(turn, session, asked, now)


def pause(turn: Turn, session: Session, now: datetime) -> Answer:
    """A length was tapped."""
    days = number_of(turn, PAUSE)
    if days not in talk_words.PAUSE_LABELS:
        return offer_pause(turn, session, now)
    until = now + timedelta(days=days)
    _grant(session, turn.member_id, WishKind.PAUSE, None, until=until, now=now)
    return _changed(turn, session, Asked(WishKind.PAUSE), now)


def offer_pause(_turn: Turn, _session: Session, _now: datetime) -> Answer:
    """Ask for how long."""
    items = tuple((f"{PAUSE}{days}", label) for days, label in talk_words.PAUSE_LABELS.items())
    return Choices(talk_words.PAUSE_HEAD, items)


def show(turn: Turn, _session: Session, _now: datetime) -> Answer:
    """The page where each channel is set."""
    url = turn.page("preferences")
    return Card(talk_words.PREFERENCES_TITLE, talk_words.PREFERENCES_CARD, url)


def _grant(
    session: Session,
    member_id: int,
    kind: WishKind,
    channel: Channel | None,
    *,
    until: datetime | None,
    now: datetime,
) -> None:
    match kind:
        case WishKind.LESS:
            preferences.less(session, member_id, source=_SOURCE, channel=channel, now=now)
        case WishKind.PAUSE:
            assert until is not None
            preferences.pause(
                session, member_id, until=until, reason=_SOURCE, channel=channel, now=now
            )
        case WishKind.NEVER:
            preferences.stop(session, member_id, reason=_SOURCE, channel=channel, now=now)
        case WishKind.RESUME:
            preferences.resume(session, member_id, source=_SOURCE, channel=channel, now=now)


def _changed(turn: Turn, session: Session, asked: Asked, now: datetime) -> Reply:
    """How it stands now: a shorter or milder wish leaves a stricter one that holds."""
    choices = preferences.choices(session, turn.member_id, now)
    held = [one for one in choices if one.channel in {None, *asked.channels}]
    never = next((one for one in held if one.mood is Mood.NEVER), None)
    if asked.kind is WishKind.PAUSE and never is not None:
        where = (never.channel,) if never.channel else ()
        url = turn.page("preferences")
        return Reply(render(MessageKind.STILL_STOPPED, channels=wishes.labels(where), url=url))
    ends = [turn.local(one.until) for one in held if one.until is not None]
    return Reply(
        render(
            MessageKind.PREFERENCES_CHANGED,
            what=asked.kind,
            channels=wishes.labels(asked.channels),
            until=max(ends, default=None),
            url=turn.page("preferences"),
        )
    )
