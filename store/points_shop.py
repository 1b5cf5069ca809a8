"""The points shop: coupon plans that a member may have for points, with a stock and a limit.

A redemption spends the points and issues the coupon in one act. The page's form carries a token:
the same form sent twice is one redemption. Locks the member, then the item, then the plan.
"""

from datetime import datetime

from sqlalchemy import CheckConstraint, or_, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Field, SQLModel, col, func, select

from store import coupons, members, points
from store.columns import big_key, link
from store.coupons import Coupon, CouponPlan
from store.db import Session
from store.errors import Exhausted, NotAllowed, NotFound
from store.points import PointsEntry

REASON = "points_shop"


class ShopItem(SQLModel, table=True):
    """What the shop offers: one coupon of a plan for so many points."""

    __tablename__ = "points_shop_items"
    __table_args__ = (
        CheckConstraint("points > 0", name="ck_points_shop_items_points"),
        CheckConstraint("per_member_limit > 0", name="ck_points_shop_items_limit"),
        CheckConstraint(
            "sold >= 0 AND (stock IS NULL OR sold <= stock)", name="ck_points_shop_items_stock"
        ),
    )
    id: int = big_key()
    code: str = Field(unique=True)
    plan_id: int = link("coupon_plans.id")
    points: int
    stock: int | None = None
    sold: int = 0
    per_member_limit: int | None = None
    is_active: bool = True


class ShopRedemption(SQLModel, table=True):
    """One coupon had for points; `token` is the form's. Whose it is, the entry says."""

    __tablename__ = "points_shop_redemptions"
    id: int = big_key()
    item_id: int = link("points_shop_items.id")
    token: str = Field(unique=True)
    entry_id: int = link("points_entries.id", index=False, unique=True)
    coupon_id: int = link("coupons.id", index=False, unique=True)
    redeemed_at: datetime


class ItemNotFound(NotFound):
    """The shop has no such item, or not any more."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(f"The points shop has no item {code}.")


class ItemSoldOut(Exhausted):
    """Every piece of the item was had by somebody."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(f"The item {code} of the points shop is sold out.")


class ItemLimitReached(Exhausted):
    """This member has had as many of the item as one may."""

    def __init__(self, code: str, limit: int) -> None:
        self.code, self.limit = code, limit
        super().__init__(f"A member may have {limit} of the item {code}, and has had them.")


class PriceChanged(NotAllowed):
    """The item costs other than what the member was asked for."""

    def __init__(self, asked: int, points: int) -> None:
        self.asked, self.points = asked, points
        super().__init__(f"The item costs {points} points by now, not {asked}.")


class TokenUsed(NotAllowed):
    """The form's token was used before, by another member or for another item."""

    def __init__(self) -> None:
        super().__init__("This form was sent before, for something else; open the item again.")


class StockBelowSold(NotAllowed):
    """An item cannot have a stock smaller than what was had of it."""

    def __init__(self, sold: int) -> None:
        self.sold = sold
        super().__init__(f"stock: {sold} have been had already; give that many or more.")


def offer(  # noqa: PLR0913 -- the facts of an item, as its form gives them
    session: Session,
    code: str,
    plan_id: int,
    *,
    cost: int,
    stock: int | None = None,
    per_member_limit: int | None = None,
    is_active: bool = True,
) -> ShopItem:
    """Put an item on the shelf, or change it; what was had of it stays counted."""
    facts = {
        "plan_id": plan_id,
        "points": cost,
        "stock": stock,
        "per_member_limit": per_member_limit,
        "is_active": is_active,
    }
    fresh = insert(ShopItem).values(code=code, sold=0, **facts)
    session.execute(fresh.on_conflict_do_nothing())
    query = select(ShopItem).where(ShopItem.code == code).with_for_update()
    item = session.exec(query.execution_options(populate_existing=True)).one()
    if stock is not None and stock < item.sold:
        raise StockBelowSold(item.sold)
    item.sqlmodel_update(facts)
    session.flush()
    return item


def shelf(session: Session) -> list[tuple[ShopItem, CouponPlan]]:
    """What the shop offers now, the cheapest first; sold out items too."""
    query = select(ShopItem, CouponPlan).join(CouponPlan, col(CouponPlan.id) == ShopItem.plan_id)
    offered = query.where(col(ShopItem.is_active), col(CouponPlan.is_active))
    return list(session.exec(offered.order_by(col(ShopItem.points), col(ShopItem.id))))


def by_code(session: Session, code: str) -> tuple[ShopItem, CouponPlan]:
    """An item on offer, with its plan."""
    query = select(ShopItem, CouponPlan).join(CouponPlan, col(CouponPlan.id) == ShopItem.plan_id)
    found = session.exec(query.where(ShopItem.code == code, col(ShopItem.is_active))).first()
    if found is None:
        raise ItemNotFound(code)
    return found


def had_by(session: Session, member_id: int) -> dict[int, int]:
    """How many of each item this member has had, by the item's id."""
    query = (
        select(ShopRedemption.item_id, func.count(col(ShopRedemption.id)))
        .join(PointsEntry, col(PointsEntry.id) == ShopRedemption.entry_id)
        .where(PointsEntry.member_id == member_id)
        .group_by(col(ShopRedemption.item_id))
    )
    return dict(session.exec(query).all())


def left(item: ShopItem, plan: CouponPlan) -> int | None:
    """How many can still be had: the item's stock or the plan's, whichever ends first."""
    stocks = [
        stock - gone
        for stock, gone in ((item.stock, item.sold), (plan.stock, plan.issued))
        if stock is not None
    ]
    return max(0, min(stocks)) if stocks else None


def is_at_limit(item: ShopItem, had: dict[int, int]) -> bool:
    """Whether somebody who `had` so many has had as many of the item as one may."""
    return item.per_member_limit is not None and had.get(item.id, 0) >= item.per_member_limit


def redeem(
    session: Session,
    code: str,
    member_id: int,
    *,
    token: str,
    asked: int | None = None,
    now: datetime,
) -> ShopRedemption:
    """Have one of the item for its points; the same token again gives the same redemption.

    `asked` is the price that the member said yes to. Refuses with `ItemNotFound`, `PriceChanged`,
    `ItemLimitReached`, `ItemSoldOut`, `NotEnoughPoints`, `TokenUsed`, or what
    `coupons.issue` refuses with.
    """
    member = members.lock(session, member_id)
    item, _ = by_code(session, code)
    if (known := _known(session, token, item.id, member.id)) is not None:
        return known
    if is_at_limit(item, had_by(session, member.id)):
        raise ItemLimitReached(code, item.per_member_limit or 0)
    cost = _take_from_shelf(session, item)
    if asked is not None and asked != cost:
        raise PriceChanged(asked, cost)
    source = {"reason": REASON, "source_id": token}
    entry = points.spend(session, member.id, cost, now=now, **source)
    coupon = coupons.issue(session, item.plan_id, member.id, now=now, **source)
    row = ShopRedemption(
        item_id=item.id, token=token, entry_id=entry.id, coupon_id=coupon.id, redeemed_at=now
    )
    session.add(row)
    session.flush()
    return row


def of_token(session: Session, token: str, member_id: int) -> Coupon | None:
    """The coupon that this member's form brought, wherever it is now."""
    query = (
        select(Coupon)
        .join(ShopRedemption, col(ShopRedemption.coupon_id) == Coupon.id)
        .join(PointsEntry, col(PointsEntry.id) == ShopRedemption.entry_id)
        .where(ShopRedemption.token == token, PointsEntry.member_id == member_id)
    )
    return session.exec(query).first()


def _known(session: Session, token: str, item_id: int, member_id: int) -> ShopRedemption | None:
    query = (
        select(ShopRedemption, PointsEntry.member_id)
        .join(PointsEntry, col(PointsEntry.id) == ShopRedemption.entry_id)
        .where(ShopRedemption.token == token)
    )
    found = session.exec(query).first()
    if found is None:
        return None
    row, owner_id = found
    if (row.item_id, owner_id) != (item_id, member_id):
        raise TokenUsed
    return row


def _take_from_shelf(session: Session, item: ShopItem) -> int:
    """Count one out of the stock and give its price; the row's lock holds others until commit."""
    query = (
        update(ShopItem)
        .where(col(ShopItem.id) == item.id, col(ShopItem.is_active))
        .where(or_(col(ShopItem.stock).is_(None), col(ShopItem.sold) < ShopItem.stock))
        .values(sold=ShopItem.sold + 1)
        .returning(col(ShopItem.points))
        .execution_options(synchronize_session=False)
    )
    cost = session.execute(query).scalar()
    session.refresh(item)
    if cost is None:
        raise ItemSoldOut(item.code) if item.is_active else ItemNotFound(item.code)
    return int(cost)
