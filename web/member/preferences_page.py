"""How much a member wants to hear, channel by channel: less, a pause, never, and as before."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Annotated

from fastapi import APIRouter, Form, Response
from fastapi.responses import RedirectResponse

from content.wishes import CHANNEL_LABELS
from fatigue import preferences
from fatigue.preferences import Choice, Mood
from store import consents
from store.consents import Wish, WishKind
from store.errors import Refusal
from store.touches import Channel
from web.entry import DoorRoute
from web.member.entry import Visit, VisitDep
from web.origin import OwnPostsOnly
from web.pages import page

router = APIRouter(prefix="/m/preferences", route_class=DoorRoute, dependencies=[OwnPostsOnly])

_SOURCE = "page"
_LATEST = 5
# Longer pauses are better said as "never", which is taken back as easily.
_LONGEST_PAUSE = timedelta(days=366)
# From a loose mood to a strict one: the page offers only what is stricter than what holds.
_STRICTNESS = (Mood.USUAL, Mood.LESS, Mood.PAUSED, Mood.NEVER)


class BadPause(Refusal):
    """A pause ends on a day after today, within a year."""

    def __init__(self) -> None:
        super().__init__("A pause ends on a day after today, within a year.")


@dataclass(frozen=True, slots=True)
class ChannelView:
    """One channel (all of them where `name` is empty), how it stands and what may be chosen."""

    name: str
    label: str
    mood: Mood
    until: datetime | None
    may: Sequence[WishKind]


@dataclass(frozen=True, slots=True)
class PreferencesView:
    """The page: all channels together, each of them, and what was asked for lately."""

    everything: ChannelView
    channels: Sequence[ChannelView]
    wishes: Sequence[Wish]


@router.get("")
def show(visit: VisitDep, *, saved: bool = False) -> Response:
    """How every channel stands."""
    return _page(visit, is_saved=saved)


@router.post("")
def change(
    visit: VisitDep,
    wish: Annotated[WishKind, Form()],
    channel: Annotated[Channel | None, Form()] = None,
    until: Annotated[str, Form(max_length=10)] = "",
) -> Response:
    """Do what was asked for, on one channel or on all."""
    try:
        _do(visit, wish, channel, until)
    except BadPause as refusal:
        return _page(visit, refusal)
    return RedirectResponse("/m/preferences?saved=true", status_code=303)


@router.get("/{anything:path}")
def back(anything: str) -> Response:
    """A post that had to log in first comes back as a read."""
    del anything
    return RedirectResponse("/m/preferences", status_code=303)


def _do(visit: Visit, wish: WishKind, channel: Channel | None, until: str) -> None:
    session, person, now = visit.session, visit.someone(), visit.now
    match wish:
        case WishKind.LESS:
            preferences.less(session, person.id, source=_SOURCE, channel=channel, now=now)
        case WishKind.PAUSE:
            end = _end_of_pause(visit, until)
            preferences.pause(
                session, person.id, until=end, reason=_SOURCE, channel=channel, now=now
            )
        case WishKind.NEVER:
            preferences.stop(session, person.id, reason=_SOURCE, channel=channel, now=now)
        case WishKind.RESUME:
            preferences.resume(session, person.id, source=_SOURCE, channel=channel, now=now)


def _end_of_pause(visit: Visit, until: str) -> datetime:
    try:
        day = datetime.strptime(until, "%Y-%m-%d").date()  # noqa: DTZ007 -- a day, made local below
    except ValueError:
        raise BadPause from None
    end = datetime.combine(day, time(), visit.zone)
    if not visit.now < end <= visit.now + _LONGEST_PAUSE:
        raise BadPause
    return end


def _page(visit: Visit, refusal: Refusal | None = None, *, is_saved: bool = False) -> Response:
    person = visit.someone()
    today = visit.now.astimezone(visit.zone).date()
    return page(
        visit.request,
        "member/preferences.html",
        status_code=422 if refusal else 200,
        view=_view(visit, person.id),
        tomorrow=today + timedelta(days=1),
        in_a_month=today + timedelta(days=30),
        last=today + _LONGEST_PAUSE,
        is_bad=refusal is not None,
        is_saved=is_saved,
    )


def _view(visit: Visit, member_id: int) -> PreferencesView:
    chosen = preferences.choices(visit.session, member_id, visit.now)
    everything, *each = chosen
    wishes = consents.wishes(visit.session, member_id, limit=_LATEST)
    return PreferencesView(
        _channel(everything), [_channel(choice, everything) for choice in each], wishes
    )


def _channel(choice: Choice, everything: Choice | None = None) -> ChannelView:
    """One channel: what holds for all of them holds for it too, and is changed there."""
    own = _STRICTNESS.index(choice.mood)
    above = _STRICTNESS.index(everything.mood) if everything else 0
    kinds = (WishKind.LESS, WishKind.PAUSE, WishKind.NEVER)
    may = [kind for kind in kinds if kinds.index(kind) + 1 > max(own, above)]
    if choice.mood is Mood.PAUSED and above < own:
        # A pause can be made longer; what is shorter changes nothing.
        may.insert(0, WishKind.PAUSE)
    if own:
        may.append(WishKind.RESUME)
    label = CHANNEL_LABELS[choice.channel] if choice.channel else ""
    shown = everything if everything is not None and above > own else choice
    return ChannelView(choice.channel or "", label, shown.mood, shown.until, may)
