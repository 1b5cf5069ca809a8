"""Rows of the record as tests need them: one obvious default each, every fact by keyword.

Whatever has an act is made by that act, so that tests see rows as the product writes them.
"""

from datetime import datetime, timedelta
from itertools import count
from typing import Any, TypeVar

from sqlmodel import Session, select

from store import coupons, orders, points, points_shop
from store.campaigns import Campaign, CareTask, TaskState
from store.coupons import Coupon, CouponKind, CouponPlan
from store.levels import Level
from store.members import Identity, IdentityChannel, Member
from store.orders import LineForm, MemberRef, OrderForm, Placed
from store.organisation import Brand, Guide, GuideRole, Shop
from store.pieces import ContentPiece
from store.points_shop import ShopItem
from store.products import Product
from store.tags import Tag
from store.touches import Category, Channel, Touch, TouchState
from tests.times import at

NOW = at("2026-03-01 14:00")
SOURCE = "till"
_number = count(1)
Row = TypeVar("Row")


def number() -> int:
    """A number that no other row of this run has."""
    return next(_number)


def a_mobile() -> str:
    """A mobile that nobody has, from a range that cannot be real."""
    return f"100{number():08}"


def a_brand(session: Session) -> Brand:
    """The one brand."""
    brand = session.exec(select(Brand)).first()
    return brand or _kept(session, Brand(code="zhiwei", name="知味"))


def a_shop(session: Session, **facts: Any) -> Shop:
    """A street store of the brand."""
    usual: dict[str, Any] = {"brand_id": a_brand(session).id, "code": f"S{number()}"}
    usual["name"] = "知味 · 中山路店"
    return _kept(session, Shop(**(usual | facts)))


def a_guide(session: Session, *, shop: Shop | None = None, **facts: Any) -> Guide:
    """A guide in post, in a shop of the own unless one is given."""
    shop = shop or a_shop(session)
    usual: dict[str, Any] = {"shop_id": shop.id, "userid": f"guide{number()}", "name": "王芳"}
    return _kept(session, Guide(**(usual | facts)))


def a_manager(session: Session, *, shop: Shop | None = None, **facts: Any) -> Guide:
    """A shop manager."""
    return a_guide(session, shop=shop, role=GuideRole.MANAGER, **facts)


def a_level(session: Session, **facts: Any) -> Level:
    """A level that everybody reaches, one point a yuan."""
    n = number()
    usual: dict[str, Any] = {"code": f"L{n}", "name": "银卡", "rank": n}
    return _kept(session, Level(**(usual | facts)))


def a_visitor(session: Session, *, now: datetime = NOW, **facts: Any) -> Member:
    """Somebody without a mobile."""
    usual: dict[str, Any] = {"brand_id": a_brand(session).id, "created_at": now}
    return _kept(session, Member(**(usual | facts)))


def a_member(session: Session, *, points: int = 0, now: datetime = NOW, **facts: Any) -> Member:
    """A member with a mobile, and with so many points that expire in a year."""
    usual: dict[str, Any] = {"mobile": a_mobile(), "name": "李明", "joined_at": now}
    member = a_visitor(session, now=now, **(usual | facts))
    if points:
        _give(session, member, points, now=now)
    return member


def an_identity(
    session: Session,
    member: Member,
    *,
    channel: IdentityChannel = IdentityChannel.WECHAT,
    **facts: Any,
) -> Identity:
    """The member's openid at the brand's account."""
    usual: dict[str, Any] = {
        "member_id": member.id,
        "channel": channel,
        "account": "wx1",
        "outside_id": f"o{number()}",
        "created_at": NOW,
    }
    return _kept(session, Identity(**(usual | facts)))


def a_plan(session: Session, **facts: Any) -> CouponPlan:
    """Ten yuan off, for thirty days, as many as one likes, to be given on once."""
    usual: dict[str, Any] = {
        "code": f"P{number()}",
        "name": "十元券",
        "kind": CouponKind.AMOUNT_OFF,
        "value": 1000,
    }
    return _kept(session, CouponPlan(**(usual | facts)))


def a_coupon(
    session: Session,
    member: Member,
    *,
    plan: CouponPlan | None = None,
    now: datetime = NOW,
) -> Coupon:
    """A coupon in a member's hands."""
    plan = plan or a_plan(session)
    return coupons.issue(
        session, plan.id, member.id, reason="test", source_id=str(number()), now=now
    )


def an_item(
    session: Session, *, plan: CouponPlan | None = None, cost: int = 300, **facts: Any
) -> ShopItem:
    """A coupon for three hundred points, as many as one likes."""
    plan = plan or a_plan(session)
    return points_shop.offer(session, f"I{number()}", plan.id, cost=cost, **facts)


def a_product(session: Session, **facts: Any) -> Product:
    """A tin of tea."""
    usual: dict[str, Any] = {
        "external_id": f"SKU{number()}",
        "name": "茉莉花茶",
        "category": "茶叶",
    }
    return _kept(session, Product(**(usual | facts)))


def an_order_form(
    session: Session,
    member: Member | None = None,
    *,
    amount_fen: int = 10_000,
    product: Product | None = None,
    paid_at: datetime = NOW,
    **facts: Any,
) -> OrderForm:
    """A hundred yuan for one thing."""
    product = product or a_product(session)
    line = LineForm(product_external_id=product.external_id, quantity=1, amount_fen=amount_fen)
    usual: dict[str, Any] = {
        "external_id": f"A{number()}",
        "paid_at": paid_at,
        "member": MemberRef(card_no=member.card_no) if member else None,
        "lines": [line],
    }
    if "shop_code" not in facts:
        usual["shop_code"] = a_shop(session).code
    return OrderForm(**(usual | facts))


def an_order(
    session: Session, member: Member | None = None, *, now: datetime = NOW, **facts: Any
) -> Placed:
    """An order just placed."""
    facts = {"paid_at": now} | facts
    form = an_order_form(session, member, **facts)
    return orders.place(session, form, source=SOURCE, now=now)


def a_tag(session: Session, **facts: Any) -> Tag:
    """A word about members."""
    usual: dict[str, Any] = {"code": f"T{number()}", "name": "有孩子", "group_name": "家庭"}
    return _kept(session, Tag(**(usual | facts)))


def a_piece(session: Session, **facts: Any) -> ContentPiece:
    """Words for a member who was away for long."""
    usual: dict[str, Any] = {
        "code": f"piece{number()}",
        "title": "好久不见",
        "purpose": "win_back",
        "category": Category.CARE,
        "text": "{{ name }}，好久不见。",
        "created_at": NOW,
    }
    return _kept(session, ContentPiece(**(usual | facts)))


def a_campaign(session: Session, *, now: datetime = NOW, **facts: Any) -> Campaign:
    """A care campaign by the guides, a week long."""
    usual: dict[str, Any] = {
        "brand_id": a_brand(session).id,
        "name": "春日回访",
        "category": Category.CARE,
        "audience": {},
        "created_at": now,
        "deadline_at": now + timedelta(days=7),
    }
    if "piece_id" not in facts:
        usual["piece_id"] = a_piece(session).id
    return _kept(session, Campaign(**(usual | facts)))


def a_care_task(
    session: Session,
    member: Member,
    *,
    campaign: Campaign | None = None,
    guide: Guide | None = None,
    now: datetime = NOW,
    **facts: Any,
) -> CareTask:
    """A task that lies with a guide."""
    campaign = campaign or a_campaign(session, now=now)
    guide = guide or a_guide(session)
    usual: dict[str, Any] = {
        "campaign_id": campaign.id,
        "guide_id": guide.id,
        "member_id": member.id,
        "state": TaskState.ASSIGNED,
        "draft": "李姐，好久不见。",
        "deadline_at": campaign.deadline_at,
        "created_at": now,
        "moved_at": now,
    }
    return _kept(session, CareTask(**(usual | facts)))


def a_touch(session: Session, member: Member, *, now: datetime = NOW, **facts: Any) -> Touch:
    """A care message that was sent."""
    usual: dict[str, Any] = {
        "key": f"touch-{number()}",
        "member_id": member.id,
        "channel": Channel.WECHAT_SERVICE,
        "category": Category.CARE,
        "brand_id": a_brand(session).id,
        "state": TouchState.SENT,
        "text": "好久不见。",
        "asked_at": now,
        "counted_at": now,
        "settled_at": now,
    }
    return _kept(session, Touch(**(usual | facts)))


def _give(session: Session, member: Member, asked: int, *, now: datetime) -> None:
    points.earn(session, member.id, asked, reason="test", source_id=str(number()), now=now)


def _kept(session: Session, row: Row) -> Row:
    session.add(row)
    session.flush()
    return row
