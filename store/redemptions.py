"""What a till takes: coupons and points used at the counter, each once, and taken back on cancel.

`source` is the till system, `reference` its number for the purchase, and `key` its idempotency key.
A reference pays with at most one coupon and one sum of points at a time, and a key is used up for
good: whoever cancels and tries again sends a new one. Locks the member, then the coupon.
"""

from datetime import datetime

from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select

from store import coupons, ledger, members, plan_shops, points
from store.coupon_rows import end_lapsed, rest
from store.coupons import Coupon, CouponExpired, CouponKind, CouponPlan, CouponState
from store.db import Session
from store.order_rows import Order
from store.points import PointsEntry
from store.redemption_rows import (
    CardCodeUsed,
    CouponElsewhere,
    CouponOnItsWay,
    CouponUse,
    CouponUsed,
    OrderIsIn,
    PointsUse,
    Redemption,
    RedemptionDiffers,
    RedemptionKind,
    RedemptionNotFound,
    RedemptionUndone,
    SpendTooSmall,
)
from store.tokens import digest

__all__ = [
    "CardCodeUsed",
    "CouponElsewhere",
    "CouponOnItsWay",
    "CouponUse",
    "CouponUsed",
    "OrderIsIn",
    "PointsUse",
    "Redemption",
    "RedemptionDiffers",
    "RedemptionKind",
    "RedemptionNotFound",
    "RedemptionUndone",
    "SpendTooSmall",
]

SPENT, UNDONE = "till", "till_undo"
_WHOLE_PERCENT = 100


def discount(plan: CouponPlan, amount_fen: int) -> int:
    """What a coupon of the plan takes off; nothing for one that stands for a thing."""
    match plan.kind:
        case CouponKind.AMOUNT_OFF:
            return min(plan.value, amount_fen)
        case CouponKind.PERCENT_OFF:
            return amount_fen * plan.value // _WHOLE_PERCENT
        case CouponKind.EXCHANGE:
            return 0


def use_coupon(session: Session, use: CouponUse, *, now: datetime) -> Redemption:
    """Redeem a coupon for a purchase; a repeat gives the same redemption.

    One that the same source's order of that number has redeemed already is that redemption.
    """
    coupon = _lock_coupon(session, use.code)
    fresh = Redemption(
        source=use.source,
        kind=RedemptionKind.COUPON,
        key=use.key,
        reference=use.reference,
        coupon_id=coupon.id,
        amount_fen=use.amount_fen,
        shop_id=use.shop_id,
        done_at=now,
    )
    if (before := _before(session, fresh)) is not None:
        return before
    plan = session.get_one(CouponPlan, coupon.plan_id)
    order_id = _order_id(session, use.source, use.reference)
    if order_id is None or coupon.redeemed_order_id != order_id:
        _need_usable(session, coupon, plan, use, now=now)
        coupons.redeem(session, use.code, order_id=None, now=now)
    fresh.discount_fen = discount(plan, use.amount_fen)
    return _write(session, fresh)


def use_points(session: Session, member_id: int, use: PointsUse, *, now: datetime) -> Redemption:
    """Spend points of a member who showed the card; ask `repeated` first."""
    member = members.lock(session, member_id)
    fresh = _points_row(use, now)
    if (before := _before(session, fresh)) is not None:
        return before
    entry = points.spend(
        session, member.id, use.points, reason=SPENT, source_id=fresh.number, now=now
    )
    fresh.entry_id = entry.id
    return _write(session, fresh)


def repeated(session: Session, use: PointsUse, *, now: datetime) -> Redemption | None:
    """The same redemption done before: a repeat counts although its code is stale by then."""
    return _before(session, _points_row(use, now))


def undo(session: Session, number: str, *, source: str, now: datetime) -> Redemption:
    """Take a redemption back, for a sale that was cancelled; a second time changes nothing.

    The coupon is usable again, or expired if its end has passed; points go back to their lots. To
    somebody who was erased since nothing goes back. An order that is in goes back by its refund,
    unless nothing was paid for it that could be refunded.
    """
    query = select(Redemption).where(Redemption.number == number, Redemption.source == source)
    row = session.exec(query).first()
    if row is None:
        raise RedemptionNotFound(number)
    is_owned = _lock_owner(session, row)
    session.refresh(row, with_for_update=True)
    if row.undone_at is not None:
        return row
    if _paid_fen(session, row):
        raise OrderIsIn(row.reference)
    if is_owned:
        _return_points(session, row, row.points or 0, source_id=number, now=now)
    _end(session, row, is_owned=is_owned, now=now)
    return row


def joined(session: Session, code: str, order: Order) -> bool:
    """Whether the till redeemed the order's coupon under its number; then the order takes it over.

    The order's member is locked.
    """
    if not _stands_for(session, code, order):
        return False
    coupon = _lock_coupon(session, code)
    # Whoever had the lock before may have undone it.
    if not _stands_for(session, code, order):
        return False
    coupon.redeemed_order_id = order.id
    session.flush()
    return True


def follow_refund(session: Session, order: Order, *, source_id: str, now: datetime) -> None:
    """Give back the points that paid for an order, in proportion to its refunds.

    A whole refund ends its redemptions. The member and the order are locked. Money goes back also
    for somebody who was erased since, and nothing else does.
    """
    query = select(Redemption).where(
        Redemption.source == order.source,
        Redemption.reference == order.external_id,
        col(Redemption.undone_at).is_(None),
    )
    for row in session.exec(query).all():
        is_owned = _lock_owner(session, row)
        session.refresh(row, with_for_update=True)
        if row.undone_at is not None:
            continue
        due = (row.points or 0) * order.refunded_fen // max(1, order.amount_fen)
        if is_owned:
            _return_points(session, row, due, source_id=source_id, now=now)
        if order.refunded_fen == order.amount_fen:
            _end(session, row, is_owned=is_owned, now=now)


def _points_row(use: PointsUse, now: datetime) -> Redemption:
    return Redemption(
        source=use.source,
        kind=RedemptionKind.POINTS,
        key=use.key,
        reference=use.reference,
        points=use.points,
        card_code_hash=digest(use.card_code),
        done_at=now,
    )


def _before(session: Session, fresh: Redemption) -> Redemption | None:
    """The redemption of this key, or the one that stands for this reference; or a refusal."""
    mine = (Redemption.source == fresh.source, Redemption.kind == fresh.kind)
    of_key = select(Redemption).where(*mine, Redemption.key == fresh.key)
    standing = select(Redemption).where(
        *mine, Redemption.reference == fresh.reference, col(Redemption.undone_at).is_(None)
    )
    row = session.exec(of_key).first() or session.exec(standing).first()
    if row is None:
        return None
    for field, (kept, said) in _facts(row, fresh).items():
        if kept != said:
            raise RedemptionDiffers(field, fresh.reference)
    if row.undone_at is not None:
        raise RedemptionUndone(row.reference)
    return row


def _facts(kept: Redemption, said: Redemption) -> dict[str, tuple[object, object]]:
    return {
        "reference": (kept.reference, said.reference),
        "coupon_code": (kept.coupon_id, said.coupon_id),
        "amount_fen": (kept.amount_fen, said.amount_fen),
        "points": (kept.points, said.points),
        "card_code": (kept.card_code_hash, said.card_code_hash),
    }


def _write(session: Session, fresh: Redemption) -> Redemption:
    """Insert the row; where another connection was faster, what it wrote decides."""
    values = fresh.model_dump(exclude={"id"})
    query = insert(Redemption).values(**values).on_conflict_do_nothing()
    written = session.execute(query.returning(col(Redemption.id))).scalar()
    if written is not None:
        return session.get_one(Redemption, written)
    if _before(session, fresh) is None:
        raise CardCodeUsed
    # Another member's act stands under this reference, so what was just done must not.
    raise RedemptionDiffers("reference", fresh.reference)


def _need_usable(
    session: Session, coupon: Coupon, plan: CouponPlan, use: CouponUse, *, now: datetime
) -> None:
    """Everything that the till must hear before the coupon is spent."""
    end_lapsed(session, coupon, now)
    if coupon.state is CouponState.REDEEMED:
        raise CouponUsed
    if coupon.state is CouponState.GIFTING:
        raise CouponOnItsWay
    if coupon.state is CouponState.EXPIRED or coupon.expires_at <= now:
        raise CouponExpired(coupon.expires_at)
    if plan_shops.elsewhere(session, [plan.id], use.shop_id):
        raise CouponElsewhere(plan_shops.names(session, plan.id))
    if use.amount_fen < plan.min_spend_fen:
        raise SpendTooSmall(plan.min_spend_fen, use.amount_fen)


def _stands_for(session: Session, code: str, order: Order) -> bool:
    query = (
        select(Redemption.id)
        .join(Coupon, col(Coupon.id) == Redemption.coupon_id)
        .where(Coupon.code == code, col(Redemption.undone_at).is_(None))
        .where(Redemption.source == order.source, Redemption.reference == order.external_id)
    )
    return session.exec(query).first() is not None


def _end(session: Session, row: Redemption, *, is_owned: bool, now: datetime) -> None:
    """Close a redemption; its coupon, locked, goes back unless a refund has returned it before."""
    row.undone_at = now
    if row.coupon_id is not None and is_owned:
        coupon = session.get_one(Coupon, row.coupon_id)
        if coupon.state is CouponState.REDEEMED:
            rest(coupon, now)
            coupon.redeemed_at = coupon.redeemed_order_id = None
    session.flush()


def _lock_coupon(session: Session, code: str) -> Coupon:
    """The coupon with this code, under the locks of its owner and itself."""
    coupon = session.exec(select(Coupon).where(Coupon.code == code)).first()
    if coupon is None:
        raise coupons.CouponNotFound
    try:
        members.lock(session, coupon.member_id)
    except members.MemberNotFound:
        # What somebody held who was erased since is nobody's, and their number is ours alone.
        raise coupons.CouponNotFound from None
    session.refresh(coupon, with_for_update=True)
    if coupon.code != code:
        raise coupons.CouponNotFound
    return coupon


def _lock_owner(session: Session, row: Redemption) -> bool:
    """Lock whose coupon or points these are, and the coupon; no, if they were erased since."""
    coupon = session.get(Coupon, row.coupon_id) if row.coupon_id is not None else None
    entry = session.get(PointsEntry, row.entry_id) if row.entry_id is not None else None
    owner = coupon or entry
    assert owner is not None
    try:
        members.lock(session, owner.member_id)
    except members.MemberNotFound:
        return False
    if coupon is not None:
        session.refresh(coupon, with_for_update=True)
    return True


def _order_id(session: Session, source: str, reference: str) -> int | None:
    query = select(Order.id).where(Order.source == source, Order.external_id == reference)
    return session.exec(query).first()


def _paid_fen(session: Session, row: Redemption) -> int:
    """What was paid for the order that used it, as far as it was handed in."""
    query = select(Order.amount_fen).where(
        Order.source == row.source, Order.external_id == row.reference
    )
    return session.exec(query).first() or 0


def _return_points(
    session: Session, row: Redemption, target: int, *, source_id: str, now: datetime
) -> None:
    """Give points back until `target` of the redemption's are back."""
    if row.entry_id is None:
        return
    entry = session.get_one(PointsEntry, row.entry_id)
    due = target - ledger.undone(session, entry)
    if due > 0:
        points.give_back(session, entry.id, due, reason=UNDONE, source_id=source_id, now=now)
