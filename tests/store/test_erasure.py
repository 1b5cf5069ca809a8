"""Erasure: nothing of the person is left anywhere, and what must be kept is kept without them."""

from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlmodel import Session, select

from store import consents, erasure, gifts, members, orders, points, silences
from store.coupons import Coupon, CouponState, Gift
from store.members import Identity, IdentityChannel, Member, MemberNotFound, MemberStatus
from store.order_forms import RefundForm
from store.orders import Order
from store.personal import PARTS
from store.silences import Silence
from store.tables import metadata
from tests.bot.builders import APP_ID
from tests.builders import (
    NOW,
    SOURCE,
    a_brand,
    a_coupon,
    a_member,
    a_touch,
    a_visitor,
    an_identity,
    an_order,
)
from tests.store.full import KEY, MOBILE, OPENID, TRACES, a_full_member

LATER = NOW + timedelta(hours=1)


def erase(session: Session, member: Member) -> None:
    erasure.erase(session, member.id, secret_key=KEY, now=LATER)


def leave(session: Session, openid: str) -> None:
    erasure.forget_wechat(session, app_id=APP_ID, openid=openid, secret_key=KEY, now=LATER)


def meet(session: Session, openid: str) -> Identity:
    return members.meet(
        session,
        channel=IdentityChannel.WECHAT,
        account=APP_ID,
        outside_id=openid,
        brand_id=a_brand(session).id,
        now=LATER,
    )


def places_of(session: Session, trace: str) -> set[str]:
    """Every column of the whole database in which the trace can be read, whatever its type."""
    columns = session.execute(
        text(
            "SELECT table_name, column_name FROM information_schema.columns"
            " JOIN information_schema.tables USING (table_schema, table_name)"
            " WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"
        )
    ).all()
    return {
        f"{table}.{column}"
        for table, column in columns
        if session.execute(
            text(f'SELECT 1 FROM "{table}" WHERE "{column}"::text LIKE :like LIMIT 1'),  # noqa: S608 -- names from the catalogue
            {"like": f"%{trace}%"},
        ).first()
    }


def test_every_table_with_a_person_says_what_an_erasure_does_to_it() -> None:
    links = {
        (table.name, column.name)
        for table in metadata.sorted_tables
        for column in table.columns
        for key in column.foreign_keys
        if key.column.table.name in {"members", "identities"}
    }

    assert links - {(part.table, part.owner) for part in PARTS} == {("members", "merged_into_id")}


def test_rows_that_hang_on_a_persons_rows_are_known_too() -> None:
    """One step further: what belongs to an order, a talk or a coupon of the person."""
    own = {part.table for part in PARTS if part.of == "members" and part.owner != "id"}
    hanging = {
        table.name
        for table in metadata.sorted_tables
        for column in table.columns
        for key in column.foreign_keys
        if key.column.table.name in own
    }

    assert hanging <= {part.table for part in PARTS}


def test_nothing_of_an_erased_person_is_left_anywhere(session: Session) -> None:
    member = a_full_member(session)
    session.flush()
    before = {trace: places_of(session, trace) for trace in TRACES}

    erase(session, member)

    assert all(before.values()), "The walk must be able to find each of them."
    assert {trace: places_of(session, trace) for trace in TRACES} == {
        trace: set() for trace in TRACES
    }


def test_books_are_kept_without_the_person(session: Session) -> None:
    member = a_full_member(session)
    facts = text("SELECT count(*), sum(amount_fen), sum(refunded_fen) FROM orders")
    before = session.execute(facts).one()

    erase(session, member)

    assert session.execute(facts).one() == before
    assert session.exec(select(Order).where(Order.member_id == member.id)).all() == []
    assert session.get_one(Member, member.id).status is MemberStatus.ERASED


def test_order_of_an_erased_person_can_still_be_refunded(session: Session) -> None:
    member = a_member(session)
    order = an_order(session, member, amount_fen=10_000).order
    erase(session, member)

    form = RefundForm(
        external_id="r1", order_external_id=order.external_id, amount_fen=10_000, refunded_at=LATER
    )
    orders.refund(session, form, source=SOURCE, now=LATER)

    assert session.get_one(Order, order.id).refunded_fen == 10_000


def test_friend_keeps_what_was_given_and_gets_nothing_that_was_only_offered(
    session: Session,
) -> None:
    member, friend = a_member(session), a_member(session)
    given, offered = a_coupon(session, member), a_coupon(session, member)
    _, token = gifts.offer(session, given.id, member.id, now=NOW)
    gifts.claim(session, token, friend.id, now=NOW)
    gift, late = gifts.offer(session, offered.id, member.id, now=NOW)

    erase(session, member)

    states = {row.id: row.state for row in session.exec(select(Coupon))}
    assert states == {given.id: CouponState.AVAILABLE, offered.id: CouponState.REVOKED}
    assert session.get_one(Gift, gift.id).state == "cancelled"
    with pytest.raises(MemberNotFound):
        gifts.claim(session, late, friend.id, now=NOW)


def test_erased_person_can_do_nothing_any_more(session: Session) -> None:
    member = a_member(session, points=100)
    coupon = a_coupon(session, member)
    erase(session, member)

    with pytest.raises(MemberNotFound):
        points.spend(session, member.id, 1, reason="t", source_id="1", now=LATER)
    with pytest.raises(MemberNotFound):
        erase(session, member)
    assert session.get_one(Coupon, coupon.id).state is CouponState.REVOKED
    assert points.expire_due(session, NOW + timedelta(days=400)) == 1


def test_mobile_of_an_erased_person_is_silent_when_an_import_brings_it_back(
    session: Session,
) -> None:
    member = a_member(session, mobile=MOBILE)
    other = a_member(session)
    erase(session, member)
    back = a_member(session, mobile=MOBILE)

    told = silences.recall_all(session, secret_key=KEY, now=LATER)
    again = silences.recall_all(session, secret_key=KEY, now=LATER)

    assert (told, again) == (1, 0)
    assert [stop.reason for stop in consents.stops(session, back.id, LATER)] == ["erased"]
    assert consents.stops(session, other.id, LATER) == []


def test_silence_that_the_person_lifted_is_not_put_up_again(session: Session) -> None:
    member = a_member(session, mobile=MOBILE)
    erase(session, member)
    back = a_member(session, mobile=MOBILE)
    silences.recall_all(session, secret_key=KEY, now=LATER)
    consents.lift(session, back.id, now=LATER)

    silences.recall_all(session, secret_key=KEY, now=LATER)

    assert consents.stops(session, back.id, LATER) == []


def test_silence_needs_the_key_and_shows_nobody(session: Session) -> None:
    member = a_member(session, mobile=MOBILE)
    erase(session, member)
    a_member(session, mobile=MOBILE)

    told = silences.recall_all(session, secret_key="another key", now=LATER)

    assert told == 0
    assert all(len(row.fingerprint) == 64 for row in session.exec(select(Silence)))


def test_visitor_who_leaves_is_gone_as_a_whole(session: Session) -> None:
    visitor = meet(session, OPENID)
    member_id = visitor.member_id
    leave(session, OPENID)
    leave(session, OPENID)

    back = meet(session, OPENID)

    assert session.get_one(Member, member_id).status is MemberStatus.ERASED
    assert back.member_id != member_id
    assert not silences.recall(session, back.member_id, secret_key=KEY, now=LATER)


def test_stop_of_a_visitor_outlives_leaving_and_coming_back(session: Session) -> None:
    visitor = meet(session, OPENID)
    consents.stop(session, visitor.member_id, reason="chat", now=NOW)
    leave(session, OPENID)

    back = meet(session, OPENID)

    assert silences.recall(session, back.member_id, secret_key=KEY, now=LATER)
    assert places_of(session, OPENID) == {"identities.outside_id"}


def test_member_who_leaves_keeps_the_card_and_loses_the_chat(session: Session) -> None:
    member = a_full_member(session)
    balance = points.balance(session, member.id)

    leave(session, OPENID)

    assert (member.status, member.mobile) == (MemberStatus.ACTIVE, MOBILE)
    assert points.balance(session, member.id) == balance
    # A note that the guide wrote, and the member's own feedback, are not WeChat's.
    assert places_of(session, OPENID) <= {
        "care_tasks.draft",
        "care_tasks.edited_text",
        "care_tasks.reason",
        "touches.text",
        "feedbacks.words",
        "customer_notes.text",
    }


def test_member_who_came_back_finds_the_card_by_the_mobile(session: Session) -> None:
    member = a_full_member(session)
    leave(session, OPENID)

    visitor = meet(session, OPENID)
    kept = members.bind_mobile(session, visitor.member_id, MOBILE, now=LATER)

    assert kept.id == member.id


def test_nobody_known_is_nobody_to_forget(session: Session) -> None:
    visitor = a_visitor(session)
    an_identity(session, visitor, outside_id=OPENID, account="another account")

    leave(session, OPENID)

    assert session.get_one(Member, visitor.id).status is MemberStatus.ACTIVE


def test_unsent_touches_of_an_erased_person_are_released(session: Session) -> None:
    member = a_member(session)
    touch = a_touch(session, member, state="reserved", counted_at=NOW, settled_at=None)

    erase(session, member)

    assert (touch.state, touch.text) == ("released", "")
