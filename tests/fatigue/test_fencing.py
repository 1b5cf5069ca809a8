"""From a reservation to the provider and back, and what a crash leaves behind."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlmodel import Session, col, select

from fatigue import gate
from fatigue.gate import FenceRefusal, KeyReused, Outcome
from store.consents import Suppression
from store.errors import NotFound, WrongState
from store.relations import Friendship
from store.touches import Category, Channel, Evidence, Touch, TouchState
from tests.fatigue.people import a_grant, a_member, an_ask
from tests.times import at

_SECOND = timedelta(seconds=1)
_LEASE = timedelta(minutes=15)


@pytest.fixture
def morning() -> datetime:
    """A Monday morning in Shanghai."""
    return at("2026-03-02 10:00")


def a_reservation(session: Session, now: datetime, **facts: Any) -> Touch:
    li = a_member(session, now=now)
    a_grant(session, li.id, now=now)
    return gate.ask(session, an_ask(session, li, **facts), now=now)


def a_sending(session: Session, now: datetime, **facts: Any) -> Touch:
    return gate.fence(session, a_reservation(session, now, **facts).id, now=now).touch


def forecast(session: Session, touch: Touch, now: datetime) -> gate.Forecast:
    """What the gate would say to a further ask for the same member."""
    ask = gate.Ask(
        key="next",
        member_id=touch.member_id,
        channels=(Channel.WECOM_BROADCAST,),
        category=Category.MARKETING,
        brand_id=touch.brand_id,
        guide_id=touch.guide_id,
    )
    return gate.dry_run(session, [ask], now=now)[0]


def test_fence_lets_a_reserved_touch_out_once(session: Session, morning: datetime) -> None:
    touch = a_reservation(session, morning)
    later = morning + timedelta(minutes=5)

    first = gate.fence(session, touch.id, now=later)
    second = gate.fence(session, touch.id, now=later)

    assert (first.refusal, second.refusal) == (None, FenceRefusal.NOT_RESERVED)
    assert (touch.state, touch.fenced_at, touch.counted_at) == (TouchState.SENDING, later, later)
    assert touch.lease_until is None


def test_fence_is_refused_from_the_end_of_the_lease(session: Session, morning: datetime) -> None:
    touch = a_reservation(session, morning)

    fenced = gate.fence(session, touch.id, now=morning + _LEASE)

    assert fenced.refusal is FenceRefusal.LEASE_OVER
    assert (touch.state, touch.counted_at) == (TouchState.ASKED, None)
    assert gate.due(session, morning + _LEASE) == [touch.id]


def test_fence_passes_in_the_last_second_of_the_lease(session: Session, morning: datetime) -> None:
    touch = a_reservation(session, morning)

    assert gate.fence(session, touch.id, now=morning + _LEASE - _SECOND).refusal is None


def test_fence_is_refused_after_an_opt_out(session: Session, morning: datetime) -> None:
    touch = a_reservation(session, morning)
    session.add(Suppression(member_id=touch.member_id, reason="chat", stated_at=morning))

    fenced = gate.fence(session, touch.id, now=morning)

    assert (fenced.refusal, touch.state) == (FenceRefusal.WITHHELD, TouchState.WITHHELD)
    assert touch.verdict["violations"][0]["rule"] == "opted_out"


def test_fence_is_refused_when_the_friendship_has_ended(
    session: Session, morning: datetime
) -> None:
    touch = a_reservation(session, morning)
    for friendship in session.exec(select(Friendship)):
        friendship.until = morning

    assert gate.fence(session, touch.id, now=morning).refusal is FenceRefusal.WITHHELD


def test_fence_is_deferred_to_the_morning_in_quiet_hours(session: Session) -> None:
    touch = a_reservation(session, at("2026-03-02 21:55"))

    fenced = gate.fence(session, touch.id, now=at("2026-03-02 22:00"))

    assert (fenced.refusal, touch.state) == (FenceRefusal.DEFERRED, TouchState.ASKED)
    assert touch.retry_at == at("2026-03-03 08:00")


def test_fence_is_deferred_when_another_touch_went_meanwhile(
    session: Session, morning: datetime
) -> None:
    touch = a_reservation(session, morning)
    by_hand = gate.Ask(
        key="by hand",
        member_id=touch.member_id,
        channels=(Channel.WECHAT_SERVICE,),
        category=Category.CARE,
        brand_id=touch.brand_id,
    )
    human = gate.record(
        session, by_hand, channel=Channel.WECHAT_SERVICE, sent_at=morning, now=morning
    )

    fenced = gate.fence(session, touch.id, now=morning)

    assert fenced.refusal is FenceRefusal.DEFERRED
    assert touch.verdict["violations"][0]["touches"] == [human.id]


def test_fence_of_no_touch_is_refused(session: Session, morning: datetime) -> None:
    with pytest.raises(NotFound):
        gate.fence(session, 404, now=morning)


def test_sent_touch_counts_from_its_fence(session: Session, morning: datetime) -> None:
    channels = (Channel.WECHAT_SERVICE,)
    touch = a_sending(session, morning, channels=channels)

    gate.settle(
        session,
        touch.id,
        TouchState.SENT,
        provider_id="m1",
        evidence=Evidence.PLATFORM,
        now=morning + timedelta(minutes=1),
    )

    assert (touch.counted_at, touch.provider_id) == (morning, "m1")
    assert touch.settled_at == morning + timedelta(minutes=1)


def test_broadcast_counts_from_its_guides_confirmation(session: Session, morning: datetime) -> None:
    touch = a_sending(session, morning)
    gate.settle(session, touch.id, TouchState.SENDING, provider_id="m1", now=morning)
    confirmed = morning + timedelta(days=2)

    waiting = forecast(session, touch, confirmed - _SECOND)
    gate.settle(session, touch.id, TouchState.SENT, now=confirmed)

    assert [reason.rule for reason in waiting.violations] == ["daily_cap", "min_gap"]
    assert (touch.counted_at, touch.provider_id) == (confirmed, "m1")
    assert forecast(session, touch, confirmed + timedelta(hours=3)).retry_at == at(
        "2026-03-05 08:00"
    )


def test_settling_twice_alike_is_harmless_and_otherwise_refused(
    session: Session, morning: datetime
) -> None:
    touch = a_sending(session, morning)
    gate.settle(session, touch.id, TouchState.SENT, now=morning)

    again = gate.settle(session, touch.id, TouchState.SENT, now=morning + _SECOND)

    assert again.settled_at == morning
    with pytest.raises(WrongState):
        gate.settle(session, touch.id, TouchState.UNKNOWN, now=morning)


def test_touch_cannot_be_settled_before_its_fence(session: Session, morning: datetime) -> None:
    touch = a_reservation(session, morning)

    with pytest.raises(WrongState):
        gate.settle(session, touch.id, TouchState.SENT, now=morning)


def test_failed_touch_frees_its_slot_and_wakes_who_waited(
    session: Session, morning: datetime
) -> None:
    touch = a_sending(session, morning, channels=(Channel.WECHAT_SERVICE,))
    member_id, later = touch.member_id, morning + timedelta(minutes=1)
    wish = gate.Ask(
        key="waiting",
        member_id=member_id,
        channels=(Channel.WECHAT_SERVICE,),
        category=Category.MARKETING,
        brand_id=touch.brand_id,
    )
    waiting = gate.ask(session, wish, now=morning)

    gate.settle(session, touch.id, TouchState.FAILED, failure="45015", now=later)
    session.refresh(waiting)

    assert (waiting.state, gate.due(session, later)) == (TouchState.ASKED, [waiting.id])
    assert gate.ask_again(session, [waiting.id], now=later)[0].state is TouchState.RESERVED


def test_unknown_touch_counts_until_it_is_reconciled(session: Session, morning: datetime) -> None:
    touch = a_sending(session, morning, channels=(Channel.WECHAT_SERVICE,))
    patience = timedelta(minutes=10)

    early = gate.mark_unknown(session, older_than=patience, now=morning + patience - _SECOND)
    late = gate.mark_unknown(session, older_than=patience, now=morning + patience)
    counted = forecast(session, touch, morning + timedelta(hours=5))
    gate.settle(session, touch.id, TouchState.FAILED, now=morning + timedelta(hours=6))
    free = forecast(session, touch, morning + timedelta(hours=6))

    assert (early, late) == ([], [touch.id])
    assert (counted.outcome, free.outcome) == (Outcome.DEFER, Outcome.OPEN)


def test_broadcast_is_unknown_only_after_three_days_and_counts_until_their_end(
    session: Session, morning: datetime
) -> None:
    touch = a_sending(session, morning)
    gate.settle(session, touch.id, TouchState.SENDING, provider_id="msg-1", now=morning)
    patience, end = timedelta(minutes=10), morning + timedelta(days=3)

    early = gate.mark_unknown(session, older_than=patience, now=end - _SECOND)
    late = gate.mark_unknown(session, older_than=patience, now=end + timedelta(hours=5))
    closed = forecast(session, touch, end + timedelta(hours=4) - _SECOND)

    assert (early, late) == ([], [touch.id])
    assert (touch.state, closed.outcome) == (TouchState.UNKNOWN, Outcome.DEFER)


def test_broadcast_whose_call_never_came_back_is_unknown_at_once(
    session: Session, morning: datetime
) -> None:
    touch = a_sending(session, morning)
    patience = timedelta(minutes=10)

    early = gate.mark_unknown(session, older_than=patience, now=morning + patience - _SECOND)
    late = gate.mark_unknown(session, older_than=patience, now=morning + patience)

    assert (early, late) == ([], [touch.id])


def test_broadcast_without_an_answer_counts_as_long_as_its_guide_may_send_it(
    session: Session, morning: datetime
) -> None:
    touch = a_sending(session, morning)
    gate.settle(session, touch.id, TouchState.UNKNOWN, failure="no_answer", now=morning)
    next_day, end = morning + timedelta(days=1), morning + timedelta(days=3)

    closed = forecast(session, touch, next_day)
    gate.settle(session, touch.id, TouchState.SENT, now=end + timedelta(days=4))

    assert closed.outcome is Outcome.DEFER
    assert closed.violations[0].touches == (touch.id,)
    assert touch.counted_at == end


def test_lapsed_leases_are_freed_and_due_again(session: Session, morning: datetime) -> None:
    lapsed, live = a_reservation(session, morning), a_reservation(session, morning + _SECOND)
    end = morning + _LEASE

    assert gate.free_leases(session, end) == 1

    assert (lapsed.state, live.state) == (TouchState.ASKED, TouchState.RESERVED)
    assert gate.due(session, end) == [lapsed.id]
    assert gate.free_leases(session, end) == 0


def test_released_touch_leaves_nothing_behind(session: Session, morning: datetime) -> None:
    touch = a_reservation(session, morning)
    held = forecast(session, touch, morning)

    gate.release(session, touch.id, reason="guide_was_first", now=morning)
    gate.release(session, touch.id, reason="again", now=morning + _SECOND)

    assert (held.outcome, forecast(session, touch, morning).outcome) == (
        Outcome.DEFER,
        Outcome.OPEN,
    )
    assert (touch.state, touch.failure, touch.settled_at) == (
        TouchState.RELEASED,
        "guide_was_first",
        morning,
    )


def test_touch_in_flight_cannot_be_released(session: Session, morning: datetime) -> None:
    touch = a_sending(session, morning)

    with pytest.raises(WrongState):
        gate.release(session, touch.id, reason="too late", now=morning)


def test_touch_the_provider_refused_for_now_is_due_again_and_counts_no_more(
    session: Session, morning: datetime
) -> None:
    touch = a_sending(session, morning, channels=(Channel.WECHAT_SERVICE,))
    later = morning + timedelta(minutes=2)

    gate.put_back(session, touch.id, retry_at=later, failure="45009", now=morning)

    assert forecast(session, touch, morning).outcome is Outcome.OPEN
    assert gate.due(session, later) == [touch.id]
    assert gate.ask_again(session, [touch.id], now=later)[0].state is TouchState.RESERVED


def test_human_touch_is_recorded_even_over_a_cap_and_says_so(
    session: Session, morning: datetime
) -> None:
    first = a_sending(session, morning, channels=(Channel.WECHAT_SERVICE,))
    ask = gate.Ask(
        key="by hand",
        member_id=first.member_id,
        channels=(Channel.WECOM_BROADCAST,),
        category=Category.CARE,
        brand_id=first.brand_id,
        guide_id=first.guide_id,
    )
    facts: dict[str, Any] = {
        "channel": Channel.WECOM_BROADCAST,
        "sent_at": morning + timedelta(minutes=1),
    }

    touch = gate.record(session, ask, **facts, now=morning + timedelta(minutes=2))
    again = gate.record(session, ask, **facts, now=morning + timedelta(minutes=9))

    assert touch.id == again.id
    assert (touch.state, touch.evidence) == (TouchState.SENT, Evidence.SELF_REPORTED)
    assert touch.counted_at == morning + timedelta(minutes=1)
    assert {reason["rule"] for reason in touch.verdict["violations"]} == {"daily_cap", "min_gap"}


def test_planned_touch_that_a_human_sent_anyway_is_sent(
    session: Session, morning: datetime
) -> None:
    li = a_member(session, now=morning)
    ask = an_ask(session, li)
    planned = gate.ask(session, ask, now=morning)

    touch = gate.record(session, ask, channel=Channel.WECOM_BROADCAST, sent_at=morning, now=morning)

    assert (touch.id, touch.state) == (planned.id, TouchState.SENT)
    assert gate.fence(session, touch.id, now=morning).refusal is FenceRefusal.NOT_RESERVED


def test_record_refuses_a_key_of_another_touch(session: Session, morning: datetime) -> None:
    touch = a_reservation(session, morning)
    zhao = a_member(session, now=morning)
    ask = an_ask(session, zhao, key=touch.key)

    with pytest.raises(KeyReused):
        gate.record(session, ask, channel=Channel.WECOM_BROADCAST, sent_at=morning, now=morning)


def test_every_touch_counts_while_it_may_reach_the_member(
    session: Session, morning: datetime
) -> None:
    """A crash at any step frees the slot only when nothing can have been sent."""
    reserved = a_reservation(session, morning)
    sending = a_sending(session, morning)
    unknown = a_sending(session, morning)
    gate.settle(session, unknown.id, TouchState.UNKNOWN, now=morning)
    later = morning + timedelta(hours=1)

    outcomes = [forecast(session, touch, later).outcome for touch in (reserved, sending, unknown)]

    assert outcomes == [Outcome.OPEN, Outcome.DEFER, Outcome.DEFER]
    assert session.exec(select(Touch).where(col(Touch.counted_at).is_(None))).all() == []
