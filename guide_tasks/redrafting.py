"""A draft anew: the words of a task for another guide, who signs them."""

import re
from collections.abc import Sequence
from datetime import datetime

from sqlmodel import Session, col, select

from content import drafts, pieces, tones
from content.pieces import MemberVariables
from content.tones import Tone
from store.bulk import among
from store.campaigns import Campaign, CareTask
from store.coupons import Coupon, CouponPlan
from store.pieces import ContentPiece
from store.products import Product

_LINK = re.compile(r"https?://\S+/m/picks/[\w-]+")


def redraft(session: Session, tasks: Sequence[CareTask], *, now: datetime) -> None:
    """Write the drafts of these tasks in the name of their guides; some queries for all of them.

    What the guide before had edited is dropped: it speaks in that guide's name.
    """
    if not tasks:
        return
    found = _variables(session, tasks, now)
    for task in tasks:
        task.edited_text = None
        if task.id in found:
            piece = _piece(session, task)
            task.draft = pieces.render_many(piece.text, [found[task.id]])[0] or task.draft


def in_tone(session: Session, task: CareTask, tone: Tone, *, now: datetime) -> str:
    """Other words for the guide of a task; changes nothing."""
    found = _variables(session, [task], now)
    return tones.words(tone, found[task.id], purpose=_piece(session, task).purpose)


def _piece(session: Session, task: CareTask) -> ContentPiece:
    campaign = session.get_one(Campaign, task.campaign_id)
    return session.get_one(ContentPiece, campaign.piece_id)


def _variables(
    session: Session, tasks: Sequence[CareTask], now: datetime
) -> dict[int, MemberVariables]:
    """What can be said, by task id; nothing for a task without a guide who would say it."""
    known = drafts.facts_of(session, [task.member_id for task in tasks], now=now)
    speakers = drafts.speakers(session, [t.guide_id for t in tasks if t.guide_id is not None])
    products = _first_goods(session, tasks)
    campaigns = {task.campaign_id: session.get_one(Campaign, task.campaign_id) for task in tasks}
    coupons = {campaign.id: _coupons(session, campaign, tasks) for campaign in campaigns.values()}
    found: dict[int, MemberVariables] = {}
    for task in tasks:
        speaker = speakers.get(task.guide_id) if task.guide_id is not None else None
        if speaker is None:
            continue
        link = _LINK.search(task.draft)
        found[task.id] = drafts.variables(
            known[task.member_id],
            speaker,
            product=products.get(task.picks[0], "") if task.picks else "",
            coupon=coupons[task.campaign_id].get(task.member_id, ""),
            link=link[0] if link else "",
        )
    return found


def _first_goods(session: Session, tasks: Sequence[CareTask]) -> dict[int, str]:
    first = {task.picks[0] for task in tasks if task.picks}
    query = select(Product.id, Product.name).where(among(Product.id, first))
    return dict(session.exec(query).all())


def _coupons(session: Session, campaign: Campaign, tasks: Sequence[CareTask]) -> dict[int, str]:
    """The name of the campaign's coupon, for those who got one."""
    if campaign.coupon_plan_id is None:
        return {}
    query = (
        select(Coupon.source_id, CouponPlan.name)
        .join(CouponPlan, col(CouponPlan.id) == Coupon.plan_id)
        .where(Coupon.reason == f"campaign-{campaign.id}")
        .where(col(Coupon.source_id).in_([str(task.member_id) for task in tasks]))
    )
    return {int(source): name for source, name in session.exec(query).all()}
