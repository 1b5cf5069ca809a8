"""The reckoning after a storm, over what people have received: written without the gate's code.

An arrival is a receipt of the sandbox; a row is a touch as the record has it. Both are put beside
the wishes, which tell who was to hear what, and beside the caps, which are counted one by one.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from store.touches import FINAL, Category, Channel, TouchState
from tests.chaos import plan
from tests.chaos.plan import CAPS, Cap, Wish

# A batch is sent within a minute of its fence (bot/sending.py), and its last call may be slow.
SLACK = timedelta(seconds=75)


@dataclass(frozen=True)
class Arrival:
    """A message on somebody's phone; `member` is the number of who holds the phone."""

    number: int
    member: int
    channel: Channel
    at: datetime


@dataclass(frozen=True)
class Row:
    """A touch in the record; a wish has a second one when a person has sent it again."""

    number: int
    state: TouchState
    channel: Channel
    fenced_at: datetime | None
    # Later than the fence where an unknown message was sent once more under its old id.
    counted_at: datetime | None = None


def complaints(
    arrivals: Sequence[Arrival], rows: Sequence[Row], wishes: Sequence[Wish]
) -> list[str]:
    """Everything that was promised and does not hold, in sentences."""
    by_number: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        by_number[row.number].append(row)
    return [
        *_astray(arrivals, wishes),
        *_unaccounted(arrivals, by_number, wishes),
        *_at_the_wrong_time(arrivals, by_number, wishes),
        *breaches(arrivals, wishes, slack=SLACK),
        # To the microsecond, by the moment of the fence; a guide confirms later than that.
        *breaches(list(_fenced(arrivals, by_number)), wishes, slack=timedelta(0)),
    ]


def breaches(arrivals: Iterable[Arrival], wishes: Sequence[Wish], *, slack: timedelta) -> list[str]:
    """Caps that were exceeded, where `slack` is how wrong the moments of arrivals may be."""
    of_member: dict[int, list[Arrival]] = defaultdict(list)
    for arrival in arrivals:
        of_member[arrival.member].append(arrival)
    return [
        f"{cap.name}: member {member} got {count} where {cap.most} are allowed, at {at}"
        for member, got in of_member.items()
        for cap in CAPS
        for at, count in _excesses(cap, member, got, wishes, slack)
    ]


def _excesses(
    cap: Cap, member: int, got: list[Arrival], wishes: Sequence[Wish], slack: timedelta
) -> Iterator[tuple[datetime, int]]:
    counted = [one for one in got if _is_counted(cap, one, wishes[one.number])]
    for last in counted:
        near = [one for one in counted if _is_near(cap, member, one, last, wishes, slack)]
        if len(near) > cap.most:
            yield last.at, len(near)


def _is_counted(cap: Cap, arrival: Arrival, wish: Wish) -> bool:
    is_bound = cap.is_platform or wish.category is not Category.SERVICE
    return (
        is_bound
        and (not cap.channels or arrival.channel in cap.channels)
        and (not cap.categories or wish.category in cap.categories)
    )


def _is_near(
    cap: Cap,
    member: int,
    one: Arrival,
    last: Arrival,
    wishes: Sequence[Wish],
    slack: timedelta,
) -> bool:
    if cap.is_daily:
        zone = ZoneInfo(plan.zone_of(member) or "Asia/Shanghai")
        return one.at.astimezone(zone).date() == last.at.astimezone(zone).date()
    if cap.span is None:
        campaign = wishes[last.number].campaign
        return campaign is not None and wishes[one.number].campaign == campaign
    return last.at - cap.span + slack < one.at <= last.at


def _astray(arrivals: Sequence[Arrival], wishes: Sequence[Wish]) -> Iterator[str]:
    for one in arrivals:
        wanted = wishes[one.number]
        if one.member != wanted.member:
            yield f"{one.number} reached {one.member} instead of {wanted.member}"
        if one.channel not in wanted.channels:
            yield f"{one.number} came by {one.channel}, which nobody asked for"


def _unaccounted(
    arrivals: Sequence[Arrival], rows: dict[int, list[Row]], wishes: Sequence[Wish]
) -> Iterator[str]:
    got = Counter(one.number for one in arrivals)
    yield from (f"{number} was received without a touch" for number in got.keys() - rows.keys())
    yield from (f"{one.number} was lost" for one in wishes if one.number not in rows)
    for number, its in rows.items():
        states = ", ".join(row.state for row in its)
        if not {row.state for row in its} <= FINAL:
            yield f"{number} is {states} for ever"
        elif got[number] != sum(row.state is TouchState.SENT for row in its):
            yield f"{number} is {states} and was received {got[number]} times"


def _at_the_wrong_time(
    arrivals: Sequence[Arrival], rows: dict[int, list[Row]], wishes: Sequence[Wish]
) -> Iterator[str]:
    begins, ends = plan.NIGHT
    for one in arrivals:
        fenced_at = _fence_of(one, rows)
        if fenced_at is None:
            yield f"{one.number} was received before its fence"
        elif one.channel is not plan.BROADCAST:
            zone = ZoneInfo(plan.zone_of(one.member) or "Asia/Shanghai")
            hour = fenced_at.astimezone(zone).time()
            is_night = hour >= begins or hour < ends
            if is_night and wishes[one.number].category in plan.UNASKED:
                yield f"{one.number} was sent at night, at {hour}"
            if one.at > fenced_at + SLACK:
                yield f"{one.number} was received {one.at - fenced_at} after its fence"


def _fenced(arrivals: Sequence[Arrival], rows: dict[int, list[Row]]) -> Iterator[Arrival]:
    for one in arrivals:
        fenced_at = _fence_of(one, rows)
        if fenced_at is not None and one.channel is not plan.BROADCAST:
            yield replace(one, at=fenced_at)


def _fence_of(arrival: Arrival, rows: dict[int, list[Row]]) -> datetime | None:
    """The last fence of this wish's touches that was passed before the arrival."""
    passed = [
        fence
        for row in rows.get(arrival.number, ())
        if row.fenced_at is not None
        for fence in (row.fenced_at, row.counted_at)
    ]
    return max((one for one in passed if one is not None and one <= arrival.at), default=None)
