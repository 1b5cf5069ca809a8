"""Issuing coupons of one plan to many members in a few statements; `coupons.issue` for one.

The rules are those of `coupons.issue`. Who cannot get one is left out, not refused.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ARRAY, BigInteger, any_, cast, insert, union
from sqlmodel import col, func, select

from store.coupons import Coupon, CouponPlan, CouponState, Gift, GiftState, PlanNotFound
from store.db import Session
from store.members import Member, MemberStatus
from store.tokens import new_code


def issue_many(
    session: Session, plan_id: int, members: Collection[int], *, reason: str, now: datetime
) -> set[int]:
    """Put a coupon in the hands of each active member, once for a `reason`; gives who holds it.

    Locks the members in id order, then the plan. Stock that does not suffice goes to the first
    members. `reason` names the occasion; with the member's id it is the source of the coupon.
    """
    active = _locked(session, members)
    plan = session.get(CouponPlan, plan_id)
    if plan is None:
        raise PlanNotFound(plan_id)
    session.refresh(plan, with_for_update={"key_share": True})
    holders = _holders(session, active, reason)
    wanting = [member_id for member_id in active if member_id not in holders]
    served = _within_stock(plan, _within_limit(session, plan, wanting))
    if served:
        session.connection().execute(
            insert(Coupon), [_row(plan, member_id, reason, now) for member_id in served]
        )
    plan.issued += len(served)
    session.flush()
    return holders | set(served)


def _locked(session: Session, members: Collection[int]) -> list[int]:
    query = (
        select(Member.id)
        .where(col(Member.id) == any_(cast(list(members), ARRAY(BigInteger))))
        .where(Member.status == MemberStatus.ACTIVE)
        .order_by(col(Member.id))
        .with_for_update()
    )
    return list(session.exec(query).all())


def _holders(session: Session, members: Sequence[int], reason: str) -> set[int]:
    """Who got the coupon of this occasion before, wherever it is now."""
    by_source = {str(member_id): member_id for member_id in members}
    query = select(Coupon.source_id).where(
        Coupon.reason == reason, col(Coupon.source_id).in_(by_source)
    )
    return {by_source[source_id] for source_id in session.exec(query).all()}


def _within_limit(session: Session, plan: CouponPlan, members: Sequence[int]) -> list[int]:
    """Those who have had fewer coupons of the plan than one may; given away ones count too."""
    if plan.per_member_limit is None:
        return list(members)
    held: Any = (
        select(col(Coupon.member_id).label("member_id"), col(Coupon.id).label("coupon_id"))
        .where(Coupon.plan_id == plan.id, Coupon.state != CouponState.REVOKED)
        .where(col(Coupon.member_id).in_(members))
    )
    given: Any = (
        select(col(Gift.giver_id).label("member_id"), col(Coupon.id).label("coupon_id"))
        .join(Coupon, col(Coupon.id) == Gift.coupon_id)
        .where(Coupon.plan_id == plan.id, Coupon.state != CouponState.REVOKED)
        .where(Gift.state == GiftState.CLAIMED, col(Gift.giver_id).in_(members))
    )
    had = union(held, given).subquery()
    counts = select(had.c.member_id, func.count()).group_by(had.c.member_id)
    by_member = dict(session.exec(counts).all())
    return [m for m in members if by_member.get(m, 0) < plan.per_member_limit]


def _within_stock(plan: CouponPlan, members: Sequence[int]) -> list[int]:
    if not plan.is_active:
        return []
    return list(members if plan.stock is None else members[: plan.stock - plan.issued])


def _row(plan: CouponPlan, member_id: int, reason: str, now: datetime) -> dict[str, object]:
    return {
        "plan_id": plan.id,
        "member_id": member_id,
        "code": new_code(),
        "state": CouponState.AVAILABLE,
        "reason": reason,
        "source_id": str(member_id),
        "hops": 0,
        "issued_at": now,
        "expires_at": now + timedelta(days=plan.valid_days),
    }
