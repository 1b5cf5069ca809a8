"""Member facts and levels: one statement for one member or for all, true to the orders."""

from datetime import timedelta

import pytest
from sqlmodel import Session

from store import facts, levels, orders
from store.members import Member
from store.orders import MemberFacts, RefundForm
from tests.builders import (
    NOW,
    SOURCE,
    a_level,
    a_member,
    a_product,
    a_visitor,
    an_order,
    an_order_form,
)


def bought(session: Session, member: Member, *days_ago: int, fen: int = 1_000) -> None:
    for days in days_ago:
        paid_at = NOW - timedelta(days=days)
        form = an_order_form(session, member, amount_fen=fen, paid_at=paid_at)
        orders.place(session, form, source=SOURCE, now=NOW)


def of(session: Session, member: Member) -> MemberFacts:
    found = session.get_one(MemberFacts, member.id)
    session.refresh(found)
    return found


def test_facts_say_recency_frequency_money_and_interval(session: Session) -> None:
    li = a_member(session)

    bought(session, li, 400, 40, 10)

    found = of(session, li)
    assert (found.orders_count, found.spent_fen, found.spent_365_fen) == (3, 3_000, 2_000)
    assert found.first_order_at == NOW - timedelta(days=400)
    assert found.last_order_at == NOW - timedelta(days=10)
    assert found.interval_days == pytest.approx(195)


def test_one_order_has_no_interval_and_nobody_has_empty_facts(session: Session) -> None:
    li, zhao = a_member(session), a_member(session)
    bought(session, li, 5)

    facts.refresh(session, [zhao.id], now=NOW)

    assert of(session, li).interval_days is None
    empty = of(session, zhao)
    assert (empty.orders_count, empty.last_order_at, empty.favourite_categories) == (0, None, [])


def test_a_wholly_refunded_order_is_no_order(session: Session) -> None:
    li = a_member(session)
    placed = an_order(session, li, amount_fen=500)
    an_order(session, li, amount_fen=0)
    form = RefundForm(
        external_id="r",
        order_external_id=placed.order.external_id,
        amount_fen=500,
        refunded_at=NOW,
    )

    orders.refund(session, form, source=SOURCE, now=NOW)

    found = of(session, li)
    assert (found.orders_count, found.spent_fen) == (1, 0)


def test_favourites_are_the_five_with_most_money_best_first(session: Session) -> None:
    li = a_member(session)
    for fen, category in enumerate(["茶", "酒", "糖", "奶", "米", "面", ""], start=1):
        product = a_product(session, category=category)
        an_order(session, li, product=product, amount_fen=fen)

    assert of(session, li).favourite_categories == ["面", "米", "奶", "糖", "酒"]


def test_refreshing_everybody_finds_what_each_alone_found(session: Session) -> None:
    people = [a_member(session) for _ in range(3)]
    for days, member in enumerate(people):
        bought(session, member, days, days + 30)
    alone = [of(session, member).model_dump(exclude={"updated_at"}) for member in people]

    count = facts.refresh(session, None, now=NOW)

    together = [of(session, member).model_dump(exclude={"updated_at"}) for member in people]
    assert count == 3
    assert together == alone


def test_money_older_than_a_year_reaches_no_level(session: Session) -> None:
    silver, gold = a_level(session), a_level(session, min_spent_fen=1_000)
    li, zhao, visitor = a_member(session), a_member(session), a_visitor(session)
    bought(session, li, 10)
    bought(session, zhao, 370)
    bought(session, visitor, 10)

    levels.settle(session, None, now=NOW)
    for member in (li, zhao, visitor):
        session.refresh(member)

    assert (li.level_id, zhao.level_id, visitor.level_id) == (gold.id, silver.id, None)


def test_a_level_falls_when_its_year_is_over_even_before_facts_are_fresh(session: Session) -> None:
    silver, gold = a_level(session), a_level(session, min_spent_fen=1_000)
    li = a_member(session)
    bought(session, li, 0)
    before = li.level_id

    changed = levels.settle(session, None, now=NOW + timedelta(days=366))
    session.refresh(li)

    assert (before, changed, li.level_id) == (gold.id, 1, silver.id)
