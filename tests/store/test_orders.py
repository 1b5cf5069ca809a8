"""Orders and refunds: taken in once, with coupon, points, facts, level and a nudge."""

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError
from sqlmodel import Session, select

from store import ledger, members, merges, orders, points
from store.coupons import CouponState
from store.db import Database
from store.jobs import Job
from store.members import MemberNotFound
from store.order_parties import GuideUnknown, ProductUnknown, ShopUnknown
from store.orders import (
    CouponOfAnother,
    LineForm,
    MemberFacts,
    MemberRef,
    Order,
    OrderChanged,
    OrderForm,
    OrderLine,
    OrderNotFound,
    PaidInFuture,
    Placed,
    Refund,
    RefundChanged,
    RefundForm,
    RefundTooLarge,
)
from store.products import Product
from tests.builders import (
    NOW,
    SOURCE,
    a_coupon,
    a_guide,
    a_level,
    a_member,
    a_mobile,
    a_product,
    a_shop,
    a_visitor,
    an_order,
    an_order_form,
)

LATER = NOW + timedelta(days=1)


def place(session: Session, form: OrderForm) -> Placed:
    return orders.place(session, form, source=SOURCE, now=NOW)


def refund(session: Session, placed: Placed, fen: int, external_id: str = "r1") -> Refund:
    form = RefundForm(
        external_id=external_id,
        order_external_id=placed.order.external_id,
        amount_fen=fen,
        refunded_at=LATER,
    )
    return orders.refund(session, form, source=SOURCE, now=LATER)


def test_an_order_gives_points_by_the_level_of_the_member(session: Session) -> None:
    gold = a_level(session, earn_percent=150)
    li, zhao = a_member(session, level_id=gold.id), a_visitor(session)

    golden, plain = an_order(session, li, amount_fen=9_950), an_order(session, zhao)

    given = [placed.entry.points for placed in (golden, plain) if placed.entry]
    assert given == [99 * 150 // 100, 100]


def test_an_order_below_a_yuan_or_of_nobody_gives_no_points(session: Session) -> None:
    small, nobodys = an_order(session, a_member(session), amount_fen=99), an_order(session)

    assert (small.entry, nobodys.entry) == (None, None)
    assert nobodys.order.member_id is None


def test_the_same_order_is_taken_in_once(session: Session) -> None:
    li = a_member(session)
    form = an_order_form(session, li, coupon_code=a_coupon(session, li).code)

    first, again = place(session, form), place(session, form)

    assert (first.is_new, again.is_new) == (True, False)
    assert (first.order, first.entry) == (again.order, again.entry)
    assert points.balance(session, li.id) == 100
    assert len(session.exec(select(OrderLine)).all()) == 1


def test_an_order_of_the_same_number_from_another_source_is_another_order(
    session: Session,
) -> None:
    form = an_order_form(session)

    first = place(session, form)
    other = orders.place(session, form, source="web shop", now=NOW)

    assert other.is_new
    assert other.order.id != first.order.id


@pytest.mark.parametrize(
    "field", ["member", "paid_at", "shop_code", "guide_userid", "lines", "coupon_code"]
)
def test_the_same_order_with_another_content_is_refused_by_field(
    session: Session, field: str
) -> None:
    li = a_member(session)
    form = an_order_form(session, li)
    place(session, form)
    line = form.lines[0]
    other: dict[str, Any] = {
        "member": MemberRef(card_no=a_member(session).card_no),
        "paid_at": form.paid_at - timedelta(seconds=1),
        "shop_code": a_shop(session).code,
        "guide_userid": a_guide(session).userid,
        "lines": [line.model_copy(update={"amount_fen": line.amount_fen + 1})],
        "coupon_code": a_coupon(session, li).code,
    }

    with pytest.raises(OrderChanged) as refusal:
        place(session, form.model_copy(update={field: other[field]}))

    assert refusal.value.field == field
    assert points.balance(session, li.id) == 100


@pytest.mark.parametrize("key", ["mobile", "external_id", "card_no"])
def test_a_till_names_the_member_by_any_one_key(session: Session, key: str) -> None:
    li = a_member(session, external_id="HH1")
    named = an_order_form(session).model_copy(
        update={"member": MemberRef(**{key: getattr(li, key)})}
    )

    assert place(session, named).order.member_id == li.id


def test_a_key_of_a_merged_row_leads_to_the_survivor(session: Session) -> None:
    li, gone = a_member(session), a_member(session, external_id="HH2")
    merges.merge(session, li.id, gone.id, reason="t", now=NOW)
    form = an_order_form(session).model_copy(update={"member": MemberRef(external_id="HH2")})

    assert place(session, form).order.member_id == li.id


def test_an_order_that_names_something_unknown_leaves_nothing_behind(session: Session) -> None:
    form = an_order_form(session)
    unknown: list[tuple[dict[str, Any], type[Exception]]] = [
        ({"shop_code": "nowhere"}, ShopUnknown),
        ({"guide_userid": "nobody"}, GuideUnknown),
        ({"member": MemberRef(mobile="10099999999")}, MemberNotFound),
        ({"lines": [LineForm(product_external_id="x", quantity=1, amount_fen=1)]}, ProductUnknown),
        ({"paid_at": NOW + timedelta(hours=1)}, PaidInFuture),
    ]

    for facts, refusal in unknown:
        with pytest.raises(refusal) as said:
            place(session, form.model_copy(update=facts))
        assert "10099999999" not in str(said.value)

    assert session.exec(select(Order)).all() == []


def test_a_product_that_the_line_names_is_taken_in(session: Session) -> None:
    line = LineForm(product_external_id="new", quantity=2, amount_fen=500, name="桂花乌龙")

    place(session, an_order_form(session, lines=[line, line]))

    taken = session.exec(select(Product).where(Product.external_id == "new")).one()
    assert taken.name == "桂花乌龙"
    assert [row.line_no for row in session.exec(select(OrderLine))] == [1, 2]


def test_an_order_redeems_the_buyers_coupon_and_no_others(session: Session) -> None:
    li, zhao = a_member(session), a_member(session)
    own, zhaos = a_coupon(session, li), a_coupon(session, zhao)

    placed = an_order(session, li, coupon_code=own.code)

    assert (own.state, own.redeemed_order_id) == (CouponState.REDEEMED, placed.order.id)
    with pytest.raises(CouponOfAnother):
        an_order(session, li, coupon_code=zhaos.code)
    assert zhaos.state is CouponState.AVAILABLE


def test_facts_and_level_follow_an_order_and_its_refund(session: Session) -> None:
    silver, gold = a_level(session), a_level(session, min_spent_fen=10_000)
    li = members.bind_mobile(session, a_visitor(session).id, a_mobile(), now=NOW)
    before = li.level_id
    placed = an_order(session, li, amount_fen=10_000)
    after = li.level_id

    refund(session, placed, 1)

    assert (before, after, li.level_id) == (silver.id, gold.id, silver.id)
    assert session.get_one(MemberFacts, li.id).spent_fen == 9_999


def test_refunds_take_points_back_in_proportion_and_the_last_takes_the_rest(
    session: Session,
) -> None:
    li = a_member(session)
    placed = an_order(session, li, amount_fen=10_000)
    balances = []

    for count, fen in enumerate((3_333, 3_333, 3_334)):
        refund(session, placed, fen, f"r{count}")
        balances.append(points.balance(session, li.id))

    assert balances == [67, 34, 0]


def test_a_refund_of_spent_points_makes_a_debt_that_the_next_order_repays(
    session: Session,
) -> None:
    """Odoo's refunds kept the points (loyalty.md §2.6)."""
    li = a_member(session)
    placed = an_order(session, li, amount_fen=10_000)
    points.spend(session, li.id, 80, reason="gift", source_id="g1", now=NOW)

    refund(session, placed, 10_000)
    owed = ledger.debt(session, li.id)
    an_order(session, li, amount_fen=20_000, now=LATER)

    assert owed == 80
    assert points.spendable(session, li.id, LATER) == points.balance(session, li.id) == 120


def test_the_same_refund_is_taken_in_once_and_other_facts_are_refused(session: Session) -> None:
    li = a_member(session)
    placed, other = an_order(session, li), an_order(session, li)

    first, again = refund(session, placed, 4_000), refund(session, placed, 4_000)

    assert first == again
    assert placed.order.refunded_fen == 4_000
    with pytest.raises(RefundChanged):
        refund(session, placed, 4_001)
    with pytest.raises(RefundChanged):
        refund(session, other, 4_000)


def test_no_more_is_refunded_than_was_paid(session: Session) -> None:
    placed = an_order(session, a_member(session), amount_fen=10_000)
    refund(session, placed, 6_000)

    with pytest.raises(RefundTooLarge) as refusal:
        refund(session, placed, 4_001, "r2")

    assert refusal.value.left_fen == 4_000
    assert len(session.exec(select(Refund)).all()) == 1


def test_a_refund_of_an_unknown_order_is_refused(session: Session) -> None:
    form = RefundForm(external_id="r", order_external_id="none", amount_fen=1, refunded_at=NOW)

    with pytest.raises(OrderNotFound):
        orders.refund(session, form, source=SOURCE, now=NOW)


def test_orders_and_refunds_ask_for_attribution_after_the_commit(
    fresh_database: Database,
) -> None:
    nudges: list[Any] = []
    database = Database(fresh_database.engine, hand_over=nudges.append)

    with database.transaction() as session:
        placed = an_order(session, a_member(session))
        in_between = list(nudges)
    with database.transaction() as session:
        refund(session, placed, 100)

    assert in_between == []
    assert nudges == [(Job.ATTRIBUTE_ORDER, placed.order.id)] * 2
    assert placed.order.is_attribution_due


@pytest.mark.parametrize(
    "wrong",
    [
        {"lines": []},
        {"paid_at": "2026-03-01T12:00:00"},
        {"external_id": ""},
        {"external_id": "a\x00b"},
        {"member": {}},
        {"member": {"mobile": "10000000001", "card_no": "C"}},
        {"lines": [{"product_external_id": "x", "quantity": -1, "amount_fen": 1}]},
        {"lines": [{"product_external_id": "x", "quantity": 1, "amount_fen": 10**13}]},
        {"unheard_of": 1},
    ],
)
def test_a_form_refuses_what_no_till_can_mean(wrong: dict[str, Any]) -> None:
    right = {
        "external_id": "A1",
        "paid_at": "2026-03-01T12:00:00+08:00",
        "shop_code": "S1",
        "lines": [{"product_external_id": "x", "quantity": 1, "amount_fen": 1}],
    }
    assert OrderForm.model_validate(right).amount_fen == 1

    with pytest.raises(ValidationError) as refusal:
        OrderForm.model_validate(right | wrong)

    assert "10000000001" not in str(refusal.value)


def test_an_order_with_a_product_twice_counts_both_lines(session: Session) -> None:
    tea = a_product(session)
    line = LineForm(product_external_id=tea.external_id, quantity=1, amount_fen=600)

    placed = an_order(session, a_member(session), lines=[line, line])

    assert placed.order.amount_fen == 1_200
