"""Orders, their lines and refunds, and the member facts that every order keeps up to date.

Placing an order redeems its coupon, gives points, refreshes facts and level, and asks for
attribution; a refund takes the same steps back in proportion. The forms are in `store.order_forms`.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select

from store import coupons, facts, ledger, levels, members, order_parties, points, redemptions
from store.coupons import Coupon
from store.db import Session
from store.jobs import Job, after_commit
from store.levels import Level
from store.members import Member
from store.order_forms import LineForm, MemberRef, OrderForm, RefundForm
from store.order_parties import Parties
from store.order_rows import (
    CouponOfAnother,
    MemberFacts,
    Order,
    OrderChanged,
    OrderLine,
    OrderNotFound,
    PaidInFuture,
    Refund,
    RefundChanged,
    RefundTooLarge,
)
from store.points import PointsEntry

__all__ = [
    "CouponOfAnother",
    "LineForm",
    "MemberFacts",
    "MemberRef",
    "Order",
    "OrderChanged",
    "OrderForm",
    "OrderLine",
    "OrderNotFound",
    "PaidInFuture",
    "Placed",
    "Refund",
    "RefundChanged",
    "RefundForm",
    "RefundTooLarge",
    "place",
    "refund",
]

# Clocks of tills run ahead a little; more than this is a wrong date.
_CLOCK_SKEW = timedelta(minutes=10)
# A hundred fen earn `earn_percent` hundredths of a point.
_FEN_PER_YUAN, _PERCENT = 100, 100
_NO_LEVEL_PERCENT = 100
EARNED_BY_ORDER, LOST_BY_REFUND = "order", "refund"


@dataclass(frozen=True)
class Placed:
    """What became of an order form; `entry` holds the points it gave, None when it gave none."""

    order: Order
    is_new: bool
    entry: PointsEntry | None


def place(session: Session, form: OrderForm, *, source: str, now: datetime) -> Placed:
    """Take in a paid order once: coupon, points, facts, level, and a nudge to attribute it.

    A repeat gives the same order and entry, and changes nothing; the same key with another content
    is `OrderChanged`. Locks the member, then the coupon.
    """
    if form.paid_at > now + _CLOCK_SKEW:
        raise PaidInFuture(form.paid_at)
    parties = order_parties.find(session, form)
    order, is_new = _write(session, form, parties, source=source, now=now)
    if not is_new:
        _need_same(session, order, form, parties)
        return Placed(order, is_new=False, entry=_entry_of(session, order))
    if form.coupon_code:
        _redeem(session, form.coupon_code, order, now=now)
    entry = _give_points(session, order, parties.member, now=now)
    _follow(session, order, now=now)
    return Placed(order, is_new=True, entry=entry)


def refund(session: Session, form: RefundForm, *, source: str, now: datetime) -> Refund:
    """Take in a refund once: points go back in proportion, the last refund takes the rest.

    So do points that paid for it at the till. An order that is wholly refunded gives its coupon
    back. A repeat changes nothing.
    """
    order = _lock_order(session, source, form.order_external_id)
    if (known := _known_refund(session, form, order, source=source)) is not None:
        return known
    left = order.amount_fen - order.refunded_fen
    if form.amount_fen > left:
        raise RefundTooLarge(left, form.amount_fen)
    row = Refund(
        order_id=order.id,
        source=source,
        external_id=form.external_id,
        amount_fen=form.amount_fen,
        refunded_at=form.refunded_at,
    )
    session.add(row)
    order.refunded_fen += form.amount_fen
    order.is_attribution_due = True
    session.flush()
    _take_points_back(session, order, row, now=now)
    if order.refunded_fen == order.amount_fen:
        coupons.give_back(session, order.id, now=now)
    redemptions.follow_refund(session, order, source_id=f"refund {row.id}", now=now)
    _follow(session, order, now=now)
    return row


def _write(
    session: Session, form: OrderForm, parties: Parties, *, source: str, now: datetime
) -> tuple[Order, bool]:
    """Insert the order unless its key is taken; waits for another who is just inserting it."""
    fresh = Order(
        source=source,
        external_id=form.external_id,
        member_id=parties.member.id if parties.member else None,
        shop_id=parties.shop_id,
        guide_id=parties.guide_id,
        amount_fen=form.amount_fen,
        paid_at=form.paid_at,
        created_at=now,
        is_attribution_due=True,
    )
    values = fresh.model_dump(exclude={"id"})
    query = insert(Order).values(**values).on_conflict_do_nothing().returning(col(Order.id))
    order_id = session.execute(query).scalar()
    if order_id is None:
        return _by_key(session, source, form.external_id), False
    for line_no, (line, product_id) in enumerate(
        zip(form.lines, parties.product_ids, strict=True), start=1
    ):
        session.add(
            OrderLine(
                order_id=order_id,
                line_no=line_no,
                product_id=product_id,
                quantity=line.quantity,
                amount_fen=line.amount_fen,
            )
        )
    session.flush()
    return session.get_one(Order, order_id), True


def _by_key(session: Session, source: str, external_id: str) -> Order:
    query = select(Order).where(Order.source == source, Order.external_id == external_id)
    order = session.exec(query.execution_options(populate_existing=True)).first()
    if order is None:
        raise OrderNotFound(source, external_id)
    return order


def _need_same(session: Session, order: Order, form: OrderForm, parties: Parties) -> None:
    """Refuse a repeat that says something else, naming the field."""
    said: dict[str, object] = {
        "member": parties.member.id if parties.member else None,
        "paid_at": form.paid_at,
        "shop_code": parties.shop_id,
        "guide_userid": parties.guide_id,
        "lines": _lines_said(form, parties),
    }
    kept: dict[str, object] = {
        "member": order.member_id,
        "paid_at": order.paid_at,
        "shop_code": order.shop_id,
        "guide_userid": order.guide_id,
        "lines": _lines_kept(session, order),
    }
    # A whole refund has given the coupon back, and another order may have used it since.
    if order.refunded_fen < order.amount_fen:
        said["coupon_code"] = form.coupon_code
        kept["coupon_code"] = session.exec(
            select(Coupon.code).where(Coupon.redeemed_order_id == order.id)
        ).first()
    for field, value in said.items():
        if value != kept[field]:
            raise OrderChanged(order.source, order.external_id, field)


def _lines_said(form: OrderForm, parties: Parties) -> list[tuple[int, int, int]]:
    pairs = zip(parties.product_ids, form.lines, strict=True)
    return [(product_id, line.quantity, line.amount_fen) for product_id, line in pairs]


def _lines_kept(session: Session, order: Order) -> list[tuple[int, int, int]]:
    query = (
        select(OrderLine.product_id, OrderLine.quantity, OrderLine.amount_fen)
        .where(OrderLine.order_id == order.id)
        .order_by(col(OrderLine.line_no))
    )
    return [(product_id, quantity, fen) for product_id, quantity, fen in session.exec(query)]


def _redeem(session: Session, code: str, order: Order, *, now: datetime) -> None:
    owner_id = session.exec(select(Coupon.member_id).where(Coupon.code == code)).first()
    if owner_id is not None and order.member_id is not None and owner_id != order.member_id:
        raise CouponOfAnother(code)
    if not redemptions.joined(session, code, order):
        coupons.redeem(session, code, order_id=order.id, now=now)


def _give_points(
    session: Session, order: Order, member: Member | None, *, now: datetime
) -> PointsEntry | None:
    """The points of an order by the level that the member had before it."""
    if member is None:
        return None
    level = session.get(Level, member.level_id) if member.level_id else None
    percent = level.earn_percent if level else _NO_LEVEL_PERCENT
    earned = order.amount_fen // _FEN_PER_YUAN * percent // _PERCENT
    if earned == 0:
        return None
    key = str(order.id)
    return points.earn(session, member.id, earned, reason=EARNED_BY_ORDER, source_id=key, now=now)


def _entry_of(session: Session, order: Order) -> PointsEntry | None:
    query = select(PointsEntry).where(
        PointsEntry.reason == EARNED_BY_ORDER, PointsEntry.source_id == str(order.id)
    )
    return session.exec(query).first()


def _lock_order(session: Session, source: str, external_id: str) -> Order:
    """The order, under the locks of its member and itself."""
    order = _by_key(session, source, external_id)
    if order.member_id is not None:
        members.lock(session, order.member_id)
    session.refresh(order, with_for_update=True)
    return order


def _known_refund(
    session: Session, form: RefundForm, order: Order, *, source: str
) -> Refund | None:
    query = select(Refund).where(Refund.source == source, Refund.external_id == form.external_id)
    row = session.exec(query).first()
    if row is not None and (row.order_id, row.amount_fen) != (order.id, form.amount_fen):
        raise RefundChanged(source, form.external_id)
    return row


def _take_points_back(session: Session, order: Order, row: Refund, *, now: datetime) -> None:
    earned = _entry_of(session, order)
    # An erased member has no points that could be taken back.
    if earned is None or order.member_id is None:
        return
    target = earned.points * order.refunded_fen // order.amount_fen
    due = target - ledger.undone(session, earned)
    if due > 0:
        points.reverse(
            session, earned.id, due, reason=LOST_BY_REFUND, source_id=str(row.id), now=now
        )


def _follow(session: Session, order: Order, *, now: datetime) -> None:
    """What every order and refund brings about: facts, level, and a nudge to attribute it."""
    if order.member_id is not None:
        facts.refresh(session, [order.member_id], now=now)
        if levels.settle(session, [order.member_id], now=now):
            session.refresh(session.get_one(Member, order.member_id))
    after_commit(session, Job.ATTRIBUTE_ORDER, order.id)
