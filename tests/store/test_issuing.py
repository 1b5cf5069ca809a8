"""Issuing to many at once keeps the rules of issuing to one."""

from datetime import datetime

import pytest
from sqlmodel import Session, col, select

from store import coupons, gifts, issuing
from store.coupons import Coupon, CouponPlan, PlanNotFound
from store.members import MemberStatus
from tests.builders import a_coupon, a_member, a_plan


def holders(session: Session, plan: CouponPlan) -> list[int]:
    query = select(Coupon.member_id).where(Coupon.plan_id == plan.id)
    return list(session.exec(query.order_by(col(Coupon.member_id))).all())


def test_everybody_gets_one_and_a_repeat_gives_no_more(session: Session, now: datetime) -> None:
    plan, members = a_plan(session), [a_member(session).id for _ in range(3)]

    first = issuing.issue_many(session, plan.id, members[:2], reason="spring", now=now)
    again = issuing.issue_many(session, plan.id, members, reason="spring", now=now)

    assert (first, again) == (set(members[:2]), set(members))
    assert holders(session, plan) == members
    assert plan.issued == 3


def test_the_stock_goes_to_the_first_members(session: Session, now: datetime) -> None:
    plan, members = a_plan(session, stock=3), [a_member(session).id for _ in range(4)]
    a_coupon(session, a_member(session), plan=plan)

    served = issuing.issue_many(session, plan.id, members, reason="spring", now=now)

    assert served == set(members[:2])
    assert plan.issued == 3


def test_a_coupon_given_away_still_counts_against_the_limit(
    session: Session, now: datetime
) -> None:
    plan = a_plan(session, per_member_limit=1)
    giver, friend, other = (a_member(session) for _ in range(3))
    _, token = gifts.offer(session, a_coupon(session, giver, plan=plan).id, giver.id, now=now)
    gifts.claim(session, token, friend.id, now=now)

    members = [giver.id, friend.id, other.id]
    served = issuing.issue_many(session, plan.id, members, reason="spring", now=now)

    assert served == {other.id}


def test_a_closed_plan_gives_nothing(session: Session, now: datetime) -> None:
    plan, li = a_plan(session, is_active=False), a_member(session)

    assert issuing.issue_many(session, plan.id, [li.id], reason="spring", now=now) == set()


def test_who_is_gone_gets_nothing(session: Session, now: datetime) -> None:
    plan, li = a_plan(session), a_member(session, status=MemberStatus.ERASED)

    assert issuing.issue_many(session, plan.id, [li.id], reason="spring", now=now) == set()


def test_an_unknown_plan_is_refused(session: Session, now: datetime) -> None:
    with pytest.raises(PlanNotFound):
        issuing.issue_many(session, 404, [], reason="spring", now=now)


def test_a_coupon_issued_to_many_can_be_used_like_any(session: Session, now: datetime) -> None:
    plan, li = a_plan(session), a_member(session)
    issuing.issue_many(session, plan.id, [li.id], reason="spring", now=now)

    ((coupon, _),) = coupons.usable(session, li.id, now)

    assert coupons.redeem(session, coupon.code, order_id=None, now=now) is coupon
