"""Merges: everything moves, the stricter stays, and undo restores exactly that."""

from datetime import date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlmodel import Session, select

from store import (
    consents,
    coupons,
    facts,
    gifts,
    holdings,
    ledger,
    members,
    merges,
    notes,
    orders,
    points,
    profile,
    relations,
    tags,
)
from store.consents import Purpose
from store.coupons import GiftState
from store.errors import WrongState
from store.members import Member, MemberStatus
from store.merges import CannotMerge, CannotUndoMerge
from store.orders import MemberFacts, RefundForm
from store.points import PointsLot
from store.tables import metadata
from store.tags import TagSource
from store.touches import TouchState
from tests.builders import (
    NOW,
    SOURCE,
    a_campaign,
    a_care_task,
    a_coupon,
    a_guide,
    a_level,
    a_member,
    a_plan,
    a_tag,
    a_touch,
    a_visitor,
    an_identity,
    an_order,
)

LATER = NOW + timedelta(days=1)
# What belongs to a member but does not change hands: the person's own words are copied, facts are
# worked out anew, and the other two are about rows of `members` themselves.
_STAY = {"consents.member_id", "member_facts.member_id"} | {
    "members.merged_into_id",
    "merges.kept_id",
    "merges.gone_id",
}


def merge(session: Session, kept: Member, gone: Member, *, now: datetime = LATER) -> int:
    return merges.merge(session, kept.id, gone.id, reason="test", now=now).id


def rich(session: Session) -> Member:
    """A member with something of everything."""
    member = a_member(session, points=100)
    an_identity(session, member)
    an_order(session, member, amount_fen=50_000)
    coupon = a_coupon(session, member)
    gifts.offer(session, coupon.id, member.id, now=NOW)
    relations.own(session, member.id, a_guide(session).id, now=NOW)
    relations.befriend(session, a_guide(session).id, "wm1", member_id=member.id, now=NOW)
    a_touch(session, member)
    a_care_task(session, member)
    tag = a_tag(session)
    tags.put(session, member.id, tag.code, source=TagSource.GIVEN, now=NOW)
    notes.write(session, member.id, a_guide(session).id, "喜欢红茶", now=NOW)
    consents.state(
        session,
        member.id,
        "wecom_broadcast",
        Purpose.CARE,
        is_granted=True,
        text_version="1",
        source="test",
        now=NOW,
    )
    consents.stop(session, member.id, channel="wechat_notice", reason="chat", now=NOW)
    return member


def everything(session: Session) -> dict[str, list[Any]]:
    """Every row of the tables that a merge may touch, as it stands."""
    found = {}
    for name in sorted(holdings.TABLES):
        rows = session.execute(text(f"SELECT row_to_json(t)::text FROM {name} AS t"))  # noqa: S608 -- our own names
        found[name] = sorted(row[0].split(',"updated_at"')[0] for row in rows)
    return found


def test_every_row_that_belongs_to_a_member_moves_or_is_known_to_stay() -> None:
    links = {
        f"{table.name}.{column.name}"
        for table in metadata.sorted_tables
        for column in table.columns
        for key in column.foreign_keys
        if key.column.table.name == "members"
    }

    assert links - _STAY == {holding.name for holding in holdings.HOLDINGS}


def test_everything_of_the_visitor_is_kepts_after_a_merge(session: Session) -> None:
    a_level(session)
    kept, gone = a_visitor(session), rich(session)

    row = merges.merge(session, kept.id, gone.id, reason="test", now=LATER)

    assert (gone.status, gone.merged_into_id) == (MemberStatus.MERGED, kept.id)
    assert points.balance(session, kept.id) == 600
    assert points.balance(session, gone.id) == 0
    moved = {"care_tasks", "coupons", "friendships", "gifts", "identities", "member_tags"}
    moved |= {"customer_notes"}
    moved |= {"orders", "ownerships", "points_entries", "points_lots", "suppressions", "touches"}
    assert {name.split(".")[0] for name in row.moved["rows"]} == moved
    assert kept.mobile == gone.mobile


def test_facts_and_level_follow_a_merge(session: Session) -> None:
    a_level(session)
    gold = a_level(session, min_spent_fen=80_000)
    kept, gone = a_member(session), a_member(session)
    for member in (kept, gone):
        an_order(session, member, amount_fen=50_000)

    merge(session, kept, gone)

    assert session.get_one(MemberFacts, kept.id).spent_fen == 100_000
    assert session.get_one(MemberFacts, gone.id).spent_fen == 0
    assert kept.level_id == gold.id


def test_undo_restores_every_row_exactly(session: Session) -> None:
    a_level(session)
    kept, gone = rich(session), rich(session)
    before = everything(session)

    merge_id = merge(session, kept, gone)
    between = everything(session)
    merges.undo(session, merge_id, now=LATER)

    assert between != before
    assert everything(session) == before


def test_undo_restores_every_row_exactly_when_kept_was_a_blank_visitor(session: Session) -> None:
    a_level(session)
    kept, gone = a_visitor(session), rich(session)
    facts.refresh(session, [kept.id], now=NOW)
    before = everything(session)

    merges.undo(session, merge(session, kept, gone), now=LATER)

    assert everything(session) == before


def test_what_happens_after_the_merge_stays_with_kept(session: Session) -> None:
    """Points earned after the merge are not taken from the person who earned them."""
    kept, gone = a_member(session, points=10), a_member(session, points=100)
    merge_id = merge(session, kept, gone)
    points.earn(session, kept.id, 7, reason="t", source_id="after", now=LATER)
    order = an_order(session, kept, amount_fen=100, now=LATER).order

    merges.undo(session, merge_id, now=LATER)

    assert points.balance(session, kept.id) == 10 + 7 + 1
    assert points.balance(session, gone.id) == 100
    assert order.member_id == kept.id


def test_points_of_gone_that_kept_spent_come_back_and_are_kepts_debt(session: Session) -> None:
    kept, gone = a_member(session, points=10), a_member(session, points=100)
    merge_id = merge(session, kept, gone)
    points.spend(session, kept.id, 105, reason="gift", source_id="g1", now=LATER)

    merges.undo(session, merge_id, now=LATER)

    assert points.spendable(session, gone.id, LATER) == points.balance(session, gone.id) == 100
    assert points.balance(session, kept.id) == -95
    assert ledger.debt(session, kept.id) == 95


def test_a_debt_of_gone_that_kept_repaid_comes_back_to_gone(session: Session) -> None:
    kept, gone = a_member(session), a_member(session)
    bought = an_order(session, gone, amount_fen=10_000)
    points.spend(session, gone.id, 100, reason="gift", source_id="g1", now=NOW)
    form = RefundForm(
        external_id="r1",
        order_external_id=bought.order.external_id,
        amount_fen=10_000,
        refunded_at=NOW,
    )
    orders.refund(session, form, source=SOURCE, now=NOW)
    merge_id = merge(session, kept, gone)
    points.earn(session, kept.id, 150, reason="t", source_id="after", now=LATER)
    assert points.spendable(session, kept.id, LATER) == 50

    merges.undo(session, merge_id, now=LATER)

    assert points.spendable(session, kept.id, LATER) == points.balance(session, kept.id) == 150
    assert points.balance(session, gone.id) == -100
    assert ledger.debt(session, gone.id) == 100


def test_a_refund_of_gones_order_after_the_merge_goes_back_with_the_order(
    session: Session,
) -> None:
    kept, gone = a_member(session, points=10), a_member(session)
    bought = an_order(session, gone, amount_fen=10_000)
    merge_id = merge(session, kept, gone)
    form = RefundForm(
        external_id="r1",
        order_external_id=bought.order.external_id,
        amount_fen=4_000,
        refunded_at=LATER,
    )
    orders.refund(session, form, source=SOURCE, now=LATER)

    merges.undo(session, merge_id, now=LATER)

    assert points.balance(session, kept.id) == 10
    assert points.balance(session, gone.id) == 60
    assert [lot.remaining for lot in _lots(session, gone)] == [60]


def _lots(session: Session, member: Member) -> list[PointsLot]:
    return list(session.exec(select(PointsLot).where(PointsLot.member_id == member.id)))


def test_kepts_own_guide_wins_and_gones_comes_back_on_undo(session: Session) -> None:
    kept, gone = a_member(session), a_member(session)
    wang, zhou = a_guide(session), a_guide(session)
    relations.own(session, kept.id, wang.id, now=NOW)
    relations.own(session, gone.id, zhou.id, now=NOW)

    merge_id = merge(session, kept, gone)
    together = relations.guide_of(session, kept.id)
    merges.undo(session, merge_id, now=LATER)

    assert together == wang
    assert relations.guide_of(session, kept.id) == wang
    assert relations.guide_of(session, gone.id) == zhou


def test_gones_guide_looks_after_kept_who_has_none(session: Session) -> None:
    kept, gone, zhou = a_member(session), a_member(session), a_guide(session)
    relations.own(session, gone.id, zhou.id, now=NOW)

    merge(session, kept, gone)

    assert relations.guide_of(session, kept.id) == zhou


@pytest.mark.parametrize(
    ("kepts", "gones", "after"),
    [
        (True, False, False),
        (False, True, False),
        (True, True, True),
        (None, True, True),
        (None, False, False),
        (True, None, True),
    ],
)
def test_of_two_consents_the_stricter_stays(
    session: Session, kepts: bool | None, gones: bool | None, after: bool
) -> None:
    kept, gone = a_member(session), a_member(session)
    for member, said in ((kept, kepts), (gone, gones)):
        if said is not None:
            _say(session, member, is_granted=said)

    merge_id = merge(session, kept, gone)

    assert consents.is_granted(session, kept.id, "wecom_app", Purpose.MARKETING) is after
    merges.undo(session, merge_id, now=LATER)
    assert consents.is_granted(session, kept.id, "wecom_app", Purpose.MARKETING) is bool(kepts)


def _say(session: Session, member: Member, *, is_granted: bool) -> None:
    consents.state(
        session,
        member.id,
        "wecom_app",
        Purpose.MARKETING,
        is_granted=is_granted,
        text_version="1",
        source="test",
        now=NOW,
    )


def test_of_two_stops_the_longer_stays_and_undo_shortens_it_again(session: Session) -> None:
    kept, gone = a_member(session), a_member(session)
    week = NOW + timedelta(days=7)
    consents.stop(session, kept.id, reason="chat", until=week, now=NOW)
    consents.stop(session, gone.id, reason="chat", now=NOW)

    merge_id = merge(session, kept, gone)
    together = [stop.until for stop in consents.stops(session, kept.id, LATER)]
    merges.undo(session, merge_id, now=LATER)

    assert together == [None]
    assert [stop.until for stop in consents.stops(session, kept.id, LATER)] == [week]
    assert [stop.until for stop in consents.stops(session, gone.id, LATER)] == [None]


def test_of_two_care_tasks_of_one_campaign_each_keeps_the_own(session: Session) -> None:
    kept, gone, campaign = a_member(session), a_member(session), a_campaign(session)
    a_care_task(session, kept, campaign=campaign)
    same = a_care_task(session, gone, campaign=campaign)
    other = a_care_task(session, gone)

    merge(session, kept, gone)

    assert (same.member_id, other.member_id) == (gone.id, kept.id)


@pytest.mark.parametrize(
    ("state", "is_moved"),
    [(TouchState.ASKED, False), (TouchState.RESERVED, False), (TouchState.SENT, True)],
)
def test_what_was_not_sent_for_a_task_that_stays_will_not_reach_kept_too(
    session: Session, state: TouchState, is_moved: bool
) -> None:
    kept, gone, campaign = a_member(session), a_member(session), a_campaign(session)
    a_care_task(session, kept, campaign=campaign)
    same = a_care_task(session, gone, campaign=campaign)
    touch = a_touch(session, gone, care_task_id=same.id, state=state)

    merge(session, kept, gone)

    assert touch.member_id == (kept.id if is_moved else gone.id)


def test_a_gift_between_the_two_stays_between_the_two(session: Session) -> None:
    kept, gone = a_member(session), a_member(session)
    coupon = a_coupon(session, kept, plan=a_plan(session))
    gift, token = gifts.offer(session, coupon.id, kept.id, now=NOW)
    gifts.claim(session, token, gone.id, now=NOW)

    merge(session, kept, gone)

    assert (gift.giver_id, gift.claimed_by_id) == (kept.id, gone.id)
    assert [held.id for held, _ in coupons.usable(session, kept.id, LATER)] == [coupon.id]


def test_a_merge_needs_two_active_members(session: Session) -> None:
    kept, gone, third = a_member(session), a_member(session), a_member(session)
    merge(session, kept, gone)

    with pytest.raises(CannotMerge):
        merge(session, third, gone)
    with pytest.raises(CannotMerge):
        merge(session, kept, kept)


def test_a_merge_is_undone_once_and_only_before_the_next(session: Session) -> None:
    first, second, third = a_member(session), a_member(session), a_member(session)
    inner = merge(session, second, third)
    outer = merge(session, first, second)

    with pytest.raises(CannotUndoMerge):
        merges.undo(session, inner, now=LATER)
    merges.undo(session, outer, now=LATER)
    merges.undo(session, inner, now=LATER)

    with pytest.raises(WrongState):
        merges.undo(session, inner, now=LATER)
    assert {first.status, second.status, third.status} == {MemberStatus.ACTIVE}


def test_a_merge_is_not_undone_when_the_mobile_belongs_to_another_by_now(
    session: Session,
) -> None:
    kept, gone = a_member(session), a_member(session)
    merge_id = merge(session, kept, gone)
    a_member(session, mobile=gone.mobile)

    with pytest.raises(CannotUndoMerge):
        merges.undo(session, merge_id, now=LATER)


def test_a_merge_is_not_undone_when_kept_has_bound_the_mobile_since(session: Session) -> None:
    kept, gone = a_member(session), a_member(session)
    merge_id = merge(session, kept, gone)
    members.bind_mobile(session, kept.id, gone.mobile or "", now=NOW)

    with pytest.raises(CannotUndoMerge):
        merges.undo(session, merge_id, now=LATER)


def test_a_gift_of_gones_coupon_that_kept_offered_goes_back_with_it(session: Session) -> None:
    kept, gone = a_member(session), a_member(session)
    coupon = a_coupon(session, gone, plan=a_plan(session))
    merge_id = merge(session, kept, gone)
    gift, _ = gifts.offer(session, coupon.id, kept.id, now=LATER)

    merges.undo(session, merge_id, now=LATER)

    assert gifts.cancel(session, gift.id, gone.id, now=LATER).state is GiftState.CANCELLED
    assert [held.id for held, _ in coupons.usable(session, gone.id, LATER)] == [coupon.id]


def test_a_birthday_that_gone_set_stays_fixed_and_undo_frees_kept(session: Session) -> None:
    kept, gone = a_member(session), a_visitor(session)
    born = date(1990, 3, 8)
    profile.set_birthday(session, gone.id, born, today=NOW.date(), now=NOW)

    merge_id = merge(session, kept, gone)
    assert (kept.birthday_on, kept.birthday_set_at) == (born, NOW)
    merges.undo(session, merge_id, now=LATER)

    assert (kept.birthday_on, kept.birthday_set_at) == (None, None)


def test_the_survivor_of_a_chain_of_merges_is_found(session: Session) -> None:
    first, second, third = a_member(session), a_member(session), a_member(session)
    merge(session, second, third)
    merge(session, first, second)

    assert members.lock(session, third.id) == first
