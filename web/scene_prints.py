"""The codes of scenes as people see them: whose each one is, its picture, and who came by it."""

import io
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import segno
from markupsafe import Markup
from sqlalchemy import func
from sqlalchemy import select as select_columns
from sqlmodel import Session, col, select

from store.accounts import Account, Platform
from store.campaigns import Campaign
from store.coupons import CouponPlan
from store.organisation import Guide, Shop
from store.scene_subjects import SceneKind
from store.scenes import Scene, SceneState, Visit, VisitKind

Form = Literal["svg", "png"]
MEDIA: dict[Form, str] = {"svg": "image/svg+xml", "png": "image/png"}
# About 600 pixels: sharp at five centimetres on paper.
_PNG_SCALE = 16
# The white margin that readers need.
_QUIET = 4


@dataclass(frozen=True, slots=True)
class Print:
    """One code. `key` is how others name its subject; `under` is a place, a shop or an offer."""

    token: str
    kind: SceneKind
    key: str
    title: str
    under: str
    state: SceneState
    failure: str
    url: str
    life_days: int | None
    expires_at: datetime | None
    follows: int
    scans: int

    def is_good(self, now: datetime) -> bool:
        """Whether the code may be printed: made, and not at its end."""
        return self.state is SceneState.READY and (self.expires_at is None or self.expires_at > now)


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which codes: of a kind, of one shop and its guides, those after a token."""

    kind: SceneKind | None = None
    shop: str = ""
    after: str = ""
    # WeCom draws its codes itself, so that only those of WeChat can be drawn here.
    platform: Platform = Platform.WECHAT


def drawn(url: str, form: Form) -> bytes:
    """The picture of a code."""
    out = io.BytesIO()
    code = segno.make_qr(url, error="m")
    scale = _PNG_SCALE if form == "png" else 1
    code.save(out, kind=form, border=_QUIET, scale=scale)
    return out.getvalue()


def inline(url: str) -> Markup:
    """The picture of a code inside a page; the page gives it its size."""
    code = segno.make_qr(url, error="m").svg_inline(border=_QUIET, omitsize=True)
    return Markup(code)  # noqa: S704 -- drawn by segno, holds no text of a person


def listed(session: Session, chosen: Chosen, *, limit: int) -> tuple[list[Print], str]:
    """So many codes in the order they were asked for, and the token to go on after, if any."""
    rows = session.execute(_query(chosen).limit(limit + 1)).all()
    prints = [_print(*row) for row in rows[:limit]]
    return prints, prints[-1].token if len(rows) > limit else ""


def _query(chosen: Chosen) -> Any:
    at_shop = func.coalesce(col(Scene.shop_id), col(Guide.shop_id))
    query: Any = (
        select_columns(Scene, Guide, Shop, Campaign, CouponPlan, *_visits())
        .outerjoin(Guide, col(Guide.id) == Scene.guide_id)
        .outerjoin(Shop, col(Shop.id) == at_shop)
        .outerjoin(Campaign, col(Campaign.id) == Scene.campaign_id)
        .outerjoin(CouponPlan, col(CouponPlan.id) == Campaign.coupon_plan_id)
        .join(Account, col(Account.id) == Scene.account_id)
        .where(col(Account.platform) == chosen.platform)
        .order_by(col(Scene.id))
    )
    if chosen.kind is not None:
        query = query.where(col(Scene.kind) == chosen.kind)
    if chosen.shop:
        query = query.where(col(Shop.code) == chosen.shop)
    if chosen.after:
        last = select(Scene.id).where(Scene.token == chosen.after).scalar_subquery()
        query = query.where(col(Scene.id) > last)
    return query


def _visits() -> list[Any]:
    return [
        select_columns(func.count())
        .where(col(Visit.scene_id) == col(Scene.id), col(Visit.kind) == kind)
        .correlate(Scene)
        .scalar_subquery()
        for kind in (VisitKind.FOLLOW, VisitKind.SCAN)
    ]


def _print(
    scene: Scene, guide: Guide | None, shop: Shop | None, campaign: Campaign | None, *more: Any
) -> Print:
    plan, follows, scans = more
    if campaign is not None:
        named = (campaign.token, campaign.name, plan.name if plan else "")
    elif guide is not None:
        named = (guide.userid, guide.name, shop.name if shop else "")
    else:
        assert shop is not None
        named = (shop.code, shop.name, shop.address)
    return Print(
        scene.token,
        scene.kind,
        *named,
        state=scene.state,
        failure=scene.failure,
        url=scene.url,
        life_days=scene.life_days,
        expires_at=scene.expires_at,
        follows=follows,
        scans=scans,
    )
