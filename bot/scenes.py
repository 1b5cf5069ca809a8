"""Scenes as a QR code carries them, and what follows when somebody comes by one.

A code brings `<letter>_<token>`. What else arrives as a scene may be of an older system, too long
or hostile: nothing of ours, so it is counted in the log and otherwise taken for no scene at all.
"""

import logging
import re
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session

from store import members, relations, scenes
from store.campaigns import Campaign, CampaignState
from store.coupons import CouponPlan
from store.members import Identity
from store.organisation import Guide, GuideStatus, Shop
from store.scene_subjects import SceneKind
from store.scenes import Scene, VisitKind
from store.tokens import digest

_log = logging.getLogger(__name__)

# wechat-oa.md §8: a longer scene_str is refused for permanent codes, not for temporary ones.
LONGEST = 64
_LETTERS = {SceneKind.SHOP: "s", SceneKind.GUIDE: "g", SceneKind.CAMPAIGN: "c"}
_KINDS = {letter: kind for kind, letter in _LETTERS.items()}
_PACKED = re.compile(r"([sgc])_([A-Za-z0-9_-]{22})", re.ASCII)


@dataclass(frozen=True)
class Came:
    """By whose code somebody came; `is_own` when that guide is the person's own from now on."""

    shop: Shop | None = None
    guide: Guide | None = None
    is_own: bool = False
    campaign: str = ""
    offer: str = ""


PLAIN = Came()


def pack(kind: SceneKind, token: str) -> str:
    """What the code of a scene brings with it."""
    packed = f"{_LETTERS[kind]}_{token}"
    assert len(packed) <= LONGEST
    return packed


def unpack(text: str) -> tuple[SceneKind, str] | None:
    """Kind and token of a scene of ours."""
    match = _PACKED.fullmatch(text) if len(text) <= LONGEST else None
    return (_KINDS[match[1]], match[2]) if match else None


def arrive(
    session: Session, text: str, *, identity: Identity, kind: VisitKind, now: datetime
) -> Came:
    """Write down by which code somebody came, and give what the welcome may name."""
    scene = _scene(session, text, identity.account)
    if scene is None:
        return PLAIN
    scenes.visit(session, scene, identity.id, kind, now=now)
    if scene.shop_id is not None:
        return _at_shop(session, identity, session.get_one(Shop, scene.shop_id))
    if scene.guide_id is not None:
        return _to_guide(session, identity, session.get_one(Guide, scene.guide_id), now)
    return _by_campaign(session, scene, now)


def _scene(session: Session, text: str, app_id: str) -> Scene | None:
    if not text:
        return None
    ours = unpack(text)
    scene = scenes.found(session, *ours, app_id=app_id) if ours else None
    if scene is None:
        # Its words may be anything, so the log can only tell it from others.
        _log.warning("An unknown scene of %s characters came: %s.", len(text), digest(text)[:12])
    return scene


def _at_shop(session: Session, identity: Identity, shop: Shop) -> Came:
    member = members.lock(session, identity.member_id)
    # The first shop somebody comes to is theirs until the brand says otherwise.
    if member.shop_id is None and member.brand_id == shop.brand_id:
        member.shop_id = shop.id
        session.flush()
    return Came(shop=shop)


def _to_guide(session: Session, identity: Identity, guide: Guide, now: datetime) -> Came:
    """First touch: whoever has no guide in post gets the one whose code the brand handed out."""
    shop = session.get_one(Shop, guide.shop_id)
    at_shop = _at_shop(session, identity, shop)
    if guide.status is not GuideStatus.ACTIVE:
        return at_shop
    # `_at_shop` has locked the member, so that two codes scanned at once give one owner.
    own = relations.guide_of(session, identity.member_id)
    if own is None:
        relations.own(session, identity.member_id, guide.id, now=now)
    return Came(shop=shop, guide=guide, is_own=own is None or own.id == guide.id)


def _by_campaign(session: Session, scene: Scene, now: datetime) -> Came:
    campaign = session.get_one(Campaign, scene.campaign_id)
    if campaign.state is not CampaignState.RUNNING or campaign.deadline_at <= now:
        return PLAIN
    plan = session.get(CouponPlan, campaign.coupon_plan_id) if campaign.coupon_plan_id else None
    return Came(campaign=campaign.name, offer=plan.name if plan and plan.is_active else "")
