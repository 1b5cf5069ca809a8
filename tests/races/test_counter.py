"""Races at the counter: the shop's last items, one form, one card code, till against order."""

from datetime import timedelta
from threading import Barrier, Event
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, func, select

from store import coupons, gifts, members, orders, points, points_shop, redemptions
from store.coupons import Coupon, CouponState
from store.db import Database
from store.members import Member
from store.orders import RefundForm
from store.organisation import Shop
from store.points_shop import ItemLimitReached, ItemSoldOut, ShopItem, ShopRedemption
from store.redemptions import CouponUse, PointsUse, Redemption
from tests.builders import (
    NOW,
    a_coupon,
    a_member,
    a_shop,
    an_item,
    an_order_form,
)
from tests.races.racing import SECONDS, Act, race, waiting, winners

pytestmark = pytest.mark.race

PEOPLE, STOCK = 20, 3


def unlocked(session: Session, member_id: int) -> Member:
    """`members.lock` without its lock."""
    return session.get_one(Member, member_id)


def redeeming(code: str, member_id: int, token: str) -> Act:
    return lambda session: points_shop.redeem(session, code, member_id, token=token, now=NOW).id


def opened(database: Database, people: int, **facts: Any) -> tuple[str, list[int]]:
    """A shop with one item of a hundred points, and people who can pay for three each."""
    with database.transaction() as session:
        item = an_item(session, cost=100, **facts)
        return item.code, [a_member(session, points=300).id for _ in range(people)]


def count(database: Database, table: Any) -> int:
    with database.transaction() as session:
        return session.exec(select(func.count()).select_from(table)).one()


def spent(database: Database, ids: list[int]) -> int:
    with database.transaction() as session:
        return sum(300 - points.balance(session, member_id) for member_id in ids)


def test_the_last_three_go_to_three_of_twenty(fresh_database: Database) -> None:
    code, ids = opened(fresh_database, PEOPLE, stock=STOCK)

    outcomes = race(fresh_database, [redeeming(code, one, f"form {one}") for one in ids])

    assert len(winners(outcomes)) == STOCK
    assert [type(lost) for lost in outcomes].count(ItemSoldOut) == PEOPLE - STOCK
    assert count(fresh_database, Coupon) == STOCK
    assert spent(fresh_database, ids) == STOCK * 100


def test_more_than_there_are_go_out_when_the_stock_is_read_before_it_is_written(
    fresh_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, ids = opened(fresh_database, STOCK + 1, stock=STOCK)

    read = waiting(STOCK + 1, lambda session, item: session.get_one(ShopItem, item.id).sold)

    def read_then_write(session: Session, item: ShopItem) -> int:
        sold = read(session, item)
        if item.stock is not None and sold >= item.stock:
            raise ItemSoldOut(item.code)
        item.sold = sold + 1
        return item.points

    monkeypatch.setattr(points_shop, "_take_from_shelf", read_then_write)
    outcomes = race(fresh_database, [redeeming(code, one, f"form {one}") for one in ids])

    assert len(winners(outcomes)) == STOCK + 1


def test_one_form_sent_many_times_at_once_is_one_redemption(fresh_database: Database) -> None:
    code, (li,) = opened(fresh_database, 1)

    outcomes = race(fresh_database, [redeeming(code, li, "one form")] * 6)

    assert len(set(outcomes)) == 1
    assert count(fresh_database, ShopRedemption) == 1
    assert spent(fresh_database, [li]) == 100


def test_one_form_is_one_redemption_without_the_lock_too_but_the_loser_breaks(
    fresh_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, (li,) = opened(fresh_database, 1)
    monkeypatch.setattr(members, "lock", unlocked)
    monkeypatch.setattr(points_shop, "_known", waiting(2, points_shop._known))

    outcomes = race(fresh_database, [redeeming(code, li, "one form")] * 2)

    assert [type(lost) for lost in outcomes].count(IntegrityError) == 1
    assert count(fresh_database, ShopRedemption) == 1


def test_a_limit_holds_when_two_forms_come_at_once(fresh_database: Database) -> None:
    code, (li,) = opened(fresh_database, 1, per_member_limit=1)

    outcomes = race(fresh_database, [redeeming(code, li, f"form {n}") for n in range(3)])

    assert len(winners(outcomes)) == 1
    assert [type(lost) for lost in outcomes].count(ItemLimitReached) == 2


def test_a_limit_is_passed_without_the_members_lock(
    fresh_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, (li,) = opened(fresh_database, 1, per_member_limit=1)
    monkeypatch.setattr(members, "lock", unlocked)
    monkeypatch.setattr(points_shop, "had_by", waiting(2, points_shop.had_by))

    outcomes = race(fresh_database, [redeeming(code, li, f"form {n}") for n in range(2)])

    assert len(winners(outcomes)) == 2


def a_purse(database: Database) -> tuple[int, str, int]:
    """Li with a thousand points and a coupon, and a shop."""
    with database.transaction() as session:
        li = a_member(session, points=1000)
        return li.id, a_coupon(session, li).code, a_shop(session, code="S1").id


def using(code: str, shop_id: int, reference: str, key: str = "") -> Act:
    use = CouponUse("till", key or reference, reference, code, 10_000, shop_id)
    return lambda session: redemptions.use_coupon(session, use, now=NOW).id


def paying(member_id: int, reference: str, *, card_code: str = "", key: str = "") -> Act:
    use = PointsUse("till", key or reference, reference, card_code or reference, 400)
    return lambda session: redemptions.use_points(session, member_id, use, now=NOW).id


def test_a_coupon_shown_at_many_tills_at_once_is_used_once(fresh_database: Database) -> None:
    _, code, shop = a_purse(fresh_database)

    outcomes = race(fresh_database, [using(code, shop, f"A{n}") for n in range(6)])

    assert len(winners(outcomes)) == 1
    assert {type(lost) for lost in outcomes} == {int, redemptions.CouponUsed}


def test_a_coupon_is_used_once_without_the_locks_too_but_the_loser_does_not_know_why(
    fresh_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index keeps the promise; the lock is what lets the till say `coupon_used`."""
    _, code, shop = a_purse(fresh_database)
    reading = waiting(2, lambda session, code: _coupon(session, code))
    monkeypatch.setattr(redemptions, "_lock_coupon", reading)
    monkeypatch.setattr(coupons, "_lock_by_code", lambda session, code: _coupon(session, code))

    outcomes = race(fresh_database, [using(code, shop, f"A{n}") for n in range(2)])

    assert len(winners(outcomes)) == 1
    assert redemptions.CouponUsed not in {type(lost) for lost in outcomes}


def _coupon(session: Session, code: str) -> Coupon:
    return session.exec(select(Coupon).where(Coupon.code == code)).one()


def test_one_redemption_asked_for_many_times_at_once_is_one(fresh_database: Database) -> None:
    li, code, shop = a_purse(fresh_database)

    used = race(fresh_database, [using(code, shop, "A1")] * 5)
    paid = race(fresh_database, [paying(li, "A1")] * 5)

    assert (len(set(used)), len(set(paid))) == (1, 1)
    assert count(fresh_database, Redemption) == 2


def test_one_card_code_pays_one_purchase_when_two_tills_send_it(fresh_database: Database) -> None:
    li, _, _ = a_purse(fresh_database)

    outcomes = race(fresh_database, [paying(li, f"A{n}", card_code="seen") for n in range(4)])

    assert len(winners(outcomes)) == 1
    with fresh_database.transaction() as session:
        assert points.balance(session, li) == 600


def test_two_members_cannot_pay_under_one_reference(fresh_database: Database) -> None:
    with fresh_database.transaction() as session:
        ids = [a_member(session, points=1000).id for _ in range(4)]

    outcomes = race(fresh_database, [paying(one, "A1", card_code=f"card {one}") for one in ids])

    assert len(winners(outcomes)) == 1
    with fresh_database.transaction() as session:
        assert sum(points.balance(session, one) for one in ids) == 3600


def test_till_and_order_at_once_are_one_redemption(fresh_database: Database) -> None:
    _, code, shop = a_purse(fresh_database)
    with fresh_database.transaction() as session:
        li = _owner(session, code)
        form = an_order_form(session, li, external_id="A1", shop_code="S1", coupon_code=code)

    def ordering(session: Session) -> int:
        return orders.place(session, form, source="till", now=NOW).order.id

    outcomes = race(fresh_database, [ordering, using(code, shop, "A1")] * 2)

    assert len(winners(outcomes)) == 4
    with fresh_database.transaction() as session:
        coupon = _coupon(session, code)
        assert coupon.state is CouponState.REDEEMED
        assert coupon.redeemed_order_id == outcomes[0]


def _owner(session: Session, code: str) -> Member:
    return session.get_one(Member, _coupon(session, code).member_id)


def test_undo_against_a_repeat_and_a_new_use_leaves_one_truth(fresh_database: Database) -> None:
    _, code, shop = a_purse(fresh_database)
    with fresh_database.transaction() as session:
        use = CouponUse("till", "try 1", "A1", code, 10_000, shop)
        first = redemptions.use_coupon(session, use, now=NOW).number

    race(
        fresh_database,
        [
            lambda session: redemptions.undo(session, first, source="till", now=NOW).id,
            lambda session: redemptions.undo(session, first, source="till", now=NOW).id,
            using(code, shop, "A1", "try 1"),
            using(code, shop, "A2", "try 2"),
        ],
    )

    with fresh_database.transaction() as session:
        query = select(Redemption).where(col(Redemption.undone_at).is_(None))
        standing = session.exec(query).all()
        is_used = _coupon(session, code).state is CouponState.REDEEMED
    assert len(standing) == int(is_used)
    assert [row.reference for row in standing] in ([], ["A2"])


def test_undo_and_refund_at_once_do_not_wait_for_each_other(
    fresh_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order is nobody's, so that only the redemption's owner stands between the two."""
    li, _, shop = a_purse(fresh_database)
    with fresh_database.transaction() as session:
        use = PointsUse("till", "try 1", "A1", "seen", 400)
        number = redemptions.use_points(session, li, use, now=NOW).number
        shop_code = session.get_one(Shop, shop).code
        form = an_order_form(session, external_id="A1", shop_code=shop_code)
        orders.place(session, form, source="till", now=NOW)
    back = RefundForm(external_id="R1", order_external_id="A1", amount_fen=5_000, refunded_at=NOW)
    lock, undoing = redemptions._lock_owner, Event()
    both = Barrier(2)

    def undo_first(session: Session, row: Redemption) -> bool:
        both.wait(SECONDS)
        if not session.info.get("undoes"):
            assert undoing.wait(SECONDS)
            return lock(session, row)
        is_owned = lock(session, row)
        undoing.set()
        return is_owned

    def undo(session: Session) -> str:
        session.info["undoes"] = True
        return redemptions.undo(session, number, source="till", now=NOW).number

    monkeypatch.setattr(redemptions, "_lock_owner", undo_first)
    refused, refund = race(
        fresh_database, [undo, lambda session: orders.refund(session, back, source="till", now=NOW)]
    )

    assert isinstance(refused, redemptions.OrderIsIn)
    assert not isinstance(refund, Exception)
    with fresh_database.transaction() as session:
        assert points.balance(session, li) == 800


def test_giving_a_coupon_away_against_the_till_has_one_winner(fresh_database: Database) -> None:
    li, code, shop = a_purse(fresh_database)
    with fresh_database.transaction() as session:
        coupon_id = _coupon(session, code).id

    outcomes = race(
        fresh_database,
        [
            lambda session: gifts.offer(session, coupon_id, li, now=NOW)[0].id,
            using(code, shop, "A1"),
        ],
    )

    assert len(winners(outcomes)) == 1


def test_points_are_given_back_once_by_undo_and_refund_at_once(fresh_database: Database) -> None:
    li, _, _ = a_purse(fresh_database)
    with fresh_database.transaction() as session:
        use = PointsUse("till", "A1", "A1", "card", 400)
        row = redemptions.use_points(session, li, use, now=NOW).number
        session.flush()

    outcomes = race(
        fresh_database,
        [lambda session: redemptions.undo(session, row, source="till", now=NOW).id] * 4,
    )

    assert len(set(outcomes)) == 1
    with fresh_database.transaction() as session:
        assert points.balance(session, li) == 1000
        assert points.spendable(session, li, NOW + timedelta(days=1)) == 1000
