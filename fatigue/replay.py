"""What would have happened under another policy: the asks of a span, judged anew one by one.

Everything follows from the draft: what it lets go counts against what comes after, what it defers
is asked again at its retry. What the world did stays as it was: what failed fails again, what a
human sent by hand was sent, and what was called off was called off. Nothing is held or displaced.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from heapq import heapify, heappop, heappush

from fatigue.asks import Ask
from fatigue.case import Recent, Verdict
from fatigue.judging import judge, wakes_at
from fatigue.past import Past
from fatigue.rules import Outcome, Policy
from fatigue.standing import IDENTITIES, Standing, landing
from store.touches import COUNTED, Channel, TouchState


class Fate(StrEnum):
    """What became of a touch, or would have."""

    WENT = "went"
    LATER = "later"
    WAITS = "waits"
    WITHHELD = "withheld"
    FAILED = "failed"
    BY_HAND = "by_hand"
    CALLED_OFF = "called_off"


# What no policy could have changed.
_GIVEN = frozenset({Fate.BY_HAND, Fate.CALLED_OFF})


@dataclass(frozen=True, slots=True)
class Happened:
    """A touch as the record has it; `went_at` is the fence, `landed_at` when caps count it."""

    touch_id: int
    ask: Ask
    asked_at: datetime
    state: TouchState
    channel: Channel
    went_at: datetime | None
    landed_at: datetime | None

    @property
    def fate(self) -> Fate:
        """What became of it."""
        if self.state is TouchState.SENT and self.went_at is None:
            return Fate.BY_HAND
        if self.state in COUNTED:
            return Fate.WENT
        return {
            TouchState.ASKED: Fate.WAITS,
            TouchState.WITHHELD: Fate.WITHHELD,
            TouchState.FAILED: Fate.FAILED,
            TouchState.RELEASED: Fate.CALLED_OFF,
        }[self.state]


@dataclass(frozen=True, slots=True)
class Cell:
    """What touches are counted by; `rule` is the first that held one back."""

    was: Fate
    would: Fate
    rule: str
    channel: Channel
    campaign_id: int | None
    brand_id: int


@dataclass(frozen=True, slots=True)
class Judged:
    """A touch with what the draft would have made of it, and which shadow rules objected."""

    touch_id: int
    cell: Cell
    shadows: tuple[str, ...] = ()


@dataclass(slots=True)
class Tally:
    """Touches by cell, and objections by shadow rule."""

    cells: Counter[Cell] = field(default_factory=Counter)
    shadows: Counter[str] = field(default_factory=Counter)

    def add(self, judged: Judged) -> None:
        """Count one more."""
        self.cells[judged.cell] += 1
        self.shadows.update(judged.shadows)


@dataclass(frozen=True, slots=True)
class _Sent:
    """A touch that counts from `went_at`; until it lands it may reach the member any time."""

    happened: Happened
    channel: Channel
    went_at: datetime
    landed_at: datetime

    def seen(self, policy: Policy, at: datetime) -> Recent:
        """As caps see it at an instant after it went."""
        is_pending = at < self.landed_at
        since = self.went_at if is_pending else self.landed_at
        state = TouchState.SENDING if is_pending else TouchState.SENT
        return _recent(self, policy, since, landing(since, self.channel, state))


def walk(
    policy: Policy, past: Past, touches: Sequence[Happened], *, since: datetime, until: datetime
) -> Iterator[Judged]:
    """Judge a member's asks of `[since, until)` in the order of time; earlier ones only count."""
    sent = [_as_it_went(one) for one in touches if _stands(one, since)]
    asked = [one for one in touches if one.asked_at >= since]
    yield from (_given(one) for one in asked if one.fate in _GIVEN)
    queue = [(one.asked_at, one.touch_id, one) for one in asked if one.fate not in _GIVEN]
    heapify(queue)
    deferred: dict[int, Verdict] = {}
    while queue:
        at, touch_id, one = heappop(queue)
        recent = [known.seen(policy, at) for known in sent if known.went_at <= at]
        standing = _standing(past, one, recent, at)
        found = judge(policy, standing, one.ask, at, asked_at=one.asked_at)
        first = deferred.setdefault(touch_id, found)
        if found.outcome is Outcome.DEFER:
            wakes = wakes_at(policy, standing, one.ask, found)
            if wakes is not None and wakes < until:
                heappush(queue, (wakes, touch_id, one))
                continue
        if found.outcome is Outcome.OPEN and one.fate is not Fate.FAILED:
            sent.append(_if_it_went(one, found.channel, at))
        yield _judged(one, first, found)


def _stands(one: Happened, since: datetime) -> bool:
    """Whether a touch counts as it really was, whatever the draft says."""
    return one.fate is Fate.BY_HAND or (one.fate is Fate.WENT and one.asked_at < since)


def _as_it_went(one: Happened) -> _Sent:
    assert one.landed_at is not None
    return _Sent(one, one.channel, one.went_at or one.landed_at, one.landed_at)


def _if_it_went(one: Happened, channel: Channel, at: datetime) -> _Sent:
    """A touch that the draft lets go at `at`; a guide takes as long to confirm it as they did."""
    took = timedelta(0)
    if one.fate is Fate.WENT and one.went_at and one.landed_at:
        took = max(took, one.landed_at - one.went_at)
    return _Sent(one, channel, at, at + took)


def _standing(past: Past, one: Happened, recent: list[Recent], at: datetime) -> Standing:
    standing = past.standing(at, recent)
    # What really went was reachable then, even if it is not today.
    if one.fate in {Fate.WENT, Fate.FAILED} and one.channel in IDENTITIES:
        standing.identities.add(IDENTITIES[one.channel])
    return standing


def _judged(one: Happened, first: Verdict, last: Verdict) -> Judged:
    named = first if first.outcome is Outcome.DEFER and last.outcome is Outcome.OPEN else last
    rule = named.violations[0].rule if named.violations else ""
    cell = _cell(one, _fate(one, first, last), rule, last.channel)
    return Judged(one.touch_id, cell, tuple(found.rule for found in last.shadow))


def _fate(one: Happened, first: Verdict, last: Verdict) -> Fate:
    match last.outcome:
        case Outcome.WITHHOLD:
            return Fate.WITHHELD
        case Outcome.DEFER:
            return Fate.WAITS
        case Outcome.OPEN if one.fate is Fate.FAILED:
            return Fate.FAILED
        case Outcome.OPEN:
            return Fate.WENT if first.outcome is Outcome.OPEN else Fate.LATER


def _given(one: Happened) -> Judged:
    return Judged(one.touch_id, _cell(one, one.fate, "", one.channel))


def _cell(one: Happened, would: Fate, rule: str, channel: Channel) -> Cell:
    return Cell(one.fate, would, rule, channel, one.ask.campaign_id, one.ask.brand_id)


def _recent(sent: _Sent, policy: Policy, at: datetime, until: datetime) -> Recent:
    ask = sent.happened.ask
    return Recent(
        touch_id=sent.happened.touch_id,
        channel=sent.channel,
        category=ask.category,
        brand_id=ask.brand_id,
        campaign_id=ask.campaign_id,
        at=at,
        until=until,
        template_id=str(ask.payload.get("template_id", "")),
        guide_id=ask.guide_id,
        band=policy.band_of(ask.priority).name,
    )
