"""Where a coupon can be used: everywhere, or in the shops that its plan names."""

from collections.abc import Collection

from sqlalchemy import delete
from sqlmodel import SQLModel, col, select

from store.columns import link
from store.db import Session
from store.organisation import Shop


class PlanShop(SQLModel, table=True):
    """A shop in which coupons of the plan can be used; a plan without any is good everywhere."""

    __tablename__ = "coupon_plan_shops"
    plan_id: int = link("coupon_plans.id", index=False, primary_key=True)
    shop_id: int = link("shops.id", primary_key=True)


def limit(session: Session, plan_id: int, shop_ids: Collection[int]) -> None:
    """Let the plan's coupons be used in these shops only; in all when none is named."""
    session.execute(delete(PlanShop).where(col(PlanShop.plan_id) == plan_id))
    session.add_all(PlanShop(plan_id=plan_id, shop_id=shop_id) for shop_id in set(shop_ids))
    session.flush()


def names(session: Session, plan_id: int) -> list[str]:
    """The names of the shops that the plan is limited to; empty when it is good everywhere."""
    query = select(Shop.name).join(PlanShop, col(PlanShop.shop_id) == Shop.id)
    return list(session.exec(query.where(PlanShop.plan_id == plan_id).order_by(Shop.name)))


def elsewhere(session: Session, plan_ids: Collection[int], shop_id: int) -> set[int]:
    """Those of the plans whose coupons cannot be used in this shop."""
    query = select(PlanShop.plan_id, PlanShop.shop_id).where(col(PlanShop.plan_id).in_(plan_ids))
    rows = session.exec(query).all()
    return {plan for plan, _ in rows} - {plan for plan, shop in rows if shop == shop_id}
