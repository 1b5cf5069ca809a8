"""What the guide's care came to: the figures, and every order that was credited to it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, literal, tuple_
from sqlalchemy import select as wide_select
from sqlmodel import Session, col, select

from store.attributions import Attribution, Commission, CommissionState
from store.campaigns import Campaign
from store.members import Member
from store.orders import Order

PAGE_SIZE = 50
_SEPARATOR = "~"


@dataclass(frozen=True, slots=True)
class SaleRow:
    """One credited order; amounts in fen after refunds, `state` is None without a commission."""

    key: str
    member: str
    campaign: str
    paid_at: datetime
    amount_fen: int
    commission_fen: int
    state: CommissionState | None
    confirms_at: datetime | None


@dataclass(frozen=True, slots=True)
class SalesPage:
    """Up to 50 sales, newest first, and the order after which the next page begins."""

    rows: list[SaleRow]
    after: str | None


def read(session: Session, guide_id: int, after: str | None) -> SalesPage:
    """One page of the guide's sales; an unknown `after` begins at the top."""
    query = (
        wide_select(Attribution, Order, col(Member.name), col(Campaign.name), Commission)
        .join(Order, col(Order.id) == Attribution.order_id)
        .join(Member, col(Member.id) == Order.member_id)
        .join(Campaign, col(Campaign.id) == Attribution.campaign_id)
        .join(Commission, _own_share(guide_id), isouter=True)
        .where(_is_theirs(guide_id))
    )
    anchor = _anchor(session, guide_id, after)
    if anchor is not None:
        query = query.where(tuple_(col(Order.paid_at), col(Order.id)) < anchor)
    newest = query.order_by(col(Order.paid_at).desc(), col(Order.id).desc())
    found = session.execute(newest.limit(PAGE_SIZE + 1)).all()
    rows = [_row(*one) for one in found[:PAGE_SIZE]]
    has_more = len(found) > PAGE_SIZE
    return SalesPage(rows, _cursor(found[PAGE_SIZE - 1][1]) if has_more else None)


def _cursor(order: Order) -> str:
    """The natural key of an order: our own keys never leave the house."""
    return f"{order.source}{_SEPARATOR}{order.external_id}"


def _anchor(session: Session, guide_id: int, after: str | None) -> Any:
    if not after:
        return None
    source, _, external_id = after.partition(_SEPARATOR)
    place = session.exec(
        select(Order.paid_at, Order.id)
        .join(Attribution, col(Attribution.order_id) == Order.id)
        .join(Commission, _own_share(guide_id), isouter=True)
        .where(Order.source == source, Order.external_id == external_id)
        .where(_is_theirs(guide_id))
    ).first()
    return tuple_(*(literal(value) for value in place)) if place else None


def _own_share(guide_id: int) -> ColumnElement[bool]:
    """A colleague may have another share of the same order."""
    of_order = col(Commission.attribution_id) == col(Attribution.id)
    return of_order & (col(Commission.guide_id) == guide_id)


def _is_theirs(guide_id: int) -> ColumnElement[bool]:
    """The guide cared for the member, or served at the till and earns on it."""
    return (col(Attribution.guide_id) == guide_id) | col(Commission.id).is_not(None)


def _row(
    attribution: Attribution,
    order: Order,
    member: str,
    campaign: str,
    commission: Commission | None,
) -> SaleRow:
    return SaleRow(
        key=_cursor(order),
        member=member,
        campaign=campaign,
        paid_at=order.paid_at,
        amount_fen=attribution.amount_fen,
        commission_fen=commission.amount_fen if commission else 0,
        state=commission.state if commission else None,
        confirms_at=commission.confirms_at if commission else None,
    )
