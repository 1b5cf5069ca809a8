"""What is asked of the gate and what it forecasts, as plain values; and how touches keep both."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from fatigue.case import Answer, Verdict, Violation
from fatigue.rules import Outcome
from store.errors import Refusal
from store.touches import Category, Channel, Touch, TouchState, move_touch

# What a touch that was decided before says to the same ask again.
_OUTCOMES = {
    TouchState.ASKED: Outcome.DEFER,
    TouchState.RESERVED: Outcome.OPEN,
    TouchState.SENDING: Outcome.OPEN,
    TouchState.SENT: Outcome.OPEN,
    TouchState.UNKNOWN: Outcome.OPEN,
    TouchState.FAILED: Outcome.WITHHOLD,
    TouchState.WITHHELD: Outcome.WITHHOLD,
    TouchState.RELEASED: Outcome.WITHHOLD,
}


STATES = {
    Outcome.OPEN: TouchState.RESERVED,
    Outcome.DEFER: TouchState.ASKED,
    Outcome.WITHHOLD: TouchState.WITHHELD,
}


class KeyReused(Refusal):
    """A key that stands for one touch was used to ask for another."""

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__(f"The key {key!r} already stands for a touch with another content.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One wish to reach a member; `channels` best first. The same `key` is the same touch."""

    key: str
    member_id: int
    channels: tuple[Channel, ...]
    category: Category
    brand_id: int
    campaign_id: int | None = None
    care_task_id: int | None = None
    guide_id: int | None = None
    priority: int = 50
    text: str = ""
    payload: dict[str, Any] = field(default_factory=dict)
    deadline_at: datetime | None = None

    def __post_init__(self) -> None:
        if not self.channels:
            raise ValueError("An ask needs at least one channel.")
        if Channel.WECOM_APP in self.channels:
            raise ValueError("wecom_app reaches guides, who get notices; members get touches.")


class Forecast(NamedTuple):
    """What the gate would say to one ask now; `touch_id` is a touch that has the key already."""

    key: str
    member_id: int
    verdict: Verdict
    touch_id: int | None = None

    @property
    def outcome(self) -> Outcome:
        """Open, defer or withhold."""
        return self.verdict.outcome

    @property
    def violations(self) -> tuple[Violation, ...]:
        """Every reason against it, the longest first."""
        return self.verdict.violations

    @property
    def retry_at(self) -> datetime | None:
        """When it would go, if it is deferred."""
        return self.verdict.retry_at


def check_same(touch: Touch, wish: Ask) -> None:
    """Refuse an ask whose key stands for something else."""
    theirs = (touch.member_id, touch.category, touch.campaign_id, touch.text)
    if theirs != (wish.member_id, wish.category, wish.campaign_id, wish.text):
        raise KeyReused(wish.key)


def facts_of(wish: Ask) -> dict[str, Any]:
    """What an ask says, as columns of a touch."""
    return {
        "key": wish.key,
        "member_id": wish.member_id,
        "channels": list(wish.channels),
        "category": wish.category,
        "brand_id": wish.brand_id,
        "campaign_id": wish.campaign_id,
        "care_task_id": wish.care_task_id,
        "guide_id": wish.guide_id,
        "priority": wish.priority,
        "text": wish.text,
        "payload": wish.payload,
        "deadline_at": wish.deadline_at,
    }


def ask_of(touch: Touch) -> Ask:
    """The ask that a touch came from."""
    return Ask(
        key=touch.key,
        member_id=touch.member_id,
        channels=tuple(Channel(name) for name in touch.channels) or (touch.channel,),
        category=touch.category,
        brand_id=touch.brand_id,
        campaign_id=touch.campaign_id,
        care_task_id=touch.care_task_id,
        guide_id=touch.guide_id,
        priority=touch.priority,
        text=touch.text,
        payload=touch.payload,
        deadline_at=touch.deadline_at,
    )


def as_json(found: Verdict, version: int) -> dict[str, Any]:
    """A verdict as it stands in `Touch.verdict`."""
    return {
        "outcome": found.outcome.value,
        "channel": found.channel.value,
        "policy_version": version,
        "retry_at": found.retry_at.isoformat() if found.retry_at else None,
        "violations": [violation.as_json() for violation in found.violations],
        "passed_over": [violation.as_json() for violation in found.passed_over],
        "shadow": [violation.as_json() for violation in found.shadow],
        "displaces": list(found.displaces),
    }


def settle_verdict(
    touch: Touch, told: Answer, version: int, lease_until: datetime, now: datetime
) -> None:
    """Write a new verdict into a locked touch."""
    found = told.verdict
    move_touch(touch, STATES[found.outcome], now=now)
    touch.channel = found.channel
    touch.retry_at = told.wakes_at
    touch.verdict = as_json(found, version)
    touch.lease_until = lease_until if found.outcome is Outcome.OPEN else None
    touch.counted_at = now if found.outcome is Outcome.OPEN else None


def as_it_stands(touch: Touch) -> Verdict:
    """The verdict that a touch carries already; where an older version wrote less, with less."""
    told = touch.verdict
    return Verdict(
        _OUTCOMES[touch.state],
        touch.channel,
        _reasons(told, "violations"),
        touch.retry_at,
        _reasons(told, "passed_over"),
        _reasons(told, "shadow"),
        tuple(told.get("displaces", ())),
    )


def _reasons(told: dict[str, Any], name: str) -> tuple[Violation, ...]:
    return tuple(
        Violation(
            rule=row["rule"],
            channel=Channel(row["channel"]),
            count=row["count"],
            cap=row["cap"],
            touches=tuple(row["touches"]),
            retry_at=datetime.fromisoformat(row["retry_at"]) if row["retry_at"] else None,
            holds=tuple(row.get("holds", ())),
        )
        for row in told.get(name, ())
    )
