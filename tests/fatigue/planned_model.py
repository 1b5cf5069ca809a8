"""A second opinion on caps with holds: whole hours, every window tried, without `verdict`.

Written from docs/decisions/0014. A touch is the hour at which it counts; a hold may land at any
hour of its span. Hour 0 is a Monday's midnight.
"""

from collections.abc import Sequence
from dataclasses import dataclass

DAY = 24


@dataclass(frozen=True)
class Cap:
    """At most `most` in any `hours`, or with `is_calendar` in each box of so many hours."""

    most: int
    hours: int
    is_calendar: bool = False


@dataclass(frozen=True)
class Plan:
    """A hold of a band above, from hour `first` to hour `last`, until `over`."""

    first: int
    last: int
    over: int
    rank: int
    share: int


def is_open(caps: Sequence[Cap], touches: Sequence[int], plans: Sequence[Plan], at: int) -> bool:
    """Whether a touch at `at` leaves room in every window that it is in."""
    return all(fullest(cap, touches, plans, at) < cap.most for cap in caps)


def first_open(caps: Sequence[Cap], touches: Sequence[int], plans: Sequence[Plan], at: int) -> int:
    """The first hour from `at` on, tried one after the other."""
    while not is_open(caps, touches, plans, at):
        at += 1
    return at


def fullest(cap: Cap, touches: Sequence[int], plans: Sequence[Plan], at: int) -> int:
    """How much there is in the fullest window around `at`, without the touch itself."""
    first = at - at % cap.hours if cap.is_calendar else at - cap.hours + 1
    last = first if cap.is_calendar else at
    return max(_inside(cap, touches, plans, start, at) for start in range(first, last + 1))


def _inside(cap: Cap, touches: Sequence[int], plans: Sequence[Plan], start: int, at: int) -> int:
    window = range(start, start + cap.hours)
    made = sum(1 for touch in touches if touch in window)
    by_rank: dict[int, list[Plan]] = {}
    for plan in plans:
        lands_here = any(hour in window for hour in range(plan.first, plan.last + 1))
        if at < plan.over and lands_here:
            by_rank.setdefault(plan.rank, []).append(plan)
    planned = sum(
        min(len(some), max(1, cap.most * some[0].share // 100)) for some in by_rank.values()
    )
    left_to_lower = 1 if cap.most > 1 else 0
    return made + min(planned, cap.most - left_to_lower)
