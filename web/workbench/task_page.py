"""One care task as the guide sees it: who this is, why now, the words, the goods, how it stands."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session, col, select

from guide_tasks import progress
from store import coupons, points
from store.campaigns import WITH_GUIDE, Campaign, CareTask
from store.levels import Level
from store.members import Member, mask
from store.orders import MemberFacts, Order, OrderLine
from store.organisation import Shop
from store.products import Product
from store.tags import MemberTag, Tag
from store.touches import COUNTED, Channel, Touch, TouchState
from web.workbench import standing
from web.workbench.standing import Advice, Standing

_PURCHASES = 3
_GOODS_PER_PURCHASE = 3
_TOUCHES = 4
_COUPONS = 3


@dataclass(frozen=True, slots=True)
class Person:
    """The member, as far as a guide may know them."""

    name: str
    mobile: str
    level: str
    points: int
    orders: int
    spent_365_fen: int
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


@dataclass(frozen=True, slots=True)
class PastTouch:
    """An earlier message to the member."""

    at: datetime
    channel: Channel
    state: TouchState
    campaign: str


@dataclass(frozen=True, slots=True)
class Good:
    """A product of the list made for the member."""

    name: str
    category: str
    price_fen: int | None


@dataclass(frozen=True, slots=True)
class TaskView:
    """The whole page. `advice` is there while the task is open."""

    token: str
    campaign: str
    reason: str
    text: str
    deadline_at: datetime
    is_open: bool
    standing: Standing
    advice: Advice | None
    person: Person
    purchases: Sequence[Purchase]
    coupons: Sequence[OwnCoupon]
    touches: Sequence[PastTouch]
    goods: Sequence[Good]


def read(session: Session, task: CareTask, *, now: datetime) -> TaskView:
    """Everything on the page of one task."""
    is_open = task.state in WITH_GUIDE
    forecast = progress.advise(session, task, now=now) if is_open else None
    return TaskView(
        token=task.token,
        campaign=session.get_one(Campaign, task.campaign_id).name,
        reason=task.reason,
        text=task.text,
        deadline_at=task.deadline_at,
        is_open=is_open,
        standing=standing.of_task(session, task),
        advice=standing.advice_of(forecast) if forecast else None,
        person=_person(session, task.member_id, now),
        purchases=_purchases(session, task.member_id),
        coupons=_coupons(session, task.member_id, now),
        touches=_touches(session, task.member_id),
        goods=goods_of(session, task),
    )


def _person(session: Session, member_id: int, now: datetime) -> Person:
    query = (
        select(Member, Level.name, MemberFacts)
        .join(Level, col(Level.id) == Member.level_id, isouter=True)
        .join(MemberFacts, col(MemberFacts.member_id) == Member.id, isouter=True)
        .where(Member.id == member_id)
    )
    member, level, found = session.exec(query).one()
    facts: MemberFacts | None = found
    return Person(
        name=member.name,
        mobile=mask(member.mobile),
        level=level or "",
        points=points.balance(session, member_id),
        orders=facts.orders_count if facts is not None else 0,
        spent_365_fen=facts.spent_365_fen if facts is not None else 0,
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


def _purchases(session: Session, member_id: int) -> list[Purchase]:
    """The last orders, and the goods of all of them in one more query."""
    orders = session.exec(
        select(Order, Shop.name)
        .join(Shop, col(Shop.id) == Order.shop_id, isouter=True)
        .where(Order.member_id == member_id)
        .order_by(col(Order.paid_at).desc(), col(Order.id).desc())
        .limit(_PURCHASES)
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


def _coupons(session: Session, member_id: int, now: datetime) -> list[OwnCoupon]:
    """Usable coupons, the one that ends first on top."""
    usable = coupons.usable(session, member_id, now)
    found = [OwnCoupon(plan.name, coupon.expires_at) for coupon, plan in usable]
    return sorted(found, key=lambda coupon: coupon.expires_at)[:_COUPONS]


def _touches(session: Session, member_id: int) -> list[PastTouch]:
    query = (
        select(Touch, Campaign.name)
        .join(Campaign, col(Campaign.id) == Touch.campaign_id, isouter=True)
        .where(Touch.member_id == member_id, col(Touch.state).in_(COUNTED))
        .order_by(col(Touch.counted_at).desc(), col(Touch.id).desc())
        .limit(_TOUCHES)
    )
    return [
        PastTouch(touch.counted_at or touch.asked_at, touch.channel, touch.state, campaign or "")
        for touch, campaign in session.exec(query).all()
    ]


def goods_of(session: Session, task: CareTask) -> list[Good]:
    """The goods picked for the member, best first."""
    query = select(Product).where(col(Product.id).in_(task.picks))
    found = {product.id: product for product in session.exec(query).all()}
    chosen = [found[product_id] for product_id in task.picks if product_id in found]
    return [Good(product.name, product.category, product.price_fen) for product in chosen]
