"""Counting what uses a cap up: touches that were or may be made, and holds of higher bands.

A cap looks both ways: a touch may neither stand too near to what went before it nor to what is
planned behind it. What may land at any moment of a span counts at every moment of it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from fatigue.bands import held
from fatigue.case import FIRST_IMAGINED, Held, Question, Recent, Violation, Window
from fatigue.quiet_hours import span
from fatigue.rules import DAYS_IN_PERIOD, NO_GRANT, CalendarCap, GrantRule, LifetimeCap


@dataclass(frozen=True, slots=True)
class Used:
    """What a rule selects of a member's touches and holds."""

    touches: Sequence[Recent]
    holds: Sequence[Held] = ()

    def live(self, at: datetime) -> list[Held]:
        """The holds that are not over at an instant."""
        return [hold for hold in self.holds if at < hold.expires_at]


@dataclass(frozen=True, slots=True)
class _Count:
    """What is inside one window, with how much of the cap it takes."""

    number: int
    touches: Sequence[Recent]
    holds: Sequence[Held]


def rolling(
    name: str, cap: int, length: timedelta, used: Used, ask: Question, at: datetime
) -> Violation | None:
    """A cap in every window of a length; opens when no such window around the ask is full."""
    since = at - length
    near = [touch for touch in used.touches if since < touch.until]
    if len(near) + len(used.holds) < cap:
        return None
    if not used.holds and all(touch.at <= at for touch in near):
        return _only_past(name, cap, length, near, ask)
    worst: _Count | None = None
    opens = at
    while True:
        crowds = list(_crowds(cap, length, used, opens))
        if not crowds:
            break
        worst = worst or max((count for _, count in crowds), key=lambda count: count.number)
        opens = _sooner(max(end for end, _ in crowds), used, opens)
    return None if worst is None else _violation(name, cap, worst, ask, opens)


def _only_past(
    name: str, cap: int, length: timedelta, near: Sequence[Recent], ask: Question
) -> Violation:
    """The same where nothing is planned: only what went before can be too near."""
    # The rule opens when only cap - 1 are left: when the cap-th newest leaves the window.
    leaving = sorted(touch.until for touch in near)[-cap]
    return _violation(name, cap, _Count(len(near), near, ()), ask, leaving + length)


def _crowds(
    cap: int, length: timedelta, used: Used, at: datetime
) -> Iterator[tuple[datetime, _Count]]:
    """The full windows that a touch at `at` would fall into, with when it no longer would.

    What may land from `a` to `u` can be in a window of `length` that starts in `(a - length, u]`.
    Between two such bounds all windows hold the same, so one of them is looked at. If it is full,
    so are those that start in `(low, high]`, and a touch in between `low` and `high + length` is
    in one of them.
    """
    holds = used.live(at)
    things: list[Recent | Held] = [*used.touches, *holds]
    bounds = {thing.at - length for thing in things} | {thing.until for thing in things}
    for low, high in pairwise(sorted(bounds)):
        if low < at < high + length:
            touches = [one for one in used.touches if one.at - length < high <= one.until]
            kept = [one for one in holds if one.at - length < high <= one.until]
            number = len(touches) + held(cap, (one.holder for one in kept))
            if number >= cap:
                yield high + length, _Count(number, touches, kept)


def calendar(rule: CalendarCap, used: Used, ask: Question, at: datetime) -> Violation | None:
    """A cap in the calendar period of the ask; opens with a period that is not full."""
    zone = ask.zone if rule.zone is None else ZoneInfo(rule.zone)
    first: tuple[int, _Count] | None = None
    opens = at
    while True:
        start, end, days = span(rule.period, opens, zone)
        cap = days if rule.cap == DAYS_IN_PERIOD else int(rule.cap)
        count = _inside(cap, used, start, end, opens)
        if count.number < cap:
            break
        first = first or (cap, count)
        opens = _sooner(end, used, opens)
    return None if first is None else _violation(rule.name, *first, ask, opens)


def _inside(cap: int, used: Used, start: datetime, end: datetime, at: datetime) -> _Count:
    touches = [one for one in used.touches if one.at < end and start <= one.until]
    kept = [one for one in used.live(at) if one.at < end and start <= one.until]
    return _Count(len(touches) + held(cap, (one.holder for one in kept)), touches, kept)


def _sooner(then: datetime, used: Used, after: datetime) -> datetime:
    """`then`, or the end of a hold before it, when there is less to count."""
    return min([then, *(hold.expires_at for hold in used.live(after))])


def lifetime(rule: LifetimeCap, used: Used, ask: Question) -> Violation | None:
    """A cap on the touches of the ask's own campaign, for ever."""
    if ask.campaign_id is None:
        return None
    counted = [touch for touch in used.touches if touch.campaign_id == ask.campaign_id]
    if len(counted) < rule.cap:
        return None
    return _violation(rule.name, rule.cap, _Count(len(counted), counted, ()), ask, None)


def grant(rule: GrantRule, used: Used, ask: Question, at: datetime) -> Violation | None:
    """A channel is open while any live grant has some left; a newer grant starts to count anew.

    A touch counts against every grant that was open when it went, so we never hope for more than
    the platform gives, whichever grant it debits (wechat-oa.md §5.1 leaves that open).
    """
    first: Violation | None = None
    opens = at
    while True:
        fullest = _fullest(rule, used, ask, opens)
        if fullest is None:
            return None if first is None else replace(first, retry_at=opens)
        first = first or fullest
        ends = [hold.expires_at for hold in used.live(opens)]
        if not ends:
            return first
        opens = min(ends)


def _fullest(rule: GrantRule, used: Used, ask: Question, at: datetime) -> Violation | None:
    """The last of the live grants, all of which are used up; none if one is not."""
    fullest = Violation(NO_GRANT, ask.channel)
    for window in ask.windows:
        end = _end(window, rule)
        if not _is_live(window, ask, at) or (end is not None and end <= at):
            continue
        cap = min(window.allowance, rule.allowance)
        touches = [touch for touch in used.touches if _draws_on(touch, window, ask)]
        kept = [hold for hold in used.live(at) if _may_draw_on(hold, window, end)]
        number = len(touches) + held(cap, (hold.holder for hold in kept))
        if number < cap:
            return None
        fullest = _violation(NO_GRANT, cap, _Count(number, touches, kept), ask, None)
    return fullest


def _end(window: Window, rule: GrantRule) -> datetime | None:
    ends = [window.expires_at] if window.expires_at is not None else []
    if rule.seconds is not None:
        ends.append(window.opened_at + timedelta(seconds=rule.seconds))
    return min(ends, default=None)


def _is_live(window: Window, ask: Question, at: datetime) -> bool:
    return (
        window.channel is ask.channel
        and _same_template(window.template_id, ask.template_id)
        and window.opened_at <= at
    )


def _draws_on(touch: Recent, window: Window, ask: Question) -> bool:
    return (
        touch.channel is window.channel
        and touch.until >= window.opened_at
        and _same_template(touch.template_id, window.template_id or ask.template_id)
    )


def _may_draw_on(hold: Held, window: Window, end: datetime | None) -> bool:
    is_before = end is None or hold.at < end
    return window.channel in hold.channels and hold.until >= window.opened_at and is_before


def _same_template(one: str, other: str) -> bool:
    """A side that does not name its template may be any."""
    return not one or not other or one == other


def _violation(
    name: str, cap: int, count: _Count, ask: Question, retry_at: datetime | None
) -> Violation:
    """Touches oldest first; one that a dry run only imagines has no id to show."""
    ordered = sorted(count.touches, key=lambda touch: (touch.at, touch.touch_id))
    return Violation(
        name,
        ask.channel,
        count.number,
        cap,
        tuple(touch.touch_id for touch in ordered if touch.touch_id < FIRST_IMAGINED),
        retry_at,
        tuple(sorted(hold.campaign_id for hold in count.holds)),
    )
