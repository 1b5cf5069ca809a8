"""Binding: who becomes a member, who is found again, and one joining gift a mobile for ever."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, select

from store import binding, consents, coupons, erasure, members, merges, points, relations
from store.binding import Binding, Bound
from store.consents import Purpose
from store.coupons import Coupon
from store.members import Member, MobileTaken
from store.points import PointsEntry
from store.touches import Channel, Touch
from tests.builders import (
    NOW,
    a_brand,
    a_coupon,
    a_guide,
    a_member,
    a_mobile,
    a_plan,
    a_touch,
    a_visitor,
    an_identity,
    an_order,
)

KEY = "the secret of the tests"
LATER = NOW + timedelta(days=1)


def bind(session: Session, member: Member, mobile: str) -> Bound:
    return binding.bind(session, member.id, mobile, text_version="v1", secret_key=KEY, now=LATER)


def an_offer(session: Session, *, stock: int | None = None) -> None:
    plan = a_plan(session, name="迎新券", stock=stock)
    binding.offer(session, a_brand(session).id, coupon_plan_id=plan.id, points=50)


def gifts_given(session: Session) -> tuple[int, int]:
    given = session.exec(select(Coupon.id).where(Coupon.reason == binding.JOINING)).all()
    earned = session.exec(select(PointsEntry.id).where(PointsEntry.reason == binding.JOINING)).all()
    return len(given), len(earned)


def test_who_joins_gets_coupon_and_points_and_the_text_is_kept(session: Session) -> None:
    an_offer(session)
    visitor, mobile = a_visitor(session), a_mobile()

    bound = bind(session, visitor, mobile)

    assert bound.gift == binding.Gift("迎新券", 50)
    assert (bound.member.id, bound.member.mobile) == (visitor.id, mobile)
    assert points.balance(session, visitor.id) == 50
    assert session.exec(select(Binding.text_version)).one() == "v1"
    assert binding.gift_since(session, visitor.id, NOW) == bound.gift


def test_brand_without_an_offer_gives_nothing(session: Session) -> None:
    assert bind(session, a_visitor(session), a_mobile()).gift is None


def test_stock_that_is_used_up_keeps_nobody_from_joining(session: Session) -> None:
    an_offer(session, stock=0)

    bound = bind(session, a_visitor(session), a_mobile())

    assert bound.gift == binding.Gift("", 50)
    assert bound.member.mobile is not None


def test_member_whom_the_brand_knew_does_not_join_again(session: Session) -> None:
    an_offer(session)
    old = a_member(session)
    assert old.mobile is not None

    bound = bind(session, a_visitor(session), old.mobile)

    assert (bound.member.id, bound.gift) == (old.id, None)


def test_everything_of_the_visitor_moves_along(session: Session) -> None:
    """Points, coupons, the own guide, orders, touches and consents, whoever is kept."""
    old, visitor = a_member(session, points=100), a_visitor(session)
    an_identity(session, visitor)
    points.earn(session, visitor.id, 30, reason="t", source_id="visitor", now=NOW)
    coupon, touch = a_coupon(session, visitor), a_touch(session, visitor)
    guide, order = a_guide(session), an_order(session, visitor, amount_fen=10_000).order
    relations.own(session, visitor.id, guide.id, now=NOW)
    consents.state(
        session,
        visitor.id,
        Channel.WECHAT_SERVICE,
        Purpose.CARE,
        is_granted=True,
        text_version="1",
        source="t",
        now=NOW,
    )
    assert old.mobile is not None

    kept = bind(session, visitor, old.mobile).member

    assert kept.id == old.id
    assert points.balance(session, old.id) == 100 + 30 + 100
    assert [one.id for one, _ in coupons.usable(session, old.id, NOW)] == [coupon.id]
    assert session.get_one(Touch, touch.id).member_id == old.id
    assert order.member_id == old.id
    own = relations.guide_of(session, old.id)
    assert own is not None
    assert own.id == guide.id
    assert consents.is_granted(session, old.id, Channel.WECHAT_SERVICE, Purpose.CARE)


def test_mobile_of_another_member_is_refused_and_gives_nothing(session: Session) -> None:
    an_offer(session)
    li, zhao = a_member(session), a_member(session)
    assert zhao.mobile is not None

    with pytest.raises(MobileTaken), session.begin_nested():
        bind(session, li, zhao.mobile)

    assert gifts_given(session) == (0, 0)


def test_gift_is_once_for_a_mobile_after_it_was_freed_and_bound_again(session: Session) -> None:
    an_offer(session)
    li, mobile = a_visitor(session), a_mobile()
    bind(session, li, mobile)
    bind(session, li, a_mobile())

    again = bind(session, a_visitor(session), mobile)

    assert again.gift is None
    assert gifts_given(session) == (1, 1)


def test_gift_is_once_for_a_mobile_after_an_erasure(session: Session) -> None:
    an_offer(session)
    li, mobile = a_visitor(session), a_mobile()
    bind(session, li, mobile)
    erasure.erase(session, li.id, secret_key=KEY, now=LATER)

    again = bind(session, a_visitor(session), mobile)

    assert (again.gift, again.member.mobile) == (None, mobile)


def test_database_keeps_a_second_gift_for_a_mobile_out(session: Session) -> None:
    rows = [
        Binding(mobile_hash="same", text_version="v1", is_gifted=True, bound_at=NOW)
        for _ in range(2)
    ]

    session.add_all(rows)

    with pytest.raises(IntegrityError, match="uq_bindings_gift"):
        session.flush()


_PEOPLE, _MOBILES = st.integers(0, 3), st.integers(0, 2)
_ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("bind"), _PEOPLE, _MOBILES),
        st.tuples(st.just("erase"), _PEOPLE, _MOBILES),
        st.tuples(st.just("undo"), _PEOPLE, _MOBILES),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=60)
@given(acts=_ACTS)
def test_no_order_of_acts_gives_a_mobile_two_gifts(
    session: Session, acts: list[tuple[str, int, int]]
) -> None:
    """Bind, rebind, merge, undo, erase and come back: one gift a mobile, one mobile a member."""
    with session.begin_nested() as savepoint:
        an_offer(session)
        people = [a_visitor(session).id for _ in range(4)]
        mobiles = [a_mobile() for _ in range(3)]
        for act, person, mobile in acts:
            _do(session, act, people, person, mobiles[mobile])

        bound = {row.mobile_hash for row in session.exec(select(Binding)) if row.is_gifted}
        given_away = gifts_given(session)
        owners = session.exec(select(Member.mobile).where(Member.status == "active")).all()

        held = [mobile for mobile in owners if mobile is not None]
        assert given_away == (len(bound), len(bound))
        assert len(bound) <= len(mobiles)
        assert len(held) == len(set(held))
        savepoint.rollback()
    session.expunge_all()


def _do(session: Session, act: str, people: list[int], person: int, mobile: str) -> None:
    """One act; a refusal is an answer. An erased person comes back as somebody new."""
    who = members.survivor(session, people[person])
    member = session.get_one(Member, who)
    try:
        with session.begin_nested():
            if act == "bind":
                bind(session, member, mobile)
            elif act == "undo" and (found := merges.of_member(session, who)):
                merges.undo(session, found[0].id, now=LATER)
            elif act == "erase":
                erasure.erase(session, who, secret_key=KEY, now=LATER)
                people[person] = a_visitor(session).id
    except (MobileTaken, members.MemberNotFound, merges.CannotUndoMerge):
        return
