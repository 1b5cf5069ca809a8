"""A case before the gate, as plain values: what counts, what is asked, and the answer to it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from fatigue.bands import Band
from fatigue.rules import Outcome
from store.touches import Category, Channel

# A touch that a dry run only imagines has a number from here on: later than every one on record.
FIRST_IMAGINED = 2**62


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
    guide_id: int | None = None
    band: str = ""
    # Reserved and not fenced: it may still have to give way.
    is_reserved: bool = False


@dataclass(frozen=True, slots=True)
class Held:
    """A touch of a higher band that is to land at some moment of `[at, until]`, on any channel.

    From `expires_at` on it counts no more, and never for more than its band may hold.
    """

    campaign_id: int
    channels: frozenset[Channel]
    category: Category
    brand_id: int
    at: datetime
    until: datetime
    expires_at: datetime
    holder: Band
    guide_id: int | None = None

    @property
    def band(self) -> str:
        """The name of the band that holds."""
        return self.holder.name


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
    """May this be said on this channel? With all facts of the member that the answer needs.

    `holds` are those of bands above the asker's own.
    """

    channel: Channel
    category: Category
    brand_id: int
    campaign_id: int | None
    zone: ZoneInfo
    template_id: str = ""
    blocks: tuple[Block, ...] = ()
    windows: tuple[Window, ...] = ()
    deadline_at: datetime | None = None
    guide_id: int | None = None
    band: str = ""
    holds: tuple[Held, ...] = ()


@dataclass(frozen=True, slots=True)
class Violation:
    """One reason for silence. `retry_at` is when this rule alone opens; without it, never.

    `touches` and `holds` (the campaigns that hold) are what used it up. Of holds no more count
    than their bands may hold, so they can be more than `count` says.
    """

    rule: str
    channel: Channel
    count: int = 0
    cap: int = 0
    touches: tuple[int, ...] = ()
    retry_at: datetime | None = None
    holds: tuple[int, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The same as it stands in `Touch.verdict`."""
        return {
            "rule": self.rule,
            "channel": self.channel.value,
            "count": self.count,
            "cap": self.cap,
            "touches": list(self.touches),
            "holds": list(self.holds),
            "retry_at": self.retry_at.isoformat() if self.retry_at else None,
        }


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer for `channel`, best reason first: a reason that never ends, then the longest one.

    `passed_over` says why the channels before an open one were not taken; `shadow` what shadow
    rules would have said; `displaces` names the reserved touches that must give way to this one.
    """

    outcome: Outcome
    channel: Channel
    violations: tuple[Violation, ...] = ()
    retry_at: datetime | None = None
    passed_over: tuple[Violation, ...] = ()
    shadow: tuple[Violation, ...] = ()
    displaces: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """A verdict, and for a deferred ask when it is looked at again.

    That is the exact retry, or after a night a moment of its own soon after it.
    """

    verdict: Verdict
    wakes_at: datetime | None
