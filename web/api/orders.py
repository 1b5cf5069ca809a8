"""`/api/v1/orders` and `/api/v1/refunds`: tills and shops hand in what was paid and given back."""

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field
from sqlalchemy import ColumnElement, or_
from sqlmodel import Session, col, select

from store import orders
from store.coupons import Coupon
from store.members import Member
from store.orders import Order, OrderForm, RefundForm
from web.api.batches import MAX_ITEMS, BatchAnswer, each, read
from web.api.keys import SourceDep
from web.deps import NowDep, SessionDep

router = APIRouter(tags=["orders"])


class OrderBatch(BaseModel):
    """Orders to hand in; each item is an `OrderForm`, checked by itself."""

    orders: list[dict[str, Any]] = Field(
        min_length=1,
        max_length=MAX_ITEMS,
        examples=[
            [
                {
                    "external_id": "A-1001",
                    "paid_at": "2026-11-22T10:30:00+08:00",
                    "shop_code": "S330",
                    "member": {"external_id": "1"},
                    "lines": [{"product_external_id": "25671", "quantity": 1, "amount_fen": 990}],
                }
            ]
        ],
    )


class RefundBatch(BaseModel):
    """Refunds to hand in; each item is a `RefundForm`."""

    refunds: list[dict[str, Any]] = Field(min_length=1, max_length=MAX_ITEMS)


@router.post("/orders", summary="Hand in paid orders")
def place_orders(
    batch: OrderBatch, source: SourceDep, session: SessionDep, now: NowDep
) -> BatchAnswer:
    """Idempotent by `external_id`: a repeat answers `known` and changes nothing.

    Points accrue, the member's facts and level follow, and the order is credited to the care task
    that reached the member, all before or right after the answer.
    """

    def place(form: OrderForm) -> str:
        return "created" if orders.place(session, form, source=source, now=now).is_new else "known"

    forms = read(batch.orders, OrderForm)
    _lock(session, _touched_by([form for form in forms if isinstance(form, OrderForm)]))
    return each(session, forms, place)


@router.post("/refunds", summary="Hand in refunds")
def place_refunds(
    batch: RefundBatch, source: SourceDep, session: SessionDep, now: NowDep
) -> BatchAnswer:
    """Idempotent by `external_id`; points, facts, attribution and commission follow."""

    def give_back(form: RefundForm) -> str:
        orders.refund(session, form, source=source, now=now)
        return "accepted"

    forms = read(batch.refunds, RefundForm)
    keys = [form.order_external_id for form in forms if isinstance(form, RefundForm)]
    bought = select(Order.member_id).where(Order.source == source, col(Order.external_id).in_(keys))
    _lock(session, col(Member.id).in_(bought))
    return each(session, forms, give_back)


def _touched_by(forms: Sequence[OrderForm]) -> ColumnElement[bool]:
    """The buyers, and the members whose coupons pay."""
    refs = [form.member for form in forms if form.member is not None]
    codes = [form.coupon_code for form in forms if form.coupon_code]
    return or_(
        col(Member.mobile).in_([ref.mobile for ref in refs if ref.mobile]),
        col(Member.external_id).in_([ref.external_id for ref in refs if ref.external_id]),
        col(Member.card_no).in_([ref.card_no for ref in refs if ref.card_no]),
        col(Member.id).in_(select(Coupon.member_id).where(col(Coupon.code).in_(codes))),
    )


def _lock(session: Session, who: ColumnElement[bool]) -> None:
    """Lock the members of a batch in id order: item by item, two batches could wait in a ring."""
    query = select(Member.id).where(who).order_by(col(Member.id))
    session.exec(query.with_for_update()).all()
