"""Races for the record: one winner each, and beside it the same race without the lock."""

from typing import Any

import pytest
from sqlmodel import Session, col, func, select

from store import coupons, ledger, members, merges, orders, points
from store.coupons import Coupon, CouponPlan, StockUsedUp
from store.db import Database
from store.members import Identity, IdentityChannel, Member
from store.merges import CannotMerge, Merge
from store.orders import Order, RefundForm
from store.points import NotEnoughPoints, PointsEntry
from tests.builders import (
    NOW,
    SOURCE,
    a_brand,
    a_member,
    a_mobile,
    a_plan,
    a_visitor,
    an_order,
    an_order_form,
    number,
)
from tests.races.racing import Act, race, waiting, winners

pytestmark = pytest.mark.race

RACERS = 6


def unlocked(session: Session, member_id: int) -> Member:
    """`members.lock` without its lock."""
    return session.get_one(Member, member_id)


def unlocked_both(session: Session, one_id: int, other_id: int) -> tuple[Member, Member]:
    """`members.lock_both` without its locks."""
    return unlocked(session, one_id), unlocked(session, other_id)


def spending(member_id: int) -> Act:
    source_id = str(number())
    return lambda session: points.spend(
        session, member_id, 100, reason="gift", source_id=source_id, now=NOW
    )


def test_points_are_spent_once_when_many_spend_them_at_once(fresh_database: Database) -> None:
    with fresh_database.transaction() as session:
        li = a_member(session, points=100).id

    outcomes = race(fresh_database, [spending(li) for _ in range(RACERS)])

    with fresh_database.transaction() as session:
        assert points.balance(session, li) == 0
    assert len(winners(outcomes)) == 1
    assert [type(lost) for lost in outcomes].count(NotEnoughPoints) == RACERS - 1


def test_points_are_spent_twice_without_the_members_lock(
    fresh_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fresh_database.transaction() as session:
        li = a_member(session, points=100).id
    monkeypatch.setattr(members, "lock", unlocked)
    monkeypatch.setattr(ledger, "lots_to_spend", waiting(2, ledger.lots_to_spend))

    outcomes = race(fresh_database, [spending(li) for _ in range(2)])

    with fresh_database.transaction() as session:
        assert points.balance(session, li) == -100
    assert len(winners(outcomes)) == 2


def test_one_source_gives_its_points_once_when_it_comes_many_times_at_once(
    fresh_database: Database,
) -> None:
    """Odoo's offline tills retried and doubled the points (loyalty.md §2.6)."""
    with fresh_database.transaction() as session:
        li = a_member(session).id

    def earn(session: Session) -> int:
        return points.earn(session, li, 50, reason="order", source_id="A1", now=NOW).id

    outcomes = race(fresh_database, [earn] * RACERS)

    with fresh_database.transaction() as session:
        assert points.balance(session, li) == 50
    assert len(set(outcomes)) == 1


def test_spends_and_refunds_at_once_keep_the_ledgers_promise(fresh_database: Database) -> None:
    """Medusa's revert without a lock erased a parallel spend (loyalty.md §2.6)."""
    with fresh_database.transaction() as session:
        li = a_member(session).id
        earned = points.earn(session, li, 100, reason="t", source_id="e", now=NOW).id
        spent = points.spend(session, li, 60, reason="t", source_id="s", now=NOW).id
    acts: list[Act] = [
        lambda s: points.reverse(s, earned, 100, reason="t", source_id="r", now=NOW),
        lambda s: points.give_back(s, spent, 60, reason="t", source_id="g", now=NOW),
        lambda s: points.earn(s, li, 70, reason="t", source_id="e2", now=NOW),
        lambda s: points.spend(s, li, 10, reason="t", source_id="s2", now=NOW),
        lambda s: points.expire_due(s, NOW),
    ]

    race(fresh_database, acts)

    with fresh_database.transaction() as session:
        spendable = points.spendable(session, li, NOW)
        assert points.balance(session, li) == spendable - ledger.debt(session, li)
        assert spendable in {60, 70}


def issuing(plan_id: int, member_id: int) -> Act:
    source_id = str(number())
    return lambda session: coupons.issue(
        session, plan_id, member_id, reason="t", source_id=source_id, now=NOW
    )


def many_for_the_last(database: Database) -> tuple[int, list[Act]]:
    with database.transaction() as session:
        plan = a_plan(session, stock=1)
        return plan.id, [issuing(plan.id, a_member(session).id) for _ in range(RACERS)]


def test_the_last_coupon_goes_to_one_of_many(fresh_database: Database) -> None:
    plan_id, acts = many_for_the_last(fresh_database)

    outcomes = race(fresh_database, acts)

    assert len(winners(outcomes)) == 1
    assert [type(lost) for lost in outcomes].count(StockUsedUp) == RACERS - 1
    assert issued(fresh_database, plan_id) == (1, 1)


def test_the_last_coupon_goes_to_all_when_the_stock_is_read_and_then_written(
    fresh_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bug of many shops: 150 of 150 got through a limit of 100 (loyalty.md §2.7)."""
    plan_id, acts = many_for_the_last(fresh_database)
    see = waiting(RACERS, lambda session: session.get_one(CouponPlan, plan_id).issued)

    def read_then_write(session: Session, plan: CouponPlan) -> None:
        seen = see(session)
        if plan.stock is not None and seen >= plan.stock:
            raise StockUsedUp(plan.code, plan.stock)
        plan.issued = seen + 1

    monkeypatch.setattr(coupons, "_take_from_stock", read_then_write)
    outcomes = race(fresh_database, acts)

    assert len(winners(outcomes)) == RACERS
    assert issued(fresh_database, plan_id) == (1, RACERS)


def issued(database: Database, plan_id: int) -> tuple[int, int]:
    """How many the plan says it has issued, and how many there are."""
    with database.transaction() as session:
        query = select(func.count(col(Coupon.id))).where(Coupon.plan_id == plan_id)
        return session.get_one(CouponPlan, plan_id).issued, session.exec(query).one()


def test_a_member_gets_no_more_than_the_limit_when_asking_many_times_at_once(
    fresh_database: Database,
) -> None:
    with fresh_database.transaction() as session:
        plan_id, li = a_plan(session, per_member_limit=2).id, a_member(session).id

    outcomes = race(fresh_database, [issuing(plan_id, li) for _ in range(RACERS)])

    assert len(winners(outcomes)) == 2


def handing_in(database: Database) -> tuple[int, Act]:
    with database.transaction() as session:
        li = a_member(session)
        form = an_order_form(session, li)
        member_id = li.id
    return member_id, lambda session: orders.place(session, form, source=SOURCE, now=NOW)


def test_an_order_is_taken_in_once_when_tills_hand_it_in_at_once(
    fresh_database: Database,
) -> None:
    li, act = handing_in(fresh_database)

    outcomes = race(fresh_database, [act] * RACERS)

    assert sorted(placed.is_new for placed in outcomes) == [False] * (RACERS - 1) + [True]
    assert len({placed.order.id for placed in outcomes}) == 1
    with fresh_database.transaction() as session:
        assert points.balance(session, li) == 100


def test_an_order_of_nobody_is_taken_in_once_when_tills_hand_it_in_at_once(
    fresh_database: Database,
) -> None:
    """No member, no lock: the natural key alone must hold."""
    with fresh_database.transaction() as session:
        form = an_order_form(session)

    outcomes = race(
        fresh_database,
        [lambda session: orders.place(session, form, source=SOURCE, now=NOW)] * RACERS,
    )

    assert sorted(placed.is_new for placed in outcomes) == [False] * (RACERS - 1) + [True]


def test_an_order_breaks_for_one_till_when_the_key_is_looked_up_and_then_written(
    fresh_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Look first, insert then, no lock: the database keeps the promise, but one till crashes."""
    _, act = handing_in(fresh_database)
    see = waiting(2, lambda session: session.exec(select(Order)).first())

    def look_then_write(
        session: Session, form: Any, _parties: Any, *, source: str, now: Any
    ) -> tuple[Order, bool]:
        if (found := see(session)) is not None:
            return found, False
        facts = form.model_dump(include={"external_id", "paid_at"})
        order = Order(**facts, source=source, amount_fen=form.amount_fen, created_at=now)
        session.add(order)
        session.flush()
        return order, True

    monkeypatch.setattr(members, "lock", unlocked)
    monkeypatch.setattr(orders, "_write", look_then_write)
    outcomes = race(fresh_database, [act] * 2)

    assert len(winners(outcomes)) == 1


def test_refunds_at_once_give_back_no_more_than_was_paid(fresh_database: Database) -> None:
    with fresh_database.transaction() as session:
        li = a_member(session)
        placed = an_order(session, li, amount_fen=10_000)
        member_id, key = li.id, placed.order.external_id

    def refunding(external_id: str) -> Act:
        form = RefundForm(
            external_id=external_id, order_external_id=key, amount_fen=6_000, refunded_at=NOW
        )
        return lambda session: orders.refund(session, form, source=SOURCE, now=NOW)

    outcomes = race(fresh_database, [refunding(f"r{i}") for i in range(RACERS)])

    assert len(winners(outcomes)) == 1
    with fresh_database.transaction() as session:
        assert points.balance(session, member_id) == 40


def rival_merges(database: Database) -> tuple[int, list[Act]]:
    """Two members who are both to get the same visitor."""
    with database.transaction() as session:
        kept = [a_member(session).id for _ in range(2)]
        gone = a_visitor(session).id
    return gone, [merging(into, gone) for into in kept]


def merging(kept_id: int, gone_id: int) -> Act:
    return lambda session: merges.merge(session, kept_id, gone_id, reason="t", now=NOW).kept_id


def test_a_visitor_is_merged_into_one_member_when_two_want_it_at_once(
    fresh_database: Database,
) -> None:
    gone, acts = rival_merges(fresh_database)

    outcomes = race(fresh_database, acts)

    assert len(winners(outcomes)) == 1
    assert [type(lost) for lost in outcomes].count(CannotMerge) == 1
    with fresh_database.transaction() as session:
        assert session.get_one(Member, gone).merged_into_id == winners(outcomes)[0]


def test_a_visitor_is_merged_twice_without_the_locks(
    fresh_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, acts = rival_merges(fresh_database)
    both = waiting(2, lambda _, one_id, other_id: dict.fromkeys([one_id, other_id], "active"))
    monkeypatch.setattr(merges, "_lock", both)

    outcomes = race(fresh_database, acts)

    assert len(winners(outcomes)) == 2
    with fresh_database.transaction() as session:
        assert len(session.exec(select(Merge)).all()) == 2


def test_points_earned_while_the_visitor_is_merged_are_the_survivors(
    fresh_database: Database,
) -> None:
    with fresh_database.transaction() as session:
        li, gone = a_member(session).id, a_visitor(session).id

    def earning(session: Session) -> PointsEntry:
        return points.earn(session, gone, 10, reason="t", source_id="1", now=NOW)

    race(
        fresh_database,
        [earning, lambda session: merges.merge(session, li, gone, reason="t", now=NOW)],
    )

    with fresh_database.transaction() as session:
        assert points.balance(session, li) == points.spendable(session, li, NOW) == 10


def meeting(brand_id: int, outside_id: str, unionid: str | None = None) -> Act:
    return lambda session: (
        members.meet(
            session,
            channel=IdentityChannel.WECHAT,
            account="wx1",
            outside_id=outside_id,
            brand_id=brand_id,
            unionid=unionid,
            now=NOW,
        ).member_id
    )


def test_a_stranger_who_writes_many_times_at_once_is_one_visitor(fresh_database: Database) -> None:
    with fresh_database.transaction() as session:
        brand_id = a_brand(session).id

    outcomes = race(fresh_database, [meeting(brand_id, "oLi")] * RACERS)

    with fresh_database.transaction() as session:
        assert {row.id for row in session.exec(select(Member))} == set(outcomes)
        assert len(session.exec(select(Identity)).all()) == 1


def test_one_person_met_on_many_channels_at_once_is_one_visitor(fresh_database: Database) -> None:
    """Odoo gave two loyalty cards to one person (loyalty.md §2.6)."""
    with fresh_database.transaction() as session:
        brand_id = a_brand(session).id

    outcomes = race(fresh_database, [meeting(brand_id, f"o{i}", "u1") for i in range(RACERS)])

    assert len(set(outcomes)) == 1


def test_visitors_who_bind_one_mobile_at_once_are_one_member(fresh_database: Database) -> None:
    mobile = a_mobile()
    with fresh_database.transaction() as session:
        visitors = [a_visitor(session).id for _ in range(RACERS)]

    def binding(visitor_id: int) -> Act:
        return lambda session: members.bind_mobile(session, visitor_id, mobile, now=NOW).id

    outcomes = race(fresh_database, [binding(visitor_id) for visitor_id in visitors])

    assert len(set(outcomes)) == 1
    with fresh_database.transaction() as session:
        assert len(session.exec(select(Member).where(Member.mobile == mobile)).all()) == 1
