"""`/api/v1/points-shop` and `/coupon-plans/…/shops`: what points buy, and where it counts."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from sqlmodel import Session, select

from store import order_parties, plan_shops, points_shop
from store.coupons import CouponPlan
from store.errors import NotFound
from store.order_forms import Code
from web.api.keys import SourceDep
from web.deps import SessionDep

router = APIRouter(tags=["points shop"])

_MAX = 10**8
Count = Annotated[int, Field(gt=0, le=_MAX)]


class ItemForm(BaseModel):
    """One coupon of a plan for points; without a stock or a limit there is none."""

    model_config = ConfigDict(extra="forbid")

    plan_code: Code = Field(examples=["TEN-OFF"])
    points: Count = Field(examples=[1000])
    stock: Annotated[int, Field(ge=0, le=_MAX)] | None = Field(default=None, examples=[200])
    per_member_limit: Count | None = Field(default=None, examples=[2])
    is_active: bool = True


class ItemAnswer(ItemForm):
    """The item as it stands; `sold` counts against the stock."""

    code: str
    sold: int


class PlanShops(BaseModel):
    """The shops in which coupons of a plan count; an empty list means all."""

    model_config = ConfigDict(extra="forbid")

    shop_codes: list[Code] = Field(max_length=5000, examples=[["S330", "S331"]])


class PlanUnknown(NotFound):
    """There is no coupon plan with this code."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(f"plan_code: there is no coupon plan {code}; import the coupons first.")


@router.put("/points-shop/{code}", summary="Offer something for points")
def put_item(code: Code, form: ItemForm, source: SourceDep, session: SessionDep) -> ItemAnswer:
    """Put an item on the shelf, or change it. Idempotent by its code."""
    del source
    plan = _plan(session, form.plan_code)
    facts = form.model_dump(exclude={"plan_code", "points"})
    item = points_shop.offer(session, code, plan.id, cost=form.points, **facts)
    return ItemAnswer(**form.model_dump(), code=item.code, sold=item.sold)


@router.put("/coupon-plans/{code}/shops", summary="Say where a coupon counts")
def put_shops(code: Code, form: PlanShops, source: SourceDep, session: SessionDep) -> PlanShops:
    """Limit the coupons of a plan to these shops, also those that members have already."""
    del source
    plan = _plan(session, code)
    shop_ids = [order_parties.shop_id(session, shop_code) for shop_code in form.shop_codes]
    plan_shops.limit(session, plan.id, shop_ids)
    return form


def _plan(session: Session, code: str) -> CouponPlan:
    plan = session.exec(select(CouponPlan).where(CouponPlan.code == code)).first()
    if plan is None:
        raise PlanUnknown(code)
    return plan
