"""A second opinion on the rules: slow, whole seconds, written from design.md §8 without `verdict`.

Time is an integer of seconds on a clock in Shanghai, which has no daylight saving: second 0 is a
Thursday's midnight there. A touch is the second at which it counts. It looks at every instant at
which anything can change and takes the first where all is well.
"""

from collections.abc import Sequence
from dataclasses import dataclass

DAY = 86_400
_MONDAY = 4 * DAY


@dataclass(frozen=True)
class Rolling:
    """No `length` seconds may hold more than `cap`."""

    cap: int
    length: int


@dataclass(frozen=True)
class Calendar:
    """No day (1) or week (7) may hold more than `cap`."""

    cap: int
    days: int


@dataclass(frozen=True)
class Quiet:
    """Silence from second `start` of the day to second `end`."""

    start: int
    end: int


ModelRule = Rolling | Calendar | Quiet


def is_open(rules: Sequence[ModelRule], touches: Sequence[int], at: int) -> bool:
    """Whether one more touch at `at` leaves every rule whole."""
    return all(_allows(rule, touches, at) for rule in rules)


def first_open(rules: Sequence[ModelRule], touches: Sequence[int], at: int, days: int) -> int:
    """The first second from `at` on when all rules allow a touch."""
    instants = {at}
    for rule in rules:
        match rule:
            case Rolling(_, length):
                instants |= {touch + length for touch in touches}
            case Calendar():
                instants |= {(at // DAY + ahead) * DAY for ahead in range(1, days)}
            case Quiet(_, end):
                instants |= {(at // DAY + ahead) * DAY + end for ahead in range(days)}
    return min(
        instant for instant in instants if instant >= at and is_open(rules, touches, instant)
    )


def _allows(rule: ModelRule, touches: Sequence[int], at: int) -> bool:
    match rule:
        case Rolling(cap, length):
            return sum(1 for touch in touches if at - touch < length) + 1 <= cap
        case Calendar(cap, days):
            return sum(1 for touch in touches if _box(touch, days) == _box(at, days)) + 1 <= cap
        case Quiet(start, end):
            second = at % DAY
            if start < end:
                return not start <= second < end
            return end <= second < start


def _box(at: int, days: int) -> int:
    return (at - _MONDAY) // (days * DAY) if days > 1 else at // DAY
