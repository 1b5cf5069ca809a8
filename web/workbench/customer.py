"""A customer as a guide may know them: who this is, what they bought, hold, and heard from us."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import Session, col, select

from content.rule_phrases import rule_phrase
from store import coupons, points
from store.campaigns import Campaign
from store.levels import Level
from store.members import Member, mask
from store.orders import MemberFacts, Order, OrderLine
from store.organisation import Shop
from store.products import Product
from store.tags import MemberTag, Tag
from store.touches import COUNTED, Channel, Touch, TouchState

_PURCHASES = 3
_GOODS_PER_PURCHASE = 3
_TOUCHES = 4
_COUPONS = 3
_SOON = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Person:
    """The member; `expiring` are points that end within thirty days."""

    card_no: str
    name: str
    mobile: str
    level: str
    points: int
    expiring: int
    orders: int
    spent_365_fen: int
    last_order_at: datetime | None
    favourites: Sequence[str]
    tags: Sequence[str]


@dataclass(frozen=True, slots=True)
class Purchase:
    """One order: `goods` are the dearest lines, `lines` how many there were."""

    paid_at: datetime
    amount_fen: int
    shop: str
    goods: Sequence[str]
    lines: int


@dataclass(frozen=True, slots=True)
class OwnCoupon:
    """A coupon that the member could use."""

    name: str
    expires_at: datetime
    is_ending: bool


@dataclass(frozen=True, slots=True)
class PastTouch:
    """An earlier message to the member; `why` says what kept it from going out."""

    at: datetime
    channel: Channel | None
    state: TouchState
    campaign: str
    why: str


def person(session: Session, member_id: int, now: datetime) -> Person:
    """Who this is, in a few facts."""
    query = (
        select(Member, Level.name, MemberFacts)
        .join(Level, col(Level.id) == Member.level_id, isouter=True)
        .join(MemberFacts, col(MemberFacts.member_id) == Member.id, isouter=True)
        .where(Member.id == member_id)
    )
    member, level, found = session.exec(query).one()
    facts: MemberFacts | None = found
    return Person(
        card_no=member.card_no,
        name=member.name,
        mobile=mask(member.mobile),
        level=level or "",
        points=points.balance(session, member_id),
        expiring=points.expiring(session, member_id, before=now + _SOON, now=now),
        orders=facts.orders_count if facts is not None else 0,
        spent_365_fen=facts.spent_365_fen if facts is not None else 0,
        last_order_at=facts.last_order_at if facts is not None else None,
        favourites=facts.favourite_categories[:3] if facts is not None else [],
        tags=_tags(session, member_id, now),
    )


def _tags(session: Session, member_id: int, now: datetime) -> list[str]:
    query = (
        select(Tag.name)
        .join(MemberTag, col(MemberTag.tag_id) == Tag.id)
        .where(MemberTag.member_id == member_id)
        .where(col(MemberTag.expires_at).is_(None) | (col(MemberTag.expires_at) > now))
        .order_by(Tag.group_name, Tag.name)
    )
    return list(session.exec(query).all())


def purchases(session: Session, member_id: int, *, most: int = _PURCHASES) -> list[Purchase]:
    """The last orders, and the goods of all of them in one more query."""
    orders = session.exec(
        select(Order, Shop.name)
        .join(Shop, col(Shop.id) == Order.shop_id, isouter=True)
        .where(Order.member_id == member_id)
        .order_by(col(Order.paid_at).desc(), col(Order.id).desc())
        .limit(most)
    ).all()
    names = _names(session, [order.id for order, _ in orders])
    return [
        Purchase(
            paid_at=order.paid_at,
            amount_fen=order.amount_fen - order.refunded_fen,
            shop=shop or "",
            goods=names[order.id][:_GOODS_PER_PURCHASE],
            lines=len(names[order.id]),
        )
        for order, shop in orders
    ]


def _names(session: Session, order_ids: Sequence[int]) -> dict[int, list[str]]:
    query = (
        select(OrderLine.order_id, Product.name)
        .join(Product, col(Product.id) == OrderLine.product_id)
        .where(col(OrderLine.order_id).in_(order_ids))
        .order_by(col(OrderLine.amount_fen).desc(), col(OrderLine.line_no))
    )
    names: dict[int, list[str]] = {order_id: [] for order_id in order_ids}
    for order_id, name in session.exec(query).all():
        names[order_id].append(name)
    return names


def usable_coupons(session: Session, member_id: int, now: datetime) -> list[OwnCoupon]:
    """Usable coupons, the one that ends first on top."""
    soon = now + timedelta(days=7)
    usable = coupons.usable(session, member_id, now)
    found = [
        OwnCoupon(plan.name, coupon.expires_at, coupon.expires_at < soon) for coupon, plan in usable
    ]
    return sorted(found, key=lambda coupon: coupon.expires_at)[:_COUPONS]


def touches(session: Session, member_id: int) -> list[PastTouch]:
    """What the member heard last, and what was kept from them, newest first."""
    query = (
        select(Touch, Campaign.name)
        .join(Campaign, col(Campaign.id) == Touch.campaign_id, isouter=True)
        .where(Touch.member_id == member_id)
        .where(col(Touch.state).in_(COUNTED | {TouchState.WITHHELD}))
        .order_by(col(Touch.asked_at).desc(), col(Touch.id).desc())
        .limit(_TOUCHES)
    )
    return [_past(touch, campaign or "") for touch, campaign in session.exec(query).all()]


def _past(touch: Touch, campaign: str) -> PastTouch:
    violations = touch.verdict.get("violations", [])
    is_withheld = touch.state is TouchState.WITHHELD
    why = rule_phrase(str(violations[0]["rule"])) if is_withheld and violations else ""
    at = touch.counted_at or touch.asked_at
    return PastTouch(at, touch.channel, touch.state, campaign, why)
