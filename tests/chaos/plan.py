"""What a storm asks of the gate: members, wishes and caps as plain values.

Every process makes the same ones again from their numbers, so nothing of the plan is passed around.
"""

import re
from dataclasses import dataclass
from datetime import time, timedelta
from random import Random
from typing import Any, TypeVar

from fatigue.policies import DEFAULT_RULES
from fatigue.rules import (
    CalendarCap,
    GrantRule,
    LifetimeCap,
    Period,
    QuietHours,
    RollingCap,
    Rule,
    Selector,
)
from store.touches import Category, Channel

SERVICE, NOTICE, TEMPLATE = (
    Channel.WECHAT_SERVICE,
    Channel.WECHAT_NOTICE,
    Channel.WECHAT_TEMPLATE,
)
BROADCAST, SMS = Channel.WECOM_BROADCAST, Channel.SMS
UNASKED = frozenset({Category.MARKETING, Category.CARE})
CAMPAIGNS = 12
NIGHT = (time(22), time(8))
_SOURCE = "the storm"
_DAY = timedelta(days=1)
_ALL = frozenset[Channel]()
_EVERY = frozenset[Category]()
# Most write in China; the others have another midnight and another night.
_ZONES = (None, None, None, None, "Asia/Urumqi", "Asia/Tokyo")
# How a wish may travel, best first, and how often.
_WAYS: dict[tuple[Channel, ...], int] = {
    (SERVICE,): 24,
    (BROADCAST,): 16,
    (NOTICE,): 10,
    (SMS,): 8,
    (NOTICE, SERVICE): 12,
    (SERVICE, BROADCAST): 12,
    (BROADCAST, SERVICE): 8,
    (SERVICE, SMS): 10,
}
# By template goes what the member's own business asks for, and nothing else.
_TEMPLATE_SHARE = 0.4
_CATEGORIES = {Category.MARKETING: 45, Category.CARE: 40, Category.SERVICE: 15}
_HOURS = (6, 24, 48, 72)
_PRIORITIES = (30, 50, 90)
# One in five wishes goes to one of the few whom everybody wants to reach.
_HOT_SHARE, _HOT_MEMBERS = 0.2, 0.05
_NUMBER = re.compile(r"\bs(\d{6})\b")
_Thing = TypeVar("_Thing")


@dataclass(frozen=True)
class Cap:
    """At most `most` touches in any `span`, in a day of the member's zone, or in a campaign."""

    name: str
    most: int
    span: timedelta | None = None
    is_daily: bool = False
    channels: frozenset[Channel] = _ALL
    categories: frozenset[Category] = _EVERY
    is_platform: bool = False


CAPS = (
    Cap("day", 2, is_daily=True, categories=UNASKED),
    Cap("week", 5, 7 * _DAY, categories=UNASKED),
    Cap("six hours", 1, timedelta(hours=6), categories=frozenset({Category.MARKETING})),
    Cap("gap", 1, timedelta(minutes=20), categories=UNASKED),
    Cap("campaign", 2, categories=UNASKED),
    Cap("hour", 2, timedelta(hours=1), channels=frozenset({SERVICE, NOTICE}), is_platform=True),
    Cap("guides", 2, 2 * _DAY, channels=frozenset({BROADCAST}), is_platform=True),
    Cap("mobile", 2, timedelta(hours=12), channels=frozenset({SMS}), is_platform=True),
)


@dataclass(frozen=True)
class Wish:
    """One touch that somebody wants; `hours` is how long it may wait."""

    number: int
    member: int
    channels: tuple[Channel, ...]
    category: Category
    campaign: int | None
    hours: int
    priority: int

    @property
    def key(self) -> str:
        """Its idempotency key."""
        return f"storm-{self.number}"

    @property
    def text(self) -> str:
        """Short enough for every channel, and different from every other."""
        return f"s{self.number:06} 您好"


def wish(number: int, members: int) -> Wish:
    """The wish of this number in a storm over so many members."""
    dice = Random(number)  # noqa: S311 -- a plan, no secret
    hot = max(1, int(members * _HOT_MEMBERS))
    category = _drawn(dice, _CATEGORIES)
    ways = _drawn(dice, _WAYS)
    if category is Category.SERVICE and dice.random() < _TEMPLATE_SHARE:
        ways = (TEMPLATE, *ways)
    return Wish(
        number,
        dice.randrange(hot if dice.random() < _HOT_SHARE else members),
        ways,
        category,
        dice.randrange(CAMPAIGNS) if category in UNASKED and dice.random() < 0.5 else None,
        dice.choice(_HOURS),
        dice.choice(_PRIORITIES),
    )


def number_in(words: str) -> int | None:
    """The number of the wish whose words these are."""
    found = _NUMBER.search(words)
    return int(found[1]) if found else None


def zone_of(member: int) -> str | None:
    """The own time zone of a member; none means the brand's."""
    return _ZONES[member % len(_ZONES)]


def members_for(touches: int) -> int:
    """Few enough that caps close for most of them."""
    return max(60, touches // 8)


def rules() -> list[Rule]:
    """The caps as rules of the gate, the night, and what the platforms themselves demand."""
    night = QuietHours(name="night", source=_SOURCE, start=NIGHT[0], end=NIGHT[1])
    grants = [rule for rule in DEFAULT_RULES if isinstance(rule, GrantRule)]
    return [*(_rule(cap) for cap in CAPS), night, *grants]


def _rule(cap: Cap) -> Rule:
    selector = Selector(channels=cap.channels, categories=cap.categories)
    facts: dict[str, Any] = {"name": cap.name, "source": _SOURCE, "is_platform": cap.is_platform}
    if cap.is_daily:
        return CalendarCap(**facts, selector=selector, cap=cap.most, period=Period.DAY)
    if cap.span is None:
        return LifetimeCap(**facts, selector=selector, cap=cap.most)
    seconds = int(cap.span.total_seconds())
    return RollingCap(**facts, selector=selector, cap=cap.most, seconds=seconds)


def _drawn(dice: Random, shares: dict[_Thing, int]) -> _Thing:
    return dice.choices(list(shares), weights=list(shares.values()))[0]
