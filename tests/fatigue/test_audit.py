"""The recount finds every planted breach, and agrees with the gate that there is none."""

from dataclasses import replace
from datetime import datetime, time, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from sqlmodel import Session

from fatigue import gate, policies
from fatigue.audit import audit_caps
from fatigue.rules import (
    DAYS_IN_PERIOD,
    CalendarCap,
    GrantRule,
    LifetimeCap,
    MinGap,
    Never,
    Period,
    QuietHours,
    RollingCap,
    Rule,
    Selector,
)
from store.members import Member
from store.touches import Category, Channel, Evidence, Touch, TouchState
from tests.fatigue.people import TO_MEMBERS, a_campaign, a_grant, a_house, a_member, an_ask
from tests.times import at

_SECOND = timedelta(seconds=1)
_HOUR = 3600


def a_sent_touch(session: Session, member: Member, when: datetime, **facts: Any) -> Touch:
    """A touch as it stands in the record once it went out, past any gate."""
    brand, guide = a_house(session)
    usual: dict[str, Any] = {
        "key": f"planted-{member.id}-{when.isoformat()}-{facts.get('category')}",
        "member_id": member.id,
        "channels": [],
        "channel": Channel.WECOM_BROADCAST,
        "category": Category.MARKETING,
        "brand_id": brand.id,
        "guide_id": guide.id,
        "state": TouchState.SENT,
        "asked_at": when,
        "counted_at": when,
        "fenced_at": when,
        "settled_at": when,
    }
    touch = Touch(**(usual | facts))
    session.add(touch)
    session.flush()
    return touch


def publish(session: Session, rule: Rule, now: datetime) -> None:
    policies.publish(session, [rule], author="hq", now=now)


_DAY_CAP = RollingCap(name="cap", source="test", cap=1, seconds=24 * _HOUR)
_DAY = CalendarCap(name="cap", source="test", cap=1, period=Period.DAY)


@pytest.mark.parametrize(
    ("rule", "apart", "breaches"),
    [
        (_DAY_CAP, timedelta(hours=24) - _SECOND, 1),
        (_DAY_CAP, timedelta(hours=24), 0),
        (_DAY_CAP, timedelta(0), 2),
        (MinGap(name="cap", source="test", seconds=4 * _HOUR), timedelta(hours=3), 1),
        (MinGap(name="cap", source="test", seconds=4 * _HOUR), timedelta(hours=4), 0),
        (_DAY, timedelta(hours=13, minutes=59), 1),
        (_DAY, timedelta(hours=14), 0),
        (replace(_DAY, period=Period.WEEK), timedelta(days=6), 1),
        (replace(_DAY, period=Period.WEEK), timedelta(days=7), 0),
        (replace(_DAY, zone="America/New_York"), timedelta(hours=4), 0),
        (replace(_DAY, cap=DAYS_IN_PERIOD, period=Period.MONTH), timedelta(hours=4), 0),
    ],
)
def test_recount_finds_a_touch_too_many_and_no_other(
    session: Session, rule: Rule, apart: timedelta, breaches: int
) -> None:
    monday = at("2026-03-02 10:00")
    publish(session, rule, monday)
    li, zhao = a_member(session, now=monday), a_member(session, now=monday)
    first = a_sent_touch(session, li, monday)
    second = a_sent_touch(session, li, monday + apart, category=Category.CARE)
    a_sent_touch(session, zhao, monday + apart)

    found = audit_caps(session)

    assert len(found) == breaches
    for breach in found:
        assert (breach.rule, breach.member_id, breach.count) == ("cap", li.id, 2)
        assert (breach.cap, breach.touches) == (1, (first.id, second.id))


def test_recount_counts_a_month_by_its_days(session: Session) -> None:
    rule = CalendarCap(name="month", source="test", cap=DAYS_IN_PERIOD, period=Period.MONTH)
    publish(session, rule, at("2026-02-01 10:00"))
    li = a_member(session, now=at("2026-01-01 10:00"))
    for number in range(29):
        a_sent_touch(session, li, at("2026-02-02 10:00") + number * timedelta(hours=1))

    assert [(breach.count, breach.cap) for breach in audit_caps(session)] == [(29, 28)]


@pytest.mark.parametrize(
    ("state", "breaches"),
    [
        (TouchState.SENDING, 1),
        (TouchState.UNKNOWN, 1),
        (TouchState.FAILED, 0),
        (TouchState.RESERVED, 0),
        (TouchState.RELEASED, 0),
    ],
)
def test_recount_takes_what_was_or_may_have_been_sent(
    session: Session, now: datetime, state: TouchState, breaches: int
) -> None:
    publish(session, _DAY_CAP, now)
    li = a_member(session, now=now)
    a_sent_touch(session, li, now)
    a_sent_touch(session, li, now + _SECOND, state=state)

    assert len(audit_caps(session)) == breaches


def test_recount_lets_service_pass_brand_rules_only(session: Session, now: datetime) -> None:
    li = a_member(session, now=now)
    a_sent_touch(session, li, now)
    a_sent_touch(session, li, now + _SECOND, category=Category.SERVICE)

    publish(session, _DAY_CAP, now)
    by_brand = audit_caps(session)
    publish(session, replace(_DAY_CAP, is_platform=True), now)
    by_platform = audit_caps(session)

    assert (len(by_brand), len(by_platform)) == (0, 1)


def test_recount_finds_a_campaign_that_came_too_often(session: Session, now: datetime) -> None:
    publish(session, LifetimeCap(name="once", source="test", cap=1), now)
    li, campaign = a_member(session, now=now), a_campaign(session, now=now)
    a_sent_touch(session, li, now - timedelta(days=300), campaign_id=campaign.id)
    a_sent_touch(session, li, now, campaign_id=campaign.id)
    a_sent_touch(session, li, now + _SECOND)

    assert [(breach.rule, breach.at) for breach in audit_caps(session)] == [("once", now)]


@pytest.mark.parametrize(
    ("minute", "zone", "breaches"),
    [
        ("2026-03-01 21:59:59", None, 0),
        ("2026-03-01 22:00", None, 1),
        ("2026-03-02 07:59:59", None, 1),
        ("2026-03-02 08:00", None, 0),
        ("2026-03-01 12:00", "America/New_York", 1),
        ("2026-03-01 23:00", "Mars/Base", 1),
    ],
)
def test_recount_finds_a_touch_at_night(
    session: Session, minute: str, zone: str | None, breaches: int
) -> None:
    night = QuietHours(name="night", source="test", start=time(22), end=time(8))
    publish(session, night, at(minute))
    li = a_member(session, now=at(minute), timezone=zone)
    a_sent_touch(session, li, at(minute))

    assert len(audit_caps(session)) == breaches


def test_recount_finds_a_message_without_a_grant(session: Session, now: datetime) -> None:
    rule = GrantRule(
        name="grant",
        source="test",
        selector=Selector(channels=frozenset({Channel.WECHAT_SERVICE})),
        is_platform=True,
        allowance=5,
        seconds=48 * _HOUR,
    )
    publish(session, rule, now)
    li = a_member(session, now=now)
    a_grant(session, li.id, allowance=2, now=now)
    for number in range(3):
        a_sent_touch(session, li, now + number * _SECOND, channel=Channel.WECHAT_SERVICE)
    late = a_sent_touch(session, li, now + timedelta(hours=48), channel=Channel.WECHAT_SERVICE)

    assert [breach.at for breach in audit_caps(session)] == [now + 2 * _SECOND, late.fenced_at]


@pytest.mark.parametrize(
    ("chosen", "breaches"),
    [
        (Selector(bands=frozenset({"high"})), 1),
        (Selector(bands=frozenset({"high", "low"})), 3),
        (Selector(bands=frozenset({"normal"})), 0),
        (Selector(guide_id=10**9), 0),
    ],
)
def test_recount_knows_bands_and_guides(
    session: Session, now: datetime, chosen: Selector, breaches: int
) -> None:
    publish(session, replace(_DAY_CAP, selector=chosen), now)
    li = a_member(session, now=now)
    for number, priority in enumerate((70, 89, 0, 29)):
        a_sent_touch(session, li, now + number * _SECOND, priority=priority)

    assert len(audit_caps(session)) == breaches


def test_recount_finds_what_should_never_go_and_leaves_shadow_rules_alone(
    session: Session, now: datetime
) -> None:
    never = Never(name="never", source="test", selector=Selector(channels=frozenset({Channel.SMS})))
    shadow = replace(_DAY_CAP, name="shadow", is_shadow=True)
    policies.publish(session, [never, shadow], author="hq", now=now)
    li = a_member(session, now=now)
    a_sent_touch(session, li, now)
    sms = a_sent_touch(session, li, now + _SECOND, channel=Channel.SMS)

    assert [(found.rule, found.touches) for found in audit_caps(session)] == [("never", (sms.id,))]


def test_recount_marks_a_touch_by_hand_and_leaves_out_old_breaches(
    session: Session, now: datetime
) -> None:
    publish(session, _DAY_CAP, now)
    li = a_member(session, now=now)
    a_sent_touch(session, li, now)
    a_sent_touch(session, li, now + _SECOND, fenced_at=None, evidence=Evidence.SELF_REPORTED)

    assert [breach.is_human for breach in audit_caps(session)] == [True]
    assert audit_caps(session, since=now + 2 * _SECOND) == []


steps = some.lists(
    some.tuples(
        some.sampled_from(TO_MEMBERS),
        some.sampled_from(list(Category)),
        some.integers(0, 20 * _HOUR),
        some.sampled_from(["sent", "failed", "unknown", "late", "crash"]),
    ),
    min_size=3,
    max_size=25,
)


@settings(max_examples=30)
@given(steps)
def test_recount_finds_nothing_after_any_traffic_through_the_gate(
    session: Session, traffic: list[tuple[Channel, Category, int, str]]
) -> None:
    undo, clock = session.begin_nested(), at("2026-02-20 10:00")
    li = a_member(session, now=clock)
    pending: list[int] = []
    for channel, category, pause, end in traffic:
        clock += timedelta(seconds=pause)
        a_grant(session, li.id, now=clock)
        if channel is Channel.WECHAT_NOTICE:
            a_grant(session, li.id, channel=channel, allowance=1, hours=None, now=clock)
        touch = gate.ask(
            session, an_ask(session, li, channels=(channel,), category=category), now=clock
        )
        clock += timedelta(minutes=20 if end == "crash" else 1)
        _go_on(session, touch.id, end, pending, clock)
        gate.free_leases(session, clock)
        gate.mark_unknown(session, older_than=timedelta(hours=1), now=clock)
        for waiting in gate.ask_again(session, gate.due(session, clock), now=clock):
            _go_on(session, waiting.id, end, pending, clock)
    found = audit_caps(session)
    undo.rollback()

    assert found == []


def _go_on(session: Session, touch_id: int, end: str, pending: list[int], clock: datetime) -> None:
    """Fence and settle, or leave a broadcast to its guide, who confirms the oldest at times."""
    if gate.fence(session, touch_id, now=clock).refusal is not None:
        return
    if end == "late":
        pending.append(touch_id)
    elif end != "crash":
        gate.settle(session, touch_id, TouchState(end), now=clock)
    if end == "failed" and pending:
        oldest = session.get_one(Touch, pending.pop(0))
        if oldest.state is TouchState.SENDING:
            gate.settle(session, oldest.id, TouchState.SENT, now=clock)
