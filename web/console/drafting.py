"""From the posted form to a draft, a preview, or the form again with what is wrong."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlmodel import Session, select

from content import form_words
from content.pieces import BadPiece
from fatigue import policies
from guide_tasks import campaigns
from guide_tasks.audience import BadAudience
from guide_tasks.campaigns import CampaignForm
from store.campaigns import Campaign
from store.coupons import CouponPlan
from store.errors import NotFound
from store.pieces import ContentPiece
from store.touches import Category
from web.console import choices, naming
from web.console.forms import (
    USUAL_PRIORITY,
    FilledIn,
    NotFilledIn,
    Problem,
    blank,
    filled_from_tree,
    read_audience,
    read_campaign,
    with_preset,
)
from web.console.settings import filled_from_settings

_DEADLINE_DAYS = 3
_DEADLINE_HOUR = 20

Problems = Mapping[str, Problem]


def start(zone: ZoneInfo, now: datetime) -> FilledIn:
    """A fresh form with a deadline in three days, in the evening."""
    day = now.astimezone(zone) + timedelta(days=_DEADLINE_DAYS)
    return blank(day.replace(hour=_DEADLINE_HOUR, minute=0), zone)


def copy_of(session: Session, token: str, zone: ZoneInfo, now: datetime) -> FilledIn:
    """A form like another campaign, with a new deadline."""
    other = filled_from(session, campaigns.by_token(session, token), zone)
    return other.model_copy(update={"deadline": start(zone, now).deadline})


def filled_from(session: Session, other: Campaign, zone: ZoneInfo) -> FilledIn:
    """The form of a campaign that is there."""
    plan = session.get(CouponPlan, other.coupon_plan_id) if other.coupon_plan_id else None
    return blank(other.deadline_at, zone).model_copy(
        update=filled_from_tree(other.audience)
        | filled_from_settings(other)
        | {
            "name": other.name,
            "category": other.category,
            "piece_code": session.get_one(ContentPiece, other.piece_id).code,
            "coupon_plan": plan.code if plan else "",
            "holdout_percent": str(other.holdout_percent),
            "attribution_days": str(other.attribution_days),
            "audience_limit": str(other.audience_limit or ""),
            "band": policies.current(session).band_of(other.priority).name,
        }
    )


def save(
    session: Session,
    posted: FilledIn,
    *,
    actor: str,
    zone: ZoneInfo,
    now: datetime,
    instead_of: Campaign | None = None,
) -> Campaign | Problems:
    """The draft, new or changed; or what is wrong with the form: nothing is written then."""
    try:
        form = read_campaign(
            with_preset(posted),
            coupon_plans=choices.plan_keys(session),
            bands=_priorities(session, instead_of),
            zone=zone,
            now=now,
        )
        if _hides_marketing(session, form):
            return {"category": Problem("is_marketing")}
        if instead_of is not None:
            campaigns.rewrite(session, instead_of, form, actor=actor, now=now)
            return instead_of
        brand = choices.first_brand(session)
        return campaigns.write(session, form, brand_id=brand.id, actor=actor, now=now)
    except NotFilledIn as problem:
        return problem.problems
    except BadAudience as problem:
        return _unreadable(problem)
    except NotFound:
        return {"piece_code": Problem("unknown")}


def _priorities(session: Session, before: Campaign | None) -> dict[str, int]:
    """The priority that a band stands for; within its own band a campaign keeps its priority."""
    policy = policies.current(session)
    usual = before.priority if before is not None else USUAL_PRIORITY
    own = policy.band_of(usual).name
    return {band.name: usual if band.name == own else band.floor for band in policy.bands}


def _hides_marketing(session: Session, form: CampaignForm) -> bool:
    """Whether words written as marketing would go out under the looser caps of care."""
    piece = session.exec(select(ContentPiece).where(ContentPiece.code == form.piece_code)).first()
    is_marketing = piece is not None and piece.category is Category.MARKETING
    return is_marketing and form.category is not Category.MARKETING


def preview(session: Session, posted: FilledIn, *, now: datetime) -> dict[str, Any]:
    """The form with whom it would reach: exact counts, and a few members with their drafts."""
    filled = with_preset(posted)
    try:
        fields = read_audience(filled)
        tree = fields.tree()
        seen = campaigns.preview(session, tree, limit=fields.audience_limit, now=now)
        names = naming.names(session, tree)
        samples = _samples(session, filled, tree, now)
    except NotFilledIn as problem:
        return again(filled, problem.problems)
    except BadAudience as problem:
        return again(filled, _unreadable(problem))
    except BadPiece as problem:
        return again(
            filled,
            {"piece_code": Problem("piece", {"words": form_words.PIECE_FAULTS[problem.fault]})},
        )
    return {"filled": filled, "seen": seen, "tree": tree, "names": names, "samples": samples}


def again(filled: FilledIn, problems: Problems) -> dict[str, Any]:
    """The form as it was filled in, with what is wrong."""
    return {"filled": with_preset(filled), "problems": problems}


def _samples(
    session: Session, filled: FilledIn, tree: dict[str, Any], now: datetime
) -> list[choices.Sample]:
    offered = dict(choices.coupon_plans(session))
    coupon = offered.get(filled.coupon_plan, "")
    return choices.samples(session, tree, piece_code=filled.piece_code, coupon=coupon, now=now)


def _unreadable(problem: BadAudience) -> Problems:
    words = form_words.audience_fault(problem.where, problem.fault, problem.facts)
    return {"audience_json": Problem("audience", {"words": words})}
