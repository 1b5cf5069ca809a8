"""Bands at the gate: holds are seen, reserved touches give way once, and nobody waits for ever."""

from datetime import datetime, timedelta
from typing import Any

from sqlmodel import Session, select

from fatigue import gate, policies
from fatigue.gate import Outcome, Plan
from fatigue.holding import forget
from fatigue.rules import CalendarCap, Period, RollingCap, Rule, Selector
from fatigue.standing import HOLD_PATIENCE
from store.holds import Displacement, Hold
from store.members import Member
from store.merges import merge, undo
from store.touches import Category, Channel, Touch, TouchState
from tests.fatigue.people import a_campaign, a_grant, a_house, a_member, an_ask
from tests.times import at

_SECOND = timedelta(seconds=1)
_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
MORNING = at("2026-03-02 10:00")
HIGH, MUST, NORMAL, LOW = 70, 90, 50, 10


def publish(session: Session, *rules: Rule) -> None:
    policies.publish(session, rules, author="hq", now=MORNING)


def one_a_day(cap: int = 1) -> RollingCap:
    return RollingCap(name="cap", source="test", cap=cap, seconds=24 * 3600)


def a_plan(session: Session, member: Member, when: datetime, **facts: Any) -> Plan:
    brand, _ = a_house(session)
    usual: dict[str, Any] = {
        "campaign_id": facts.pop("campaign_id", None) or a_campaign(session, now=MORNING).id,
        "member_id": member.id,
        "channels": (Channel.WECOM_BROADCAST,),
        "category": Category.MARKETING,
        "brand_id": brand.id,
        "priority": HIGH,
        "planned_from": when,
        "planned_until": when + _HOUR,
    }
    return Plan(**(usual | facts))


def hold(session: Session, member: Member, when: datetime, **facts: Any) -> Plan:
    plan = a_plan(session, member, when, **facts)
    gate.hold(session, [plan], now=MORNING)
    return plan


def forecast(session: Session, member: Member, now: datetime, **facts: Any) -> gate.Forecast:
    return gate.dry_run(session, [an_ask(session, member, **facts)], now=now)[0]


def test_lower_band_waits_exactly_until_the_hold_is_over(session: Session) -> None:
    publish(session, one_a_day())
    li = a_member(session, now=MORNING)
    plan = hold(session, li, MORNING + 5 * _HOUR)

    touch = gate.ask(session, an_ask(session, li), now=MORNING)
    over = MORNING + 6 * _HOUR
    first = (touch.state, touch.retry_at, touch.verdict["violations"])
    early = forecast(session, li, over - _SECOND)
    again = gate.ask_again(session, gate.due(session, over), now=over)

    assert first[:2] == (TouchState.ASKED, over)
    assert first[2] == [
        {
            "rule": "cap",
            "channel": "wecom_broadcast",
            "count": 1,
            "cap": 1,
            "touches": [],
            "holds": [plan.campaign_id],
            "retry_at": over.isoformat(),
        }
    ]
    assert early.outcome is Outcome.DEFER
    assert [(one.id, one.state) for one in again] == [(touch.id, TouchState.RESERVED)]


def test_band_that_is_not_lower_does_not_see_the_hold(session: Session) -> None:
    publish(session, one_a_day())
    li, zhao = a_member(session, now=MORNING), a_member(session, now=MORNING)
    hold(session, li, MORNING + _HOUR)

    outcomes = [
        forecast(session, member, MORNING, priority=priority).outcome
        for member, priority in ((li, NORMAL), (li, HIGH), (li, MUST), (zhao, NORMAL))
    ]

    assert outcomes == [Outcome.DEFER, Outcome.OPEN, Outcome.OPEN, Outcome.OPEN]


def test_own_campaign_takes_its_hold_and_its_touch_counts_in_its_place(session: Session) -> None:
    publish(session, one_a_day(2))
    li = a_member(session, now=MORNING)
    plan = hold(session, li, MORNING)
    own = an_ask(session, li, campaign_id=plan.campaign_id, priority=HIGH)
    seen = [forecast(session, li, MORNING).verdict]

    reserved = gate.ask(session, own, now=MORNING)
    after = gate.ask(session, an_ask(session, li), now=MORNING)
    third = forecast(session, li, MORNING)

    assert [found.outcome for found in seen] == [Outcome.OPEN]
    assert (reserved.state, after.state) == (TouchState.RESERVED, TouchState.RESERVED)
    assert [(v.count, v.touches, v.holds) for v in third.violations] == [
        (2, (reserved.id, after.id), ())
    ]


def test_release_gives_back_what_the_hold_had(session: Session) -> None:
    publish(session, one_a_day())
    li = a_member(session, now=MORNING)
    plan = hold(session, li, MORNING)
    before = forecast(session, li, MORNING).verdict
    own = an_ask(session, li, campaign_id=plan.campaign_id, priority=HIGH)

    touch = gate.ask(session, own, now=MORNING)
    gate.release(session, touch.id, reason="test", now=MORNING)

    assert forecast(session, li, MORNING).verdict == before


def test_lifted_hold_and_a_hold_that_is_over_hold_nothing(session: Session) -> None:
    publish(session, one_a_day())
    li, zhao = a_member(session, now=MORNING), a_member(session, now=MORNING)
    lifted = hold(session, li, MORNING + _HOUR)
    hold(session, zhao, MORNING - 2 * _HOUR)

    assert gate.lift(session, lifted.campaign_id, now=MORNING) == 1
    assert gate.lift(session, lifted.campaign_id, now=MORNING) == 0
    assert forecast(session, li, MORNING).outcome is Outcome.OPEN
    assert forecast(session, zhao, MORNING).outcome is Outcome.OPEN


def test_second_plan_of_a_campaign_takes_the_place_of_the_first(session: Session) -> None:
    li = a_member(session, now=MORNING)
    first = hold(session, li, MORNING)
    gate.lift(session, first.campaign_id, now=MORNING)

    hold(session, li, MORNING + _DAY, campaign_id=first.campaign_id)

    kept = session.exec(select(Hold)).one()
    assert (kept.planned_from, kept.lifted_at) == (MORNING + _DAY, None)


def test_nobody_waits_for_holds_longer_than_a_week(session: Session) -> None:
    """A campaign for every day: its holds would keep the only slot of each day for ever."""
    publish(session, CalendarCap(name="day", source="test", cap=1, period=Period.DAY))
    li = a_member(session, now=MORNING)
    for day in range(30):
        hold(session, li, at("2026-03-02 00:00") + day * _DAY, planned_until=MORNING + day * _DAY)
    touch = gate.ask(session, an_ask(session, li, deadline_at=None), now=MORNING - 2 * _HOUR)

    clock = touch.retry_at
    assert clock is not None
    again = gate.ask_again(session, [touch.id], now=clock)[0]

    assert clock <= MORNING - 2 * _HOUR + HOLD_PATIENCE
    assert again.state is TouchState.RESERVED


def test_merge_unites_touches_and_holds_and_undo_parts_them(session: Session) -> None:
    publish(session, one_a_day(3))
    li, same_li = a_member(session, now=MORNING), a_member(session, now=MORNING)
    hold(session, same_li, MORNING)
    hold(session, same_li, MORNING)
    sent = gate.ask(session, an_ask(session, same_li, priority=MUST), now=MORNING)
    row = merge(session, li.id, same_li.id, reason="same mobile", now=MORNING)
    gate.ask(session, an_ask(session, li, priority=MUST), now=MORNING)

    united = forecast(session, li, MORNING).verdict
    undo(session, row.id, now=MORNING)
    parted = forecast(session, li, MORNING).verdict

    assert (united.outcome, len(united.violations[0].holds)) == (Outcome.DEFER, 2)
    assert sent.id in united.violations[0].touches
    assert parted.outcome is Outcome.OPEN


def test_higher_band_displaces_a_reserved_touch_which_learns_why_and_until_when(
    session: Session,
) -> None:
    publish(session, one_a_day())
    li = a_member(session, now=MORNING)
    low = gate.ask(session, an_ask(session, li, priority=LOW), now=MORNING)
    later = MORNING + timedelta(minutes=5)

    high = gate.ask(session, an_ask(session, li, priority=HIGH), now=later)

    assert (high.state, high.verdict["displaces"]) == (TouchState.RESERVED, [low.id])
    assert [v["rule"] for v in high.verdict["passed_over"]] == ["cap"]
    assert (low.state, low.retry_at, low.counted_at) == (TouchState.ASKED, later + _DAY, None)
    assert [(v["rule"], v["touches"]) for v in low.verdict["violations"]] == [
        ("displaced", [high.id]),
        ("cap", [high.id]),
    ]
    rows = session.exec(select(Displacement)).all()
    assert [(row.touch_id, row.by_touch_id, row.told_at) for row in rows] == [
        (low.id, high.id, None)
    ]
    assert gate.fence(session, low.id, now=later).refusal is gate.FenceRefusal.NOT_RESERVED


def test_retry_of_a_displaced_touch_is_exact(session: Session) -> None:
    publish(session, one_a_day())
    li = a_member(session, now=MORNING)
    low = gate.ask(session, an_ask(session, li, priority=LOW), now=MORNING)
    high = gate.ask(session, an_ask(session, li, priority=HIGH), now=MORNING)
    gate.fence(session, high.id, now=MORNING)
    gate.settle(session, high.id, TouchState.SENT, now=MORNING)
    opens = MORNING + _DAY

    early = forecast(session, li, opens - _SECOND, priority=LOW)
    again = gate.ask_again(session, gate.due(session, opens), now=opens)[0]

    assert early.outcome is Outcome.DEFER
    assert (again.id, again.state) == (low.id, TouchState.RESERVED)


def test_touch_past_the_fence_of_the_same_band_or_of_service_never_gives_way(
    session: Session,
) -> None:
    publish(session, one_a_day())
    kinds: list[dict[str, Any]] = [
        {"priority": LOW},
        {"priority": HIGH},
        {"priority": LOW, "category": Category.SERVICE},
    ]
    people = [a_member(session, now=MORNING) for _ in kinds]
    touches = [
        gate.ask(session, an_ask(session, one, **kind), now=MORNING)
        for one, kind in zip(people, kinds, strict=True)
    ]
    gate.fence(session, touches[0].id, now=MORNING)

    high = [gate.ask(session, an_ask(session, one, priority=HIGH), now=MORNING) for one in people]

    assert [touch.state for touch in high] == [TouchState.ASKED] * 3
    assert [touch.state for touch in touches] == [
        TouchState.SENDING,
        TouchState.RESERVED,
        TouchState.RESERVED,
    ]
    assert session.exec(select(Displacement)).all() == []


def test_as_few_touches_as_possible_give_way_and_the_lowest_of_them(session: Session) -> None:
    publish(session, one_a_day(3))
    li = a_member(session, now=MORNING)
    touches = [
        gate.ask(session, an_ask(session, li, priority=priority), now=MORNING)
        for priority in (NORMAL, LOW, NORMAL)
    ]

    high = gate.ask(session, an_ask(session, li, priority=HIGH), now=MORNING)

    assert high.verdict["displaces"] == [touches[1].id]
    assert [touch.state for touch in touches] == [
        TouchState.RESERVED,
        TouchState.ASKED,
        TouchState.RESERVED,
    ]


def test_nobody_gives_way_where_it_would_not_help(session: Session) -> None:
    publish(session, one_a_day())
    li = a_member(session, now=MORNING, consents=False)
    low = gate.ask(
        session, an_ask(session, li, priority=LOW, category=Category.SERVICE), now=MORNING
    )
    zhao = a_member(session, now=MORNING)
    hers = gate.ask(session, an_ask(session, zhao, priority=LOW), now=MORNING)
    without_friend = {"priority": HIGH, "guide_id": None}

    high = gate.ask(session, an_ask(session, zhao, **without_friend), now=MORNING)

    assert (high.state, hers.state, low.state) == (
        TouchState.WITHHELD,
        TouchState.RESERVED,
        TouchState.RESERVED,
    )


def test_displaced_touch_with_no_time_left_is_withheld_and_says_why(session: Session) -> None:
    publish(session, one_a_day())
    li = a_member(session, now=MORNING)
    low = gate.ask(
        session, an_ask(session, li, priority=LOW, deadline_at=MORNING + _HOUR), now=MORNING
    )

    gate.ask(session, an_ask(session, li, priority=HIGH), now=MORNING)

    assert low.state is TouchState.WITHHELD
    assert [v["rule"] for v in low.verdict["violations"]] == ["displaced", "cap"]


def test_displaced_touch_that_has_another_way_is_due_at_once(session: Session) -> None:
    chosen = RollingCap(
        name="broadcasts",
        source="test",
        selector=Selector(channels=frozenset({Channel.WECOM_BROADCAST})),
        cap=1,
        seconds=24 * 3600,
    )
    publish(session, chosen)
    li = a_member(session, now=MORNING)
    a_grant(session, li.id, now=MORNING)
    both = (Channel.WECOM_BROADCAST, Channel.WECHAT_SERVICE)
    low = gate.ask(session, an_ask(session, li, priority=LOW, channels=both), now=MORNING)

    gate.ask(session, an_ask(session, li, priority=HIGH), now=MORNING)
    again = gate.ask_again(session, gate.due(session, MORNING), now=MORNING)[0]

    assert (again.id, again.state, again.channel) == (
        low.id,
        TouchState.RESERVED,
        Channel.WECHAT_SERVICE,
    )


def test_touch_is_held_up_at_the_fence_by_a_hold_planted_since(session: Session) -> None:
    publish(session, one_a_day())
    li = a_member(session, now=MORNING)
    low = gate.ask(session, an_ask(session, li, priority=LOW), now=MORNING)
    hold(session, li, MORNING)

    fenced = gate.fence(session, low.id, now=MORNING)

    assert (fenced.refusal, low.state) == (gate.FenceRefusal.DEFERRED, TouchState.ASKED)
    assert low.retry_at == MORNING + _HOUR


def test_shadow_rule_is_recorded_and_stops_nothing(session: Session) -> None:
    strict = RollingCap(name="strict", source="test", is_shadow=True, cap=1, seconds=24 * 3600)
    publish(session, one_a_day(2), strict)
    li = a_member(session, now=MORNING)
    first = gate.ask(session, an_ask(session, li), now=MORNING)

    second = gate.ask(session, an_ask(session, li), now=MORNING)
    third = gate.ask(session, an_ask(session, li), now=MORNING)

    assert (first.verdict["shadow"], second.state) == ([], TouchState.RESERVED)
    assert [(v["rule"], v["touches"]) for v in second.verdict["shadow"]] == [("strict", [first.id])]
    assert third.state is TouchState.ASKED
    assert [v["rule"] for v in third.verdict["violations"]] == ["cap"]
    assert [v["rule"] for v in third.verdict["shadow"]] == ["strict"]


def test_shadow_rule_is_recorded_also_where_another_touch_gives_way(session: Session) -> None:
    strict = RollingCap(name="strict", source="test", is_shadow=True, cap=1, seconds=24 * 3600)
    publish(session, one_a_day(2), strict)
    li = a_member(session, now=MORNING)
    first, second = (
        gate.ask(session, an_ask(session, li, priority=LOW), now=MORNING) for _ in range(2)
    )

    high = gate.ask(session, an_ask(session, li, priority=HIGH), now=MORNING)

    assert high.verdict["displaces"] == [second.id]
    assert [(v["rule"], v["touches"]) for v in high.verdict["shadow"]] == [("strict", [first.id])]


def test_dry_run_on_a_later_day_counts_what_is_scheduled_for_it(session: Session) -> None:
    publish(session, one_a_day())
    li = a_member(session, now=MORNING)
    plan = hold(session, li, MORNING + 10 * _DAY)

    found = [forecast(session, li, MORNING + days * _DAY) for days in (0, 8, 10, 12)]

    assert [one.outcome for one in found] == [
        Outcome.OPEN,
        Outcome.OPEN,
        Outcome.DEFER,
        Outcome.OPEN,
    ]
    assert found[2].violations[0].holds == (plan.campaign_id,)


def test_forecast_says_whom_an_ask_would_displace_and_changes_nothing(session: Session) -> None:
    publish(session, one_a_day())
    li = a_member(session, now=MORNING)
    low = gate.ask(session, an_ask(session, li, priority=LOW), now=MORNING)

    found = forecast(session, li, MORNING, priority=HIGH)

    assert (found.outcome, found.verdict.displaces) == (Outcome.OPEN, (low.id,))
    assert low.state is TouchState.RESERVED
    assert session.exec(select(Touch)).one().id == low.id


def test_holds_that_ended_long_ago_are_forgotten(session: Session) -> None:
    li = a_member(session, now=MORNING)
    hold(session, li, MORNING - 91 * _DAY)
    recent = hold(session, li, MORNING - 89 * _DAY)

    assert forget(session, MORNING) == 1
    assert session.exec(select(Hold.campaign_id)).all() == [recent.campaign_id]
