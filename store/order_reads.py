"""What a member is shown of the own orders: lines, refunds, and the points that each gave."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from sqlmodel import col, select

from store import points_reads
from store.db import Session
from store.orders import EARNED_BY_ORDER, Order, OrderLine, Refund
from store.organisation import Shop
from store.products import Product

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class BoughtLine:
    """One product of an order; `amount_fen` is what was paid for the line."""

    name: str
    quantity: int
    amount_fen: int


@dataclass(frozen=True, slots=True)
class Bought:
    """One order; `points` is what is left of those it gave, None when it never gave any."""

    external_id: str
    shop: str
    paid_at: datetime
    amount_fen: int
    refunded_fen: int
    lines: Sequence[BoughtLine]
    refunds: Sequence[Refund]
    points: int | None


def of_member(session: Session, member_id: int, *, skip: int, limit: int) -> list[Bought]:
    """A page of orders, the last paid first; four queries however many there are."""
    query = (
        select(Order, Shop.name)
        .outerjoin(Shop, col(Shop.id) == Order.shop_id)
        .where(Order.member_id == member_id)
        .order_by(col(Order.paid_at).desc(), col(Order.id).desc())
    )
    found = session.exec(query.offset(skip).limit(limit)).all()
    ids = [order.id for order, _ in found]
    lines, refunds = _lines(session, ids), _refunds(session, ids)
    given = points_reads.given_by(session, EARNED_BY_ORDER, [str(order_id) for order_id in ids])
    return [
        Bought(
            external_id=order.external_id,
            shop=shop or "",
            paid_at=order.paid_at,
            amount_fen=order.amount_fen,
            refunded_fen=order.refunded_fen,
            lines=lines.get(order.id, []),
            refunds=refunds.get(order.id, []),
            points=given.get(str(order.id)),
        )
        for order, shop in found
    ]


def _lines(session: Session, order_ids: Sequence[int]) -> dict[int, list[BoughtLine]]:
    query = (
        select(OrderLine, Product.name)
        .join(Product, col(Product.id) == OrderLine.product_id)
        .where(col(OrderLine.order_id).in_(order_ids))
        .order_by(col(OrderLine.order_id), col(OrderLine.line_no))
    )
    rows = session.exec(query).all()
    return _grouped(
        (line.order_id, BoughtLine(name, line.quantity, line.amount_fen)) for line, name in rows
    )


def _refunds(session: Session, order_ids: Sequence[int]) -> dict[int, list[Refund]]:
    query = select(Refund).where(col(Refund.order_id).in_(order_ids))
    rows = session.exec(query.order_by(col(Refund.refunded_at), col(Refund.id))).all()
    return _grouped((refund.order_id, refund) for refund in rows)


def _grouped(pairs: Iterable[tuple[int, Item]]) -> dict[int, list[Item]]:
    groups: dict[int, list[Item]] = {}
    for key, item in pairs:
        groups.setdefault(key, []).append(item)
    return groups
