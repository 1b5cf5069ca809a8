"""A member's touches with the gate's reasons in words: why not, until when, and what used it up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlmodel import Session, col, select

from content.rule_phrases import rule_phrase
from content.rule_readings import title
from content.touch_words import CATEGORY_NAMES, CHANNEL_NAMES, EVIDENCE_NAMES, STATE_NAMES
from store.campaigns import Campaign
from store.organisation import Guide
from store.touches import Channel, Touch, TouchState

PAGE = 20


@dataclass(frozen=True, slots=True)
class Why:
    """One reason for silence: the rule in words, how full it is, when it opens, who filled it."""

    words: str
    count: int
    cap: int
    until: datetime | None
    used_by: Sequence[str]


@dataclass(frozen=True, slots=True)
class Moment:
    """One touch on the timeline; `at` is when it was asked for."""

    at: datetime
    landed_at: datetime | None
    state: TouchState
    state_name: str
    channel: str
    category: str
    campaign: str
    campaign_token: str
    guide: str
    text: str
    retry_at: datetime | None
    failure: str
    evidence: str
    version: int
    reasons: Sequence[tuple[str, Sequence[Why]]]
    passed_over: Sequence[tuple[str, Sequence[Why]]]
    shadows: Sequence[str]


def moments(session: Session, member_id: int, *, skip: int) -> list[Moment]:
    """A page of the member's touches, the newest first, in two queries."""
    query: Any = (
        select(Touch, Campaign, Guide.name)
        .join(Campaign, col(Campaign.id) == Touch.campaign_id, isouter=True)
        .join(Guide, col(Guide.id) == Touch.guide_id, isouter=True)
        .where(Touch.member_id == member_id)
        .order_by(col(Touch.asked_at).desc(), col(Touch.id).desc())
        .offset(skip)
        .limit(PAGE)
    )
    rows = session.exec(query).all()
    used = _used(session, [touch for touch, _, _ in rows])
    return [_moment(touch, campaign, guide or "", used) for touch, campaign, guide in rows]


def _used(session: Session, touches: Sequence[Touch]) -> dict[int, str]:
    """What the touches that used caps up were, by id: a day, and a campaign where there was one."""
    ids = {
        key for touch in touches for violation in _violations(touch) for key in violation["touches"]
    }
    query: Any = (
        select(Touch.id, Touch.counted_at, Touch.channel, Campaign.name)
        .join(Campaign, col(Campaign.id) == Touch.campaign_id, isouter=True)
        .where(col(Touch.id).in_(ids))
    )
    return {
        key: f"{at:%m-%d} {campaign or CHANNEL_NAMES[channel]}" if at else (campaign or "")
        for key, at, channel, campaign in session.exec(query).all()
    }


def _violations(touch: Touch) -> list[dict[str, Any]]:
    return [*touch.verdict.get("violations", []), *touch.verdict.get("passed_over", [])]


def _moment(touch: Touch, campaign: Campaign | None, guide: str, used: Mapping[int, str]) -> Moment:
    told = touch.verdict
    return Moment(
        at=touch.asked_at,
        landed_at=touch.counted_at if touch.state is TouchState.SENT else None,
        state=touch.state,
        state_name=STATE_NAMES[touch.state],
        channel=CHANNEL_NAMES[touch.channel],
        category=CATEGORY_NAMES[touch.category],
        campaign=campaign.name if campaign else "",
        campaign_token=campaign.token if campaign else "",
        guide=guide,
        text=touch.text,
        retry_at=touch.retry_at,
        failure=touch.failure or "",
        evidence=EVIDENCE_NAMES[touch.evidence] if touch.evidence else "",
        version=told.get("policy_version", 0),
        reasons=_by_channel(told.get("violations", []), used),
        passed_over=_by_channel(told.get("passed_over", []), used),
        shadows=[title(one["rule"]) for one in told.get("shadow", [])],
    )


def _by_channel(
    found: Sequence[Mapping[str, Any]], used: Mapping[int, str]
) -> list[tuple[str, list[Why]]]:
    """Reasons under the channel that each is about, the channels in their order."""
    reasons: dict[str, list[Why]] = {}
    for one in found:
        channel = CHANNEL_NAMES[Channel(one["channel"])]
        reasons.setdefault(channel, []).append(_why(one, used))
    return list(reasons.items())


def _why(told: Mapping[str, Any], used: Mapping[int, str]) -> Why:
    until = told.get("retry_at")
    return Why(
        words=rule_phrase(told["rule"]),
        count=told.get("count", 0),
        cap=told.get("cap", 0),
        until=datetime.fromisoformat(until) if until else None,
        used_by=[used[key] for key in told.get("touches", []) if key in used],
    )
