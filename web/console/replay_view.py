"""What a replay has found, in figures that add up: in all, by rule, by channel, campaign, brand."""

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from sqlmodel import Session, col, select

from content.rule_phrases import rule_phrase
from content.rule_readings import title
from content.touch_words import CHANNEL_NAMES
from fatigue.replay import Cell, Fate
from fatigue.replaying import DAYS, Example, found_by
from store.campaigns import Campaign
from store.members import Member, mask
from store.organisation import Brand
from store.policies import PolicyReplay, ReplayState
from store.touches import Touch

_MOST = 20
_GOES = frozenset({Fate.WENT, Fate.LATER})
_HELD = frozenset({Fate.WITHHELD, Fate.WAITS})
_JUDGED = _GOES | _HELD | {Fate.FAILED}
Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Figures:
    """Touches of one kind: as they were, as they would have been, and what that changes."""

    name: str
    went: int = 0
    withheld: int = 0
    would_go: int = 0
    would_wait: int = 0
    would_not: int = 0
    now_out: int = 0
    now_later: int = 0
    now_held: int = 0

    @property
    def judged(self) -> int:
        """All touches of the kind."""
        return self.would_go + self.would_wait + self.would_not


@dataclass(frozen=True, slots=True)
class RuleFigures:
    """How many touches a rule would have withheld or delayed."""

    name: str
    withheld: int
    deferred: int


@dataclass(frozen=True, slots=True)
class ExampleView:
    """One touch that would have fared otherwise."""

    member: str
    mobile: str
    card_no: str
    asked_at: datetime
    campaign: str
    goes_out: bool


@dataclass(frozen=True, slots=True)
class ReplayView:
    """The whole result, or how far it has come."""

    is_done: bool
    done: int
    total: int
    days: int
    all: Figures
    given: int
    rules: Sequence[RuleFigures]
    shadows: Sequence[RuleFigures]
    channels: Sequence[Figures]
    campaigns: Sequence[Figures]
    brands: Sequence[Figures]
    examples: Sequence[ExampleView]


def read(session: Session, replay: PolicyReplay) -> ReplayView:
    """The result with names, in five queries."""
    found = found_by(replay)
    cells = Counter({cell: n for cell, n in found.cells.items() if cell.would in _JUDGED})
    campaigns = _by(cells, lambda cell: cell.campaign_id)
    brands = _by(cells, lambda cell: cell.brand_id)
    campaign_names = _names(session, Campaign, {key for key in campaigns if key})
    brand_names = _names(session, Brand, set(brands))
    return ReplayView(
        is_done=replay.state is ReplayState.DONE,
        done=replay.members_done,
        total=replay.members_total,
        days=(replay.until - replay.since).days or DAYS,
        all=_figures("", cells),
        given=found.cells.total() - cells.total(),
        rules=_rules(cells),
        shadows=[RuleFigures(title(rule), n, 0) for rule, n in found.shadows.most_common()],
        channels=_listed(_by(cells, lambda cell: cell.channel), CHANNEL_NAMES),
        campaigns=_listed(campaigns, campaign_names),
        brands=_listed(brands, brand_names),
        examples=_examples(session, found.examples),
    )


def _by(cells: Counter[Cell], key: Callable[[Cell], Key]) -> dict[Key, Counter[Cell]]:
    parts: dict[Key, Counter[Cell]] = {}
    for cell, touches in cells.items():
        parts.setdefault(key(cell), Counter())[cell] += touches
    return parts


def _listed(parts: Mapping[Any, Counter[Cell]], names: Mapping[Any, str]) -> list[Figures]:
    """The parts with most touches first; what has no name has an empty one."""
    ordered = sorted(parts.items(), key=lambda part: -part[1].total())[:_MOST]
    return [_figures(names.get(key, ""), cells) for key, cells in ordered]


def _figures(name: str, cells: Counter[Cell]) -> Figures:
    def count(was: frozenset[Fate], would: frozenset[Fate]) -> int:
        return sum(n for cell, n in cells.items() if cell.was in was and cell.would in would)

    every = frozenset(Fate)
    went, withheld = frozenset({Fate.WENT}), frozenset({Fate.WITHHELD})
    return Figures(
        name=name,
        went=count(went, every),
        withheld=count(withheld, every),
        would_go=count(every, frozenset({Fate.WENT, Fate.FAILED})),
        would_wait=count(every, frozenset({Fate.LATER, Fate.WAITS})),
        would_not=count(every, withheld),
        now_out=count(_HELD, _GOES),
        now_later=count(went, frozenset({Fate.LATER})),
        now_held=count(went, _HELD),
    )


def _rules(cells: Counter[Cell]) -> list[RuleFigures]:
    withheld: Counter[str] = Counter()
    deferred: Counter[str] = Counter()
    for cell, touches in cells.items():
        if cell.rule:
            (withheld if cell.would is Fate.WITHHELD else deferred)[cell.rule] += touches
    both = withheld + deferred
    return [
        RuleFigures(rule_phrase(rule), withheld[rule], deferred[rule])
        for rule, _ in both.most_common()
    ]


def _names(session: Session, table: type[Campaign | Brand], keys: set[Any]) -> dict[int, str]:
    query = select(table.id, table.name).where(col(table.id).in_(keys))
    return dict(session.exec(query).all())


def _examples(session: Session, found: Sequence[Example]) -> list[ExampleView]:
    goes_out = {one.touch_id: one.would in _GOES for one in found}
    query = (
        select(Touch, Member, Campaign.name)
        .join(Member, col(Member.id) == Touch.member_id)
        .join(Campaign, col(Campaign.id) == Touch.campaign_id, isouter=True)
        .where(col(Touch.id).in_(goes_out))
        .order_by(col(Touch.asked_at))
    )
    return [
        ExampleView(
            member.name,
            mask(member.mobile),
            member.card_no,
            touch.asked_at,
            campaign or "",
            goes_out[touch.id],
        )
        for touch, member, campaign in session.exec(query).all()
    ]
