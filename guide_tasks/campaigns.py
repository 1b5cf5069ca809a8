"""Campaigns before launch: writing one, seeing whom it would reach and what the gate says."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field, field_validator
from sqlalchemy import func
from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from fatigue.rules import Outcome
from guide_tasks import asks, assign, audience, looking
from store.audit import note
from store.campaigns import (
    UNLAUNCHED,
    AudienceMember,
    Campaign,
    CampaignMode,
    CampaignState,
    CommissionTo,
)
from store.coupons import CouponPlan
from store.errors import NotFound, WrongState
from store.members import Member
from store.orders import MemberFacts
from store.organisation import Guide, GuideStatus
from store.pieces import ContentPiece
from store.relations import Ownership
from store.touches import Category, Channel

# One round of the gate's queries a chunk.
_FORECAST_CHUNK = 1000


class CampaignForm(BaseModel):
    """What HQ fills in. Fallback channels are tried once a guide let the deadline pass.

    A broadcast in a guide's name comes first, then the account's channels in their order.
    """

    name: str = Field(min_length=1, max_length=60)
    category: Category = Category.CARE
    audience: dict[str, Any]
    audience_limit: int | None = Field(default=None, ge=1)
    holdout_percent: int = Field(default=10, ge=0, le=50)
    piece_code: str
    coupon_plan_id: int | None = None
    priority: int = Field(default=50, ge=0, le=100)
    fallback_channels: tuple[Channel, ...] = (Channel.WECHAT_SERVICE, Channel.WECHAT_NOTICE)
    deadline_at: datetime
    attribution_days: int = Field(default=14, ge=1, le=90)
    commission_bp: int = Field(default=200, ge=0, le=10_000)
    commission_cap_fen: int | None = Field(default=None, ge=0)
    commission_to: CommissionTo = CommissionTo.CARER
    mode: CampaignMode = CampaignMode.GUIDES
    fallback_hours: int = Field(default=72, ge=1, le=720)
    tasks_per_day: int | None = Field(default=None, ge=1)

    @field_validator("deadline_at")
    @classmethod
    def _aware(cls, instant: datetime) -> datetime:
        if instant.tzinfo is None:
            raise ValueError("deadline_at needs a time zone")
        return instant

    @field_validator("fallback_channels")
    @classmethod
    def _without_hands(cls, channels: tuple[Channel, ...]) -> tuple[Channel, ...]:
        if not asks.FALLBACKS.issuperset(channels):
            raise ValueError(f"fallback channels can be {', '.join(sorted(asks.FALLBACKS))}")
        return channels


class DeadlinePassed(WrongState):
    """A campaign cannot be written or launched after its own deadline."""

    def __init__(self, deadline_at: datetime) -> None:
        self.deadline_at = deadline_at
        super().__init__("campaign", "past its deadline", "launched")


@dataclass(frozen=True, slots=True)
class Preview:
    """Whom an audience holds: exact counts, money in fen."""

    members: int
    with_guide: int
    spent_365_fen: int
    shops: int


@dataclass(frozen=True, slots=True)
class Forecast:
    """What the gate would say today to the whole audience of a campaign, by first rule named."""

    reached: int
    deferred: int
    withheld: int
    by_rule: dict[str, int]


def write(
    session: Session, form: CampaignForm, *, brand_id: int, actor: str, now: datetime
) -> Campaign:
    """Write a draft; refuses an unreadable audience, a past deadline, an unknown piece or plan."""
    campaign = Campaign(**_facts(session, form, now), brand_id=brand_id, created_at=now)
    session.add(campaign)
    session.flush()
    note(session, actor, "campaign.write", subject=f"campaign:{campaign.id}", now=now)
    return campaign


def rewrite(
    session: Session, campaign: Campaign, form: CampaignForm, *, actor: str, now: datetime
) -> None:
    """Change a draft in place; refuses what `write` refuses, and whatever is no draft any more."""
    session.refresh(campaign, with_for_update=True)
    if campaign.state is not CampaignState.DRAFT:
        raise WrongState("campaign", campaign.state, CampaignState.DRAFT)
    for name, value in _facts(session, form, now).items():
        setattr(campaign, name, value)
    session.flush()
    note(session, actor, "campaign.rewrite", subject=f"campaign:{campaign.id}", now=now)


def _facts(session: Session, form: CampaignForm, now: datetime) -> dict[str, Any]:
    """A form that can be meant, as columns of a campaign."""
    if form.deadline_at <= now:
        raise DeadlinePassed(form.deadline_at)
    audience.members_of(form.audience, now=now)
    piece = session.exec(select(ContentPiece).where(ContentPiece.code == form.piece_code)).first()
    if piece is None:
        raise NotFound(f"There is no content piece {form.piece_code!r}.")
    if form.coupon_plan_id is not None and not session.get(CouponPlan, form.coupon_plan_id):
        raise NotFound(f"There is no coupon plan {form.coupon_plan_id}.")
    facts = form.model_dump(exclude={"piece_code", "fallback_channels"})
    channels = [channel.value for channel in form.fallback_channels]
    return facts | {"fallback_channels": channels, "piece_id": piece.id}


def by_token(session: Session, token: str) -> Campaign:
    """The campaign behind a public token."""
    campaign = session.exec(select(Campaign).where(Campaign.token == token)).first()
    if campaign is None:
        raise NotFound("There is no such campaign.")
    return campaign


def preview(session: Session, tree: dict[str, Any], *, limit: int | None, now: datetime) -> Preview:
    """Exact counts of an audience, in one query."""
    chosen = audience.members_of(tree, now=now, limit=limit).subquery()
    query = (
        select(
            func.count(),
            func.count(col(Guide.id)),
            func.coalesce(func.sum(MemberFacts.spent_365_fen), 0),
            func.count(func.distinct(Member.shop_id)),
        )
        .select_from(chosen)
        .join(Member, col(Member.id) == chosen.c.id)
        .join(MemberFacts, col(MemberFacts.member_id) == Member.id, isouter=True)
        .join(
            Ownership,
            (col(Ownership.member_id) == Member.id) & col(Ownership.until).is_(None),
            isouter=True,
        )
        .join(
            Guide,
            (col(Guide.id) == Ownership.guide_id) & (col(Guide.status) == GuideStatus.ACTIVE),
            isouter=True,
        )
    )
    members, with_guide, spent, shops = session.exec(query).one()
    return Preview(members, with_guide, int(spent), shops)


def forecast(session: Session, campaign: Campaign, *, now: datetime) -> Forecast:
    """Dry run of the gate over the audience, as if all were launched and sent now.

    Writes nothing. A member is reached by the guide or, where no guide can speak, by a fallback.
    """
    outcomes: Counter[Outcome] = Counter()
    rules: Counter[str] = Counter()
    ids = list(session.exec(audience_ids(campaign, now=now)).all())
    for start in range(0, len(ids), _FORECAST_CHUNK):
        chunk = sorted(ids[start : start + _FORECAST_CHUNK])
        choices = assign.choose(session, campaign.id, chunk, now=now)
        wishes = looking.first_looks(campaign, chunk, choices, occasion="forecast")
        for found in looking.asked(session, wishes, now=now):
            outcomes[found.outcome] += 1
            rules.update(violation.rule for violation in found.violations[:1])
    return Forecast(
        outcomes[Outcome.OPEN], outcomes[Outcome.DEFER], outcomes[Outcome.WITHHOLD], dict(rules)
    )


def audience_ids(campaign: Campaign, *, now: datetime) -> SelectOfScalar[int]:
    """The query of a campaign's member ids: frozen once launched, else as the tree says now."""
    if campaign.state in UNLAUNCHED:
        return audience.members_of(campaign.audience, now=now, limit=campaign.audience_limit)
    return select(AudienceMember.member_id).where(AudienceMember.campaign_id == campaign.id)
