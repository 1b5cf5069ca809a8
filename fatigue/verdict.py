"""The verdict on one ask, as a pure function over plain values (design.md §8).

It explains itself: every violated rule with its count, its cap, the touches that used it up and the
exact instant it opens; and the first instant when all rules are open at once.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from fatigue import counting
from fatigue.case import Block, Held, Question, Recent, Verdict, Violation, Window
from fatigue.counting import Used
from fatigue.quiet_hours import is_quiet, opening
from fatigue.rules import (
    CalendarCap,
    GrantRule,
    LifetimeCap,
    MinGap,
    Never,
    Outcome,
    Policy,
    QuietHours,
    RollingCap,
    Rule,
    Selector,
)

__all__ = [
    "Block",
    "Held",
    "Question",
    "Recent",
    "Verdict",
    "Violation",
    "Window",
    "verdict",
]

# Nothing is planned further ahead; quiet hours that leave no minute of the day end the search here.
_HORIZON = timedelta(days=400)
_Bound = Sequence[tuple[Rule, Used]]


def verdict(policy: Policy, recent: Sequence[Recent], ask: Question, now: datetime) -> Verdict:
    """Whether `ask` may go out at `now`, and if not: why, and from when."""
    bound = _bound(policy, recent, ask, is_shadow=False)
    violations = sorted([*_blocked(ask, now), *_violations(bound, ask, now)], key=_weight)
    shadow = tuple(sorted(_shadows(policy, recent, ask, now), key=_weight))
    if not violations:
        return Verdict(Outcome.OPEN, ask.channel, shadow=shadow)
    retry_at = _first_open(bound, ask, violations, now)
    is_in_time = retry_at is not None and (ask.deadline_at is None or retry_at < ask.deadline_at)
    outcome = Outcome.DEFER if is_in_time else Outcome.WITHHOLD
    when = retry_at if is_in_time else None
    return Verdict(outcome, ask.channel, tuple(violations), when, shadow=shadow)


def _bound(
    policy: Policy, recent: Sequence[Recent], ask: Question, *, is_shadow: bool
) -> list[tuple[Rule, Used]]:
    """The rules that have a say, each with what it counts."""
    most = len(recent) + len(ask.holds)
    # Many rules count the same touches.
    selected: dict[Selector, Used] = {}
    bound = []
    for rule in policy.rules:
        if rule.is_shadow is is_shadow and rule.can_close(most) and rule.binds(ask):
            used = selected.get(rule.selector)
            if used is None:
                used = selected[rule.selector] = _used(rule.selector, recent, ask.holds)
            bound.append((rule, used))
    return bound


def _used(selector: Selector, recent: Sequence[Recent], holds: Sequence[Held]) -> Used:
    return Used(
        [touch for touch in recent if selector.takes(touch)],
        [hold for hold in holds if selector.takes_hold(hold)] if holds else (),
    )


def _shadows(
    policy: Policy, recent: Sequence[Recent], ask: Question, now: datetime
) -> Iterator[Violation]:
    if policy.has_shadows:
        yield from _violations(_bound(policy, recent, ask, is_shadow=True), ask, now)


def _weight(violation: Violation) -> float:
    return float("-inf") if violation.retry_at is None else -violation.retry_at.timestamp()


def _blocked(ask: Question, at: datetime) -> Iterator[Violation]:
    for block in ask.blocks:
        if block.until is None or at < block.until:
            yield Violation(block.reason, ask.channel, retry_at=block.until)


def _violations(bound: _Bound, ask: Question, at: datetime) -> Iterator[Violation]:
    for rule, used in bound:
        found = _violation(rule, used, ask, at)
        if found is not None:
            yield found


def _first_open(
    bound: _Bound, ask: Question, violations: Sequence[Violation], now: datetime
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
        closed = [*_blocked(ask, at), *_violations(bound, ask, at)]
    return at


def _violation(rule: Rule, used: Used, ask: Question, at: datetime) -> Violation | None:
    match rule:
        case RollingCap() | MinGap():
            length = timedelta(seconds=rule.seconds)
            return counting.rolling(rule.name, rule.cap, length, used, ask, at)
        case CalendarCap():
            return counting.calendar(rule, used, ask, at)
        case LifetimeCap():
            return counting.lifetime(rule, used, ask)
        case QuietHours():
            return _quiet(rule, ask, at)
        case Never():
            return Violation(rule.name, ask.channel)
        case GrantRule():
            return counting.grant(rule, used, ask, at)
        case _:
            raise AssertionError(f"No judge for {type(rule).__name__}.")


def _quiet(rule: QuietHours, ask: Question, at: datetime) -> Violation | None:
    if not is_quiet(rule, at, ask.zone):
        return None
    return Violation(rule.name, ask.channel, retry_at=opening(rule, at, ask.zone))
