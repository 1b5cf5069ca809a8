"""The rules of the gate as plain values (design.md §8): what may be said, how often and when.

Every rule selects touches, and all rules that select an ask must be open: none may loosen another.
Brand rules are the house's own manners, and service touches pass them; platform rules bind all.
A number that cannot be meant (0, negative, blank) is refused when the rule is built.
"""

from dataclasses import dataclass, field
from datetime import time
from enum import StrEnum
from typing import Final, Literal, Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from store.errors import Refusal
from store.touches import Category, Channel

DAYS_IN_PERIOD: Final = "days_in_period"
NO_GRANT = "no_grant"
# Names of reasons that are not rules of a policy; no rule may take one of them.
REASONS = frozenset(
    {"no_identity", "no_friendship", "opted_out", "no_consent", NO_GRANT}
    | {"past_deadline", "member_gone"}
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


class BadRule(Refusal):
    """A rule that cannot be meant."""

    def __init__(self, rule: str, sentence: str) -> None:
        self.rule = rule
        super().__init__(f"The rule {rule!r} {sentence}")


class Marked(Protocol):
    """What a selector looks at, of an ask and of a touch alike."""

    @property
    def channel(self) -> Channel: ...  # noqa: D102 -- see Touch
    @property
    def category(self) -> Category: ...  # noqa: D102 -- see Touch
    @property
    def brand_id(self) -> int: ...  # noqa: D102 -- see Touch
    @property
    def campaign_id(self) -> int | None: ...  # noqa: D102 -- see Touch


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """Which touches a rule is about; what is left out selects all."""

    channels: frozenset[Channel] = frozenset()
    categories: frozenset[Category] = frozenset()
    brand_id: int | None = None
    campaign_id: int | None = None

    def takes(self, thing: Marked) -> bool:
        """Whether `thing` falls under every part that is given."""
        return (
            (not self.channels or thing.channel in self.channels)
            and (not self.categories or thing.category in self.categories)
            and (self.brand_id is None or thing.brand_id == self.brand_id)
            and (self.campaign_id is None or thing.campaign_id == self.campaign_id)
        )


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A rule's name, where it comes from and whom it is about."""

    name: str
    source: str
    selector: Selector = field(default_factory=Selector)
    is_platform: bool = False

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
    """At least `seconds` between any two touches."""

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
    """Silence in `[start, end)` on the member's clock; an end before the start is tomorrow's."""

    start: time
    end: time

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.start == self.end:
            raise BadRule(self.name, "starts and ends at the same minute; give two different ones.")


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
    """A whole rule set with its version; names are unique in it."""

    version: int
    rules: tuple[Rule, ...]

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for rule in self.rules:
            if rule.name in seen:
                raise BadRule(rule.name, "stands twice; names must differ.")
            seen.add(rule.name)


def is_zone(name: str) -> bool:
    """Whether `name` is a time zone that can be reckoned in."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _at_least_one(rule: str, what: str, number: object) -> None:
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise BadRule(rule, f"needs a whole {what} of at least 1; it has {number!r}.")
