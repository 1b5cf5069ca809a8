"""The rules of the gate as plain values (design.md §8): what may be said, how often and when.

Every rule selects touches, and all rules that select an ask must be open: none may loosen another.
Brand rules are the house's own manners, and service touches pass them; platform rules bind all.
A number that cannot be meant (0, negative, blank) is refused when the rule is built.
"""

from dataclasses import dataclass, field
from datetime import time, timedelta
from enum import StrEnum
from typing import ClassVar, Final, Literal, Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fatigue.bands import DEFAULT_BANDS, LOWEST, Band, check_bands
from store.errors import Refusal
from store.touches import Category, Channel

DAYS_IN_PERIOD: Final = "days_in_period"
NO_GRANT = "no_grant"
DISPLACED = "displaced"
# Names of reasons that are not rules of a policy; no rule may take one of them.
REASONS = frozenset(
    {"no_identity", "no_friendship", "opted_out", "no_consent", NO_GRANT}
    | {"past_deadline", "member_gone", DISPLACED}
)


class Outcome(StrEnum):
    """What a verdict comes to: go now, go later, or stay silent."""

    OPEN = "open"
    DEFER = "defer"
    WITHHOLD = "withhold"


class Period(StrEnum):
    """A calendar span in the member's zone; weeks start on Monday."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


_FEWEST_DAYS = {Period.DAY: 1, Period.WEEK: 7, Period.MONTH: 28}
# The longest, and a day more because a period starts by wall-clock time.
_MOST_DAYS = {Period.DAY: 2, Period.WEEK: 8, Period.MONTH: 32}


class BadRule(Refusal):
    """A rule that cannot be meant."""

    def __init__(self, rule: str, sentence: str) -> None:
        self.rule = rule
        super().__init__(f"The rule {rule!r} {sentence}")


class _Named(Protocol):
    @property
    def category(self) -> Category: ...
    @property
    def brand_id(self) -> int: ...
    @property
    def campaign_id(self) -> int | None: ...
    @property
    def guide_id(self) -> int | None: ...
    @property
    def band(self) -> str: ...


class Marked(_Named, Protocol):
    """What a selector looks at, of an ask and of a touch alike."""

    @property
    def channel(self) -> Channel: ...  # noqa: D102 -- see Touch


class Planned(_Named, Protocol):
    """What a selector looks at, of a touch that is held for and may take several channels."""

    @property
    def channels(self) -> frozenset[Channel]: ...  # noqa: D102 -- see Hold


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """Which touches a rule is about; what is left out selects all."""

    channels: frozenset[Channel] = frozenset()
    categories: frozenset[Category] = frozenset()
    brand_id: int | None = None
    campaign_id: int | None = None
    guide_id: int | None = None
    bands: frozenset[str] = frozenset()

    def takes(self, thing: Marked) -> bool:
        """Whether `thing` falls under every part that is given."""
        return (not self.channels or thing.channel in self.channels) and self._takes_rest(thing)

    def takes_hold(self, hold: Planned) -> bool:
        """Whether the touch that is planned may fall under every part, on one of its channels."""
        is_near = not self.channels or not self.channels.isdisjoint(hold.channels)
        return is_near and self._takes_rest(hold)

    def _takes_rest(self, thing: _Named) -> bool:
        return (
            (not self.categories or thing.category in self.categories)
            and (self.brand_id is None or thing.brand_id == self.brand_id)
            and (self.campaign_id is None or thing.campaign_id == self.campaign_id)
            and (self.guide_id is None or thing.guide_id == self.guide_id)
            and (not self.bands or thing.band in self.bands)
        )


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A rule's name, where it comes from and whom it is about.

    A shadow rule is evaluated and recorded, and never stops a touch.
    """

    name: str
    source: str
    selector: Selector = field(default_factory=Selector)
    is_platform: bool = False
    is_shadow: bool = False

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise BadRule(self.name, "needs a name.")
        if self.name in REASONS:
            raise BadRule(self.name, "has a name that the gate keeps for its own reasons.")
        if not self.source.strip():
            raise BadRule(self.name, "needs a source: say why it stands or where it comes from.")

    def binds(self, thing: Marked) -> bool:
        """Whether the rule has a say in this ask: service passes the brand's own rules."""
        is_bound = self.is_platform or thing.category is not Category.SERVICE
        return is_bound and self.selector.takes(thing)

    def can_close(self, touches: int) -> bool:  # noqa: ARG002 -- caps look at it
        """Whether so many touches could use the rule up at all; most members have too few."""
        return True


@dataclass(frozen=True, kw_only=True)
class RollingCap(Rule):
    """At most `cap` touches in any `seconds`; a touch counts in `[at, at + seconds)`."""

    cap: int
    seconds: int

    def __post_init__(self) -> None:
        super().__post_init__()
        _at_least_one(self.name, "cap", self.cap)
        _at_least_one(self.name, "seconds", self.seconds)

    def can_close(self, touches: int) -> bool:
        """Whether there are as many as the cap."""
        return touches >= self.cap


@dataclass(frozen=True, kw_only=True)
class CalendarCap(Rule):
    """At most `cap` touches in one calendar period of the member's zone, or of `zone` where given.

    A cap of `DAYS_IN_PERIOD` is as many as the period has days.
    """

    cap: int | Literal["days_in_period"]
    period: Period
    zone: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.cap != DAYS_IN_PERIOD:
            _at_least_one(self.name, "cap", self.cap)
        if self.zone is not None and not is_zone(self.zone):
            raise BadRule(self.name, f"names the time zone {self.zone!r}, which is not known.")

    def can_close(self, touches: int) -> bool:
        """Whether there are as many as the cap, or as the shortest such period has days."""
        if self.cap == DAYS_IN_PERIOD:
            return touches >= _FEWEST_DAYS[self.period]
        return touches >= int(self.cap)


@dataclass(frozen=True, kw_only=True)
class MinGap(Rule):
    """At least `seconds` between any two touches: one is the most in that span."""

    cap: ClassVar[int] = 1
    seconds: int

    def __post_init__(self) -> None:
        super().__post_init__()
        _at_least_one(self.name, "seconds", self.seconds)

    def can_close(self, touches: int) -> bool:
        """Whether there is one to keep away from."""
        return touches > 0


@dataclass(frozen=True, kw_only=True)
class LifetimeCap(Rule):
    """At most `cap` touches of one campaign to one member, ever."""

    cap: int

    def __post_init__(self) -> None:
        super().__post_init__()
        _at_least_one(self.name, "cap", self.cap)

    def can_close(self, touches: int) -> bool:
        """Whether there are as many as the cap."""
        return touches >= self.cap


@dataclass(frozen=True, kw_only=True)
class QuietHours(Rule):
    """Silence in `[start, end)` on the member's clock; an end before the start is tomorrow's.

    On public holidays also in `[holiday_start, holiday_end)` of that day, or all day where the two
    are the same. What waits for an opening is looked at again within `spread_minutes` of it.
    """

    start: time
    end: time
    holiday_start: time | None = None
    holiday_end: time | None = None
    spread_minutes: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.start == self.end:
            raise BadRule(self.name, "starts and ends at the same minute; give two different ones.")
        if (self.holiday_start is None) is not (self.holiday_end is None):
            raise BadRule(self.name, "needs both ends of its hours on holidays, or neither.")
        if self.spread_minutes is not None:
            _at_least_one(self.name, "spread_minutes", self.spread_minutes)


@dataclass(frozen=True, kw_only=True)
class Never(Rule):
    """What it selects is never sent: a platform allows the channel for other things only."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.selector == Selector():
            raise BadRule(self.name, "would stop every touch; name what it is about.")


@dataclass(frozen=True, kw_only=True)
class GrantRule(Rule):
    """The selected channels are closed unless a grant of the member is live and not used up.

    `allowance` and `seconds` are the most that the platform ever gives; a grant may give less.
    Without `seconds` a grant does not end by time.
    """

    allowance: int
    seconds: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _at_least_one(self.name, "allowance", self.allowance)
        if self.seconds is not None:
            _at_least_one(self.name, "seconds", self.seconds)
        if not self.selector.channels:
            raise BadRule(self.name, "needs the channels that the platform opens by a grant.")


@dataclass(frozen=True, slots=True)
class Policy:
    """A whole rule set with its version, and its bands, the highest first.

    Names are unique; a rule can select only bands that are there.
    """

    version: int
    rules: tuple[Rule, ...]
    bands: tuple[Band, ...] = DEFAULT_BANDS
    has_shadows: bool = field(init=False, repr=False, compare=False, default=False)
    # The longest span that one of the rules counts, a lifetime and an endless grant left aside.
    looks_back: timedelta = field(init=False, repr=False, compare=False, default=timedelta(0))

    def __post_init__(self) -> None:
        object.__setattr__(self, "has_shadows", any(rule.is_shadow for rule in self.rules))
        spans = [_span_of(rule) for rule in self.rules]
        object.__setattr__(self, "looks_back", max(spans, default=timedelta(0)))
        check_bands(self.bands)
        known = {band.name for band in self.bands}
        seen: set[str] = set()
        for rule in self.rules:
            if rule.name in seen:
                raise BadRule(rule.name, "stands twice; names must differ.")
            seen.add(rule.name)
            strange = sorted(rule.selector.bands - known)
            if strange:
                raise BadRule(
                    rule.name,
                    f"selects the band {strange[0]!r}; there are {', '.join(sorted(known))}.",
                )

    def floor_of(self, name: str) -> int:
        """Where a band begins; a name that no band has any more ranks lowest."""
        return next((band.floor for band in self.bands if band.name == name), LOWEST)

    def band_of(self, priority: int) -> Band:
        """The band that a priority falls into; the lowest takes what is below all."""
        return next((band for band in self.bands if priority >= band.floor), self.bands[-1])


def _span_of(rule: Rule) -> timedelta:
    """How far back a rule counts at most."""
    match rule:
        case RollingCap() | MinGap():
            return timedelta(seconds=rule.seconds)
        case GrantRule():
            return timedelta(seconds=rule.seconds or 0)
        case CalendarCap():
            return timedelta(days=_MOST_DAYS[rule.period])
        case _:
            return timedelta(0)


def is_zone(name: str) -> bool:
    """Whether `name` is a time zone that can be reckoned in."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _at_least_one(rule: str, what: str, number: object) -> None:
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise BadRule(
            rule,
            f"needs a whole {what} of at least 1; it has {number!r}. To lift the rule, remove it;"
            " to stop all that it selects, use a rule of the kind 'never'.",
        )
