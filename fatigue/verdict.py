"""The verdict on one ask, as a pure function over plain values (design.md §8).

It explains itself: every violated rule with its count, its cap, the touches that used it up and the
exact instant it opens; and the first instant when all rules are open at once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from fatigue.quiet_hours import is_quiet, opening, span
from fatigue.rules import (
    DAYS_IN_PERIOD,
    NO_GRANT,
    CalendarCap,
    GrantRule,
    LifetimeCap,
    MinGap,
    Outcome,
    Policy,
    QuietHours,
    RollingCap,
    Rule,
)
from store.touches import Category, Channel

# Nothing is planned further ahead; quiet hours that leave no minute of the day end the search here.
_HORIZON = timedelta(days=400)


@dataclass(frozen=True, slots=True)
class Recent:
    """A touch as caps see it: it lands at `at`, or while it is pending at any moment to `until`."""

    touch_id: int
    channel: Channel
    category: Category
    brand_id: int
    campaign_id: int | None
    at: datetime
    until: datetime
    template_id: str = ""


@dataclass(frozen=True, slots=True)
class Window:
    """A grant: from `opened_at` until `expires_at`, `allowance` touches on `channel`."""

    channel: Channel
    allowance: int
    opened_at: datetime
    expires_at: datetime | None = None
    template_id: str = ""


@dataclass(frozen=True, slots=True)
class Block:
    """A reason outside the policy why a member is not to be reached, for ever or `until`."""

    reason: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """May this be said on this channel? With all facts of the member that the answer needs."""

    channel: Channel
    category: Category
    brand_id: int
    campaign_id: int | None
    zone: ZoneInfo
    template_id: str = ""
    blocks: tuple[Block, ...] = ()
    windows: tuple[Window, ...] = ()
    deadline_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Violation:
    """One reason for silence. `retry_at` is when this rule alone opens; without it, never."""

    rule: str
    channel: Channel
    count: int = 0
    cap: int = 0
    touches: tuple[int, ...] = ()
    retry_at: datetime | None = None

    def as_json(self) -> dict[str, Any]:
        """The same as it stands in `Touch.verdict`."""
        return {
            "rule": self.rule,
            "channel": self.channel.value,
            "count": self.count,
            "cap": self.cap,
            "touches": list(self.touches),
            "retry_at": self.retry_at.isoformat() if self.retry_at else None,
        }


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer for `channel`, best reason first: a reason that never ends, then the longest one.

    `passed_over` says why the channels before an open one were not taken.
    """

    outcome: Outcome
    channel: Channel
    violations: tuple[Violation, ...] = ()
    retry_at: datetime | None = None
    passed_over: tuple[Violation, ...] = ()


def verdict(policy: Policy, recent: Sequence[Recent], ask: Question, now: datetime) -> Verdict:
    """Whether `ask` may go out at `now`, and if not: why, and from when."""
    bound = [
        (rule, [touch for touch in recent if rule.selector.takes(touch)])
        for rule in policy.rules
        if rule.can_close(len(recent)) and rule.binds(ask)
    ]
    violations = sorted(_violations(bound, ask, now), key=_weight)
    if not violations:
        return Verdict(Outcome.OPEN, ask.channel)
    retry_at = _first_open(bound, ask, violations, now)
    is_in_time = retry_at is not None and (ask.deadline_at is None or retry_at < ask.deadline_at)
    outcome = Outcome.DEFER if is_in_time else Outcome.WITHHOLD
    return Verdict(outcome, ask.channel, tuple(violations), retry_at if is_in_time else None)


def _weight(violation: Violation) -> float:
    return float("-inf") if violation.retry_at is None else -violation.retry_at.timestamp()


def _violations(
    bound: Sequence[tuple[Rule, list[Recent]]], ask: Question, at: datetime
) -> Iterator[Violation]:
    for block in ask.blocks:
        if block.until is None or at < block.until:
            yield Violation(block.reason, ask.channel, retry_at=block.until)
    for rule, used in bound:
        found = _violation(rule, used, ask, at)
        if found is not None:
            yield found


def _first_open(
    bound: Sequence[tuple[Rule, list[Recent]]],
    ask: Question,
    violations: Sequence[Violation],
    now: datetime,
) -> datetime | None:
    """Go from opening to opening until no rule is closed: the first instant when all are open.

    Each step goes to an instant before which at least one rule is closed, so none is overlooked.
    """
    closed: Sequence[Violation] = violations
    at = now
    while closed:
        openings = [violation.retry_at for violation in closed]
        if None in openings:
            return None
        later = max(instant for instant in openings if instant is not None)
        # A rule that closes again where it said it opens would keep us here for ever.
        assert later > at, f"{closed} do not open"
        at = later
        if at > now + _HORIZON:
            return None
        closed = list(_violations(bound, ask, at))
    return at


def _violation(rule: Rule, used: list[Recent], ask: Question, at: datetime) -> Violation | None:
    match rule:
        case RollingCap():
            return _rolling(rule.name, rule.cap, rule.seconds, used, ask, at)
        case MinGap():
            return _rolling(rule.name, 1, rule.seconds, used, ask, at)
        case CalendarCap():
            return _calendar(rule, used, ask, at)
        case LifetimeCap():
            return _lifetime(rule, used, ask)
        case QuietHours():
            return _quiet(rule, ask, at)
        case GrantRule():
            return _grant(rule, used, ask, at)
        case _:
            raise AssertionError(f"No judge for {type(rule).__name__}.")


def _rolling(
    name: str, cap: int, seconds: int, used: list[Recent], ask: Question, at: datetime
) -> Violation | None:
    length = timedelta(seconds=seconds)
    counted = [touch for touch in used if touch.until > at - length]
    if len(counted) < cap:
        return None
    # The rule opens when only cap - 1 are left: when the cap-th newest leaves the window.
    leaving = sorted(touch.until for touch in counted)[-cap]
    return Violation(name, ask.channel, len(counted), cap, _ids(counted), leaving + length)


def _calendar(
    rule: CalendarCap, used: list[Recent], ask: Question, at: datetime
) -> Violation | None:
    zone = ask.zone if rule.zone is None else ZoneInfo(rule.zone)
    first: Violation | None = None
    while True:
        start, end, days = span(rule.period, at, zone)
        counted = [touch for touch in used if touch.at < end and touch.until >= start]
        cap = days if rule.cap == DAYS_IN_PERIOD else int(rule.cap)
        if len(counted) < cap:
            break
        first = first or Violation(rule.name, ask.channel, len(counted), cap, _ids(counted))
        at = end
    return None if first is None else _opening_at(first, at)


def _opening_at(violation: Violation, retry_at: datetime) -> Violation:
    return Violation(
        violation.rule,
        violation.channel,
        violation.count,
        violation.cap,
        violation.touches,
        retry_at,
    )


def _lifetime(rule: LifetimeCap, used: list[Recent], ask: Question) -> Violation | None:
    if ask.campaign_id is None:
        return None
    counted = [touch for touch in used if touch.campaign_id == ask.campaign_id]
    if len(counted) < rule.cap:
        return None
    return Violation(rule.name, ask.channel, len(counted), rule.cap, _ids(counted))


def _quiet(rule: QuietHours, ask: Question, at: datetime) -> Violation | None:
    if not is_quiet(rule, at, ask.zone):
        return None
    return Violation(rule.name, ask.channel, retry_at=opening(rule, at, ask.zone))


def _grant(rule: GrantRule, used: list[Recent], ask: Question, at: datetime) -> Violation | None:
    """A channel is open while any live grant has some left; a newer grant starts to count anew.

    A touch counts against every grant that was open when it went, so we never hope for more than
    the platform gives, whichever grant it debits (wechat-oa.md §5.1 leaves that open).
    """
    fullest = Violation(NO_GRANT, ask.channel)
    for window in ask.windows:
        if not _is_live(window, rule, ask, at):
            continue
        counted = [touch for touch in used if _draws_on(touch, window, ask)]
        cap = min(window.allowance, rule.allowance)
        if len(counted) < cap:
            return None
        fullest = Violation(NO_GRANT, ask.channel, len(counted), cap, _ids(counted))
    return fullest


def _is_live(window: Window, rule: GrantRule, ask: Question, at: datetime) -> bool:
    ends = [window.expires_at] if window.expires_at is not None else []
    if rule.seconds is not None:
        ends.append(window.opened_at + timedelta(seconds=rule.seconds))
    return (
        window.channel is ask.channel
        and _same_template(window.template_id, ask.template_id)
        and window.opened_at <= at
        and all(at < end for end in ends)
    )


def _draws_on(touch: Recent, window: Window, ask: Question) -> bool:
    return (
        touch.channel is window.channel
        and touch.until >= window.opened_at
        and _same_template(touch.template_id, window.template_id or ask.template_id)
    )


def _same_template(one: str, other: str) -> bool:
    """A side that does not name its template may be any."""
    return not one or not other or one == other


def _ids(touches: Sequence[Recent]) -> tuple[int, ...]:
    """The ids, oldest first; a touch that a dry run only imagines has none."""
    ordered = sorted(touches, key=lambda touch: (touch.at, touch.touch_id))
    return tuple(touch.touch_id for touch in ordered if touch.touch_id)
