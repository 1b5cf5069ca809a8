"""What the campaign form offers to choose from, and samples of what a campaign would say."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlmodel import Session, col, select

from content import drafts, picks, pieces
from content.examples import EXAMPLE
from content.pieces import all_pieces
from content.rule_readings import BAND_NAMES
from fatigue import policies
from guide_tasks import assign, audience
from store.coupons import CouponPlan
from store.levels import Level
from store.members import Member, mask
from store.organisation import Brand, Shop
from store.pieces import ContentPiece
from store.products import Product
from store.tags import Tag
from store.touches import Category

SAMPLES = 5
_CATEGORIES = 300


@dataclass(frozen=True, slots=True)
class PieceChoice:
    """A content piece with its words as a made-up member would read them."""

    code: str
    title: str
    category: str
    example: str


@dataclass(frozen=True, slots=True)
class Choices:
    """Every list of the form, as (code, name) pairs but for pieces."""

    pieces: list[PieceChoice]
    coupon_plans: list[tuple[str, str]]
    levels: list[tuple[str, str]]
    tags: list[tuple[str, str]]
    shops: list[tuple[str, str]]
    categories: list[str]
    bands: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Sample:
    """One member of the audience, masked, with the words that the guide would get."""

    name: str
    mobile: str
    level: str
    guide: str
    shop: str
    reason: str
    draft: str


def choices(session: Session) -> Choices:
    """What there is to choose from."""
    categories = (
        select(Product.category)
        .where(col(Product.is_active), Product.category != "")
        .distinct()
        .order_by(Product.category)
        .limit(_CATEGORIES)
    )
    return Choices(
        pieces=_pieces(session),
        coupon_plans=coupon_plans(session),
        levels=_pairs(session, select(Level.code, Level.name).order_by(col(Level.rank))),
        tags=_pairs(session, select(Tag.code, Tag.name).order_by(Tag.group_name, Tag.name)),
        shops=_pairs(session, select(Shop.code, Shop.name).order_by(Shop.code)),
        categories=list(session.exec(categories).all()),
        bands=[
            (band.name, BAND_NAMES.get(band.name, band.name))
            for band in policies.current(session).bands
        ],
    )


def coupon_plans(session: Session) -> list[tuple[str, str]]:
    """Codes and names of the coupon plans that can be given."""
    plans = select(CouponPlan.code, CouponPlan.name).where(col(CouponPlan.is_active))
    return _pairs(session, plans.order_by(CouponPlan.name))


def _pairs(session: Session, query: Any) -> list[tuple[str, str]]:
    return [(code, name) for code, name in session.exec(query).all()]


def _pieces(session: Session) -> list[PieceChoice]:
    """Care before marketing: what disturbs less is offered first."""
    found = [choice for choice in map(_piece, all_pieces(session)) if choice is not None]
    return sorted(found, key=lambda choice: choice.category != Category.CARE)


def _piece(piece: ContentPiece) -> PieceChoice | None:
    """The piece with its example; one that cannot be rendered is not offered."""
    try:
        example = pieces.render(piece.text, EXAMPLE)
    except pieces.BadPiece:
        return None
    return PieceChoice(piece.code, piece.title, piece.category, example)


def plan_keys(session: Session) -> dict[str, int]:
    """Keys of the coupon plans that can be given, by code."""
    query = select(CouponPlan.code, CouponPlan.id).where(col(CouponPlan.is_active))
    return dict(session.exec(query).all())


def first_brand(session: Session) -> Brand:
    """The brand that campaigns belong to: one deployment serves one brand so far."""
    return session.exec(select(Brand).order_by(col(Brand.id)).limit(1)).one()


def samples(
    session: Session, tree: dict[str, Any], *, piece_code: str, coupon: str, now: datetime
) -> list[Sample]:
    """The best customers of an audience with their own drafts, as launch would write them."""
    chosen = audience.members_of(tree, now=now, limit=SAMPLES).subquery()
    in_order = select(Member).join(chosen, chosen.c.id == Member.id).order_by(col(Member.id))
    members = session.exec(in_order).all()
    ids = [member.id for member in members]
    piece = session.exec(select(ContentPiece).where(ContentPiece.code == piece_code)).first()
    choices = assign.choose(session, 0, ids, now=now)
    guides = {member: choice.guide_id for member, choice in choices.items()}
    speakers = drafts.speakers(session, list(guides.values()))
    house = drafts.house_speaker(first_brand(session).name)
    facts = drafts.facts_of(session, ids, now=now)
    goods = _goods(session, facts, now)
    return [
        _sample(
            member,
            facts[member.id],
            speakers[guides[member.id]] if member.id in guides else house,
            piece,
            _Gift(goods[member.id][0].name if goods[member.id] else "", coupon),
        )
        for member in members
    ]


@dataclass(frozen=True, slots=True)
class _Gift:
    product: str
    coupon: str


def _goods(
    session: Session, facts: dict[int, drafts.DraftFacts], now: datetime
) -> dict[int, list[picks.Pick]]:
    best = picks.best_sellers(session, now=now)
    return picks.picks_for(session, {key: known.favourites for key, known in facts.items()}, best)


def _sample(
    member: Member,
    facts: drafts.DraftFacts,
    speaker: drafts.Speaker,
    piece: ContentPiece | None,
    gift: _Gift,
) -> Sample:
    masked = replace(facts, name=f"{member.name[:1]}**")
    variables = drafts.variables(
        masked, speaker, product=gift.product, coupon=gift.coupon, link=EXAMPLE.link
    )
    return Sample(
        name=masked.name,
        mobile=mask(member.mobile),
        level=facts.level,
        guide=speaker.name,
        shop=speaker.shop,
        reason=drafts.reason(facts),
        draft=pieces.render(piece.text, variables) if piece else "",
    )
