"""Points: lots, debts, refunds, expiry; and the bugs that others shipped (loyalty.md §2.6)."""

from datetime import timedelta

import pytest
from sqlmodel import Session, col, select

from store import ledger, points
from store.members import Member
from store.points import (
    EntryDiffers,
    EntryKind,
    MoreThanBooked,
    NotEnoughPoints,
    PointsEntry,
    PointsLot,
    PointsNotPositive,
)
from tests.builders import NOW, a_member, number

LATER = NOW + timedelta(days=1)


def earn(session: Session, member: Member, count: int, *, days: int = 365) -> PointsEntry:
    return points.earn(
        session,
        member.id,
        count,
        reason="test",
        source_id=str(number()),
        now=NOW,
        expires_at=NOW + timedelta(days=days),
    )


def spend(session: Session, member: Member, count: int) -> PointsEntry:
    return points.spend(
        session, member.id, count, reason="gift", source_id=str(number()), now=LATER
    )


def remaining(session: Session, member: Member) -> list[int]:
    query = select(PointsLot.remaining).where(PointsLot.member_id == member.id)
    return list(session.exec(query.order_by(col(PointsLot.id))))


def test_points_can_be_spent_once_they_were_earned(session: Session) -> None:
    li = a_member(session, points=100)

    spend(session, li, 30)

    assert points.balance(session, li.id) == points.spendable(session, li.id, LATER) == 70


def test_spend_refuses_more_than_there_is_and_leaves_no_trace(session: Session) -> None:
    li = a_member(session, points=100)
    spend(session, li, 30)

    with pytest.raises(NotEnoughPoints) as refusal:
        spend(session, li, 71)

    assert (refusal.value.balance, refusal.value.asked) == (70, 71)
    assert points.balance(session, li.id) == 70


@pytest.mark.parametrize("count", [0, -5])
def test_points_refuse_a_number_that_is_not_positive(session: Session, count: int) -> None:
    li = a_member(session, points=100)

    with pytest.raises(PointsNotPositive):
        spend(session, li, count)


def test_spend_takes_from_the_lot_that_expires_first_not_from_the_oldest(session: Session) -> None:
    li = a_member(session)
    earn(session, li, 50, days=300)
    earn(session, li, 50, days=30)

    spend(session, li, 60)

    assert remaining(session, li) == [40, 0]


def test_the_same_source_is_the_same_entry_when_it_comes_twice(session: Session) -> None:
    li = a_member(session)

    def once() -> PointsEntry:
        return points.earn(session, li.id, 100, reason="order", source_id="A1", now=NOW)

    assert once().id == once().id
    assert points.balance(session, li.id) == 100


def test_the_same_source_is_refused_when_it_says_other_points_or_another_member(
    session: Session,
) -> None:
    li, zhao = a_member(session), a_member(session)
    points.earn(session, li.id, 100, reason="order", source_id="A1", now=NOW)

    with pytest.raises(EntryDiffers):
        points.earn(session, li.id, 90, reason="order", source_id="A1", now=NOW)
    with pytest.raises(EntryDiffers):
        points.earn(session, zhao.id, 100, reason="order", source_id="A1", now=NOW)

    assert points.balance(session, li.id) == 100
    assert points.balance(session, zhao.id) == 0


def test_points_past_their_end_cannot_be_spent_before_the_job_has_come(session: Session) -> None:
    """Open Loyalty keeps them spendable until its nightly command (loyalty.md §2.1)."""
    li = a_member(session)
    earn(session, li, 100, days=1)

    assert points.spendable(session, li.id, LATER - timedelta(microseconds=1)) == 100
    assert points.spendable(session, li.id, LATER) == 0
    with pytest.raises(NotEnoughPoints):
        spend(session, li, 1)


def test_points_cannot_be_spent_before_they_are_available(session: Session) -> None:
    li = a_member(session)
    points.earn(session, li.id, 100, reason="t", source_id="1", now=NOW, available_at=LATER)

    assert points.spendable(session, li.id, NOW) == 0
    assert points.spendable(session, li.id, LATER) == 100


def test_expiry_takes_what_remains_whatever_gave_it_and_keeps_what_was_spent(
    session: Session,
) -> None:
    """FloCafe's balances fell apart here; liberu expired only lots of one label (§2.6)."""
    li = a_member(session)
    earn(session, li, 100, days=1)
    points.adjust(session, li.id, 40, reason="kindness", source_id="k1", now=NOW)
    spend_before = NOW + timedelta(hours=1)
    points.spend(session, li.id, 30, reason="gift", source_id="g1", now=spend_before)

    first = points.expire_due(session, LATER)
    second = points.expire_due(session, LATER)
    year_after = points.expire_due(session, NOW + timedelta(days=366))

    assert (first, second, year_after) == (1, 0, 1)
    assert points.balance(session, li.id) == 0


def test_expiry_locks_only_some_owners_at_once_when_many_lots_end_on_one_day(
    session: Session,
) -> None:
    for _ in range(3):
        earn(session, a_member(session), 100, days=1)

    assert [points.expire_due(session, LATER, limit=2) for _ in range(3)] == [2, 1, 0]


def test_expiring_counts_only_what_ends_in_the_span(session: Session) -> None:
    li = a_member(session)
    for days in (10, 60, 300):
        earn(session, li, days, days=days)

    soon = points.expiring(session, li.id, before=NOW + timedelta(days=60), now=NOW)

    assert soon == 10


def test_reverse_takes_the_own_lot_first_then_others_then_makes_a_debt(session: Session) -> None:
    li = a_member(session)
    earned = earn(session, li, 100, days=30)
    earn(session, li, 20, days=300)
    spend(session, li, 90)

    points.reverse(session, earned.id, 100, reason="refund", source_id="r1", now=LATER)

    assert remaining(session, li) == [0, 0]
    assert points.balance(session, li.id) == -70
    assert ledger.debt(session, li.id) == 70
    assert points.spendable(session, li.id, LATER) == 0


def test_later_earnings_repay_a_debt_first(session: Session) -> None:
    li = a_member(session)
    earned = earn(session, li, 100)
    spend(session, li, 100)
    points.reverse(session, earned.id, 100, reason="refund", source_id="r1", now=LATER)

    earn(session, li, 60)
    earn(session, li, 60)

    assert points.balance(session, li.id) == points.spendable(session, li.id, LATER) == 20
    assert ledger.debt(session, li.id) == 0


def test_an_entry_cannot_be_reversed_beyond_what_it_gave(session: Session) -> None:
    """Odoo kept points of refunds and doubled others (§2.6)."""
    li = a_member(session)
    earned = earn(session, li, 100)
    points.reverse(session, earned.id, 60, reason="refund", source_id="r1", now=LATER)

    with pytest.raises(MoreThanBooked) as refusal:
        points.reverse(session, earned.id, 41, reason="refund", source_id="r2", now=LATER)

    assert refusal.value.left == 40
    assert points.balance(session, li.id) == 40


def test_the_same_refund_reverses_once_when_it_comes_twice(session: Session) -> None:
    li = a_member(session)
    earned = earn(session, li, 100)

    for _ in range(2):
        points.reverse(session, earned.id, 60, reason="refund", source_id="r1", now=LATER)

    assert points.balance(session, li.id) == 40


def test_reverse_does_not_take_again_what_expiry_took(session: Session) -> None:
    li = a_member(session)
    earned = earn(session, li, 100, days=1)
    earn(session, li, 50)
    points.expire_due(session, LATER)

    points.reverse(session, earned.id, 100, reason="refund", source_id="r1", now=LATER)

    assert points.balance(session, li.id) == points.spendable(session, li.id, LATER) == 50


def test_give_back_returns_points_to_the_same_lots_with_their_old_expiry(session: Session) -> None:
    """Leetcode-City added them to a balance that had moved on: free points (§2.6)."""
    li = a_member(session)
    earn(session, li, 50, days=30)
    earn(session, li, 50, days=300)
    spent = spend(session, li, 80)

    points.give_back(session, spent.id, 40, reason="undo", source_id="u1", now=LATER)
    points.give_back(session, spent.id, 40, reason="undo", source_id="u2", now=LATER)

    assert remaining(session, li) == [50, 50]
    assert points.expiring(session, li.id, before=NOW + timedelta(days=31), now=LATER) == 50


def test_points_given_back_to_an_expired_lot_expire_again(session: Session) -> None:
    li = a_member(session)
    earn(session, li, 100, days=2)
    spent = spend(session, li, 60)
    after = NOW + timedelta(days=3)
    points.expire_due(session, after)

    points.give_back(session, spent.id, 60, reason="undo", source_id="u1", now=after)

    assert points.spendable(session, li.id, after) == 0
    assert points.expire_due(session, after) == 1
    assert points.balance(session, li.id) == 0


def test_points_given_back_repay_a_debt_first(session: Session) -> None:
    li = a_member(session)
    earned = earn(session, li, 100)
    spent = spend(session, li, 100)
    points.reverse(session, earned.id, 100, reason="refund", source_id="r1", now=LATER)

    points.give_back(session, spent.id, 100, reason="undo", source_id="u1", now=LATER)

    assert points.balance(session, li.id) == ledger.debt(session, li.id) == 0
    assert remaining(session, li) == [0]


def test_adjust_goes_down_no_further_than_there_are_points(session: Session) -> None:
    """Azuriom's shop went to -10 (§2.6)."""
    li = a_member(session, points=100)
    points.adjust(session, li.id, -30, reason="correction", source_id="c1", now=LATER)

    with pytest.raises(NotEnoughPoints):
        points.adjust(session, li.id, -71, reason="correction", source_id="c2", now=LATER)

    assert points.balance(session, li.id) == 70


def test_history_shows_the_newest_entries_first(session: Session) -> None:
    li = a_member(session, points=100)
    spend(session, li, 10)
    spend(session, li, 20)

    entries = points.history(session, li.id, limit=2)

    assert [(entry.kind, entry.points) for entry in entries] == [
        (EntryKind.SPEND, -20),
        (EntryKind.SPEND, -10),
    ]
