"""The verdict against a second opinion, and the exactness of every figure it gives."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as some

from fatigue.rules import (
    DAYS_IN_PERIOD,
    CalendarCap,
    GrantRule,
    LifetimeCap,
    MinGap,
    Outcome,
    Period,
    Policy,
    QuietHours,
    RollingCap,
    Rule,
    Selector,
)
from fatigue.verdict import Block, Question, Recent, Window, verdict
from store.touches import Category, Channel
from tests.fatigue import model
from tests.times import SHANGHAI, at

_SECOND = timedelta(seconds=1)
# A Thursday's midnight in Shanghai, as the model counts from.
_ZERO = datetime(1970, 1, 1, tzinfo=SHANGHAI).astimezone(UTC) + timedelta(days=20_454)
_START = 100 * model.DAY
starts = some.integers(_START, _START + 8 * model.DAY)


def a_question(**facts: Any) -> Question:
    question = Question(
        channel=Channel.WECOM_BROADCAST,
        category=Category.MARKETING,
        brand_id=1,
        campaign_id=None,
        zone=SHANGHAI,
    )
    return replace(question, **facts)


def a_touch(number: int, when: datetime, **facts: Any) -> Recent:
    touch = Recent(number, Channel.WECOM_BROADCAST, Category.MARKETING, 1, None, when, when)
    return replace(touch, **facts)


def a_policy(*rules: Rule) -> Policy:
    return Policy(1, rules)


def a_cap(cap: int = 1, **length: int) -> RollingCap:
    seconds = int(timedelta(**length).total_seconds())
    return RollingCap(name=f"cap_{cap}_{seconds}", source="test", cap=cap, seconds=seconds)


_NIGHT = QuietHours(name="quiet", source="test", start=time(22), end=time(8))

caps = some.builds(
    model.Rolling, some.integers(1, 4), some.integers(1, 10 * 24).map(lambda hours: hours * 3600)
)
calendars = some.builds(model.Calendar, some.integers(1, 3), some.sampled_from([1, 7]))
quiets = some.tuples(some.integers(0, 23), some.integers(1, 14)).map(
    lambda hours: model.Quiet(hours[0] * 3600, (hours[0] + hours[1]) % 24 * 3600)
)
# Two quiet rules may leave no minute of the day; the model asks for an answer that exists.
rule_sets = some.tuples(
    some.lists(caps, max_size=3),
    some.lists(calendars, max_size=2),
    some.lists(quiets, max_size=1),
).map(lambda parts: [rule for part in parts for rule in part])
histories = some.lists(some.integers(_START - 12 * model.DAY, _START), max_size=12, unique=True)


def as_policy(rules: list[model.ModelRule]) -> Policy:
    return Policy(1, tuple(_as_rule(number, rule) for number, rule in enumerate(rules)))


def _as_rule(number: int, rule: model.ModelRule) -> Rule:
    name = f"rule_{number}"
    match rule:
        case model.Rolling(cap, length):
            return RollingCap(name=name, source="test", cap=cap, seconds=length)
        case model.Calendar(cap, days):
            period = Period.DAY if days == 1 else Period.WEEK
            return CalendarCap(name=name, source="test", cap=cap, period=period)
        case model.Quiet(start, end):
            hours = [time(second // 3600) for second in (start, end)]
            return QuietHours(name=name, source="test", start=hours[0], end=hours[1])


def as_instant(second: int) -> datetime:
    return _ZERO + timedelta(seconds=second)


def as_touches(history: list[int]) -> list[Recent]:
    return [a_touch(number, as_instant(when)) for number, when in enumerate(history, start=1)]


@given(rule_sets, histories, starts)
def test_verdict_agrees_with_the_second_opinion_on_any_rules_and_history(
    rules: list[model.ModelRule], history: list[int], start: int
) -> None:
    found = verdict(as_policy(rules), as_touches(history), a_question(), as_instant(start))

    expected = model.first_open(rules, history, start, days=200)
    if expected == start:
        assert found.outcome is Outcome.OPEN
    else:
        assert (found.outcome, found.retry_at) == (Outcome.DEFER, as_instant(expected))


@given(rule_sets, histories, starts)
def test_verdict_is_refused_one_second_before_its_retry_and_open_at_it(
    rules: list[model.ModelRule], history: list[int], start: int
) -> None:
    policy, touches = as_policy(rules), as_touches(history)
    found = verdict(policy, touches, a_question(), as_instant(start))
    if found.retry_at is None:
        return

    before = verdict(policy, touches, a_question(), found.retry_at - _SECOND)
    then = verdict(policy, touches, a_question(), found.retry_at)

    assert (before.outcome, then.outcome) == (Outcome.DEFER, Outcome.OPEN)


@given(rule_sets, histories, starts)
def test_violation_names_the_exact_instant_its_own_rule_opens(
    rules: list[model.ModelRule], history: list[int], start: int
) -> None:
    policy, touches = as_policy(rules), as_touches(history)
    found = verdict(policy, touches, a_question(), as_instant(start))

    for violation in found.violations:
        alone = Policy(1, tuple(rule for rule in policy.rules if rule.name == violation.rule))
        assert violation.retry_at is not None
        before = verdict(alone, touches, a_question(), violation.retry_at - _SECOND)
        then = verdict(alone, touches, a_question(), violation.retry_at)
        assert (before.outcome, then.outcome) == (Outcome.DEFER, Outcome.OPEN)
        assert violation.cap <= violation.count == len(violation.touches)


@given(rule_sets, histories, some.one_of(caps, calendars), some.integers(0, 12 * model.DAY))
def test_verdict_is_never_sooner_with_one_more_rule_or_touch(
    rules: list[model.ModelRule], history: list[int], extra: model.ModelRule, ago: int
) -> None:
    now = as_instant(_START)
    less = verdict(as_policy(rules), as_touches(history), a_question(), now)

    more_rules = verdict(as_policy([*rules, extra]), as_touches(history), a_question(), now)
    more_touches = verdict(
        as_policy(rules), as_touches([*history, _START - ago]), a_question(), now
    )

    assert (more_rules.retry_at or now) >= (less.retry_at or now)
    assert (more_touches.retry_at or now) >= (less.retry_at or now)


@given(rule_sets, some.lists(some.integers(1, 30 * 3600), max_size=25))
def test_touches_let_through_never_break_a_rule_in_any_window(
    rules: list[model.ModelRule], pauses: list[int]
) -> None:
    policy, sent, clock = as_policy(rules), list[int](), _START
    for pause in pauses:
        clock += pause
        if verdict(policy, as_touches(sent), a_question(), as_instant(clock)).outcome == "open":
            sent.append(clock)

    for number, when in enumerate(sent):
        assert model.is_open(rules, sent[:number], when)


def test_touch_counts_for_exactly_its_window() -> None:
    sent = at("2026-03-01 10:00")
    policy = a_policy(a_cap(days=7))

    last = verdict(policy, [a_touch(1, sent)], a_question(), sent + timedelta(days=7) - _SECOND)
    free = verdict(policy, [a_touch(1, sent)], a_question(), sent + timedelta(days=7))

    assert (last.outcome, free.outcome) == (Outcome.DEFER, Outcome.OPEN)


def test_verdict_names_every_violated_rule_with_the_touches_that_used_it() -> None:
    now = at("2026-03-01 23:00")
    touches = [a_touch(7, now - timedelta(hours=2)), a_touch(8, now - timedelta(days=2))]
    gap = MinGap(name="gap", source="test", seconds=4 * 3600)

    found = verdict(a_policy(a_cap(2, days=7), gap, _NIGHT), touches, a_question(), now)

    assert [
        (violation.rule, violation.count, violation.cap, violation.touches, violation.retry_at)
        for violation in found.violations
    ] == [
        ("cap_2_604800", 2, 2, (8, 7), at("2026-03-06 23:00")),
        ("quiet", 0, 0, (), at("2026-03-02 08:00")),
        ("gap", 1, 1, (7,), at("2026-03-02 01:00")),
    ]
    assert found.retry_at == at("2026-03-07 08:00")


def test_retry_goes_on_over_the_night_when_a_cap_opens_in_it() -> None:
    sent = at("2026-03-01 21:30")
    policy = a_policy(MinGap(name="gap", source="test", seconds=4 * 3600), _NIGHT)

    found = verdict(policy, [a_touch(1, sent)], a_question(), sent + timedelta(minutes=5))

    assert found.retry_at == at("2026-03-02 08:00")


@pytest.mark.parametrize(
    ("minute", "outcome"),
    [
        ("2026-03-01 21:59:59", Outcome.OPEN),
        ("2026-03-01 22:00", Outcome.DEFER),
        ("2026-03-02 00:00", Outcome.DEFER),
        ("2026-03-02 07:59:59", Outcome.DEFER),
        ("2026-03-02 08:00", Outcome.OPEN),
    ],
)
def test_quiet_hours_begin_and_end_on_the_minute(minute: str, outcome: Outcome) -> None:
    assert verdict(a_policy(_NIGHT), [], a_question(), at(minute)).outcome is outcome


def test_quiet_hours_follow_the_members_own_clock() -> None:
    noon_in_shanghai = at("2026-03-01 12:00")
    question = a_question(zone=ZoneInfo("America/New_York"))

    found = verdict(a_policy(_NIGHT), [], question, noon_in_shanghai)

    assert found.retry_at == datetime(2026, 3, 1, 13, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("end", "opens"),
    [
        # The clock jumps from 02:00 to 03:00, so 02:30 never is: the jump opens.
        (time(2, 30), datetime(2026, 3, 8, 7, 0, tzinfo=UTC)),
        (time(8), datetime(2026, 3, 8, 12, 0, tzinfo=UTC)),
    ],
)
def test_quiet_hours_end_right_on_the_day_the_clock_goes_forward(
    end: time, opens: datetime
) -> None:
    quiet = QuietHours(name="quiet", source="test", start=time(22), end=end)
    question = a_question(zone=ZoneInfo("America/New_York"))

    found = verdict(a_policy(quiet), [], question, datetime(2026, 3, 8, 5, 0, tzinfo=UTC))

    assert found.retry_at == opens


def test_calendar_day_turns_at_the_members_midnight() -> None:
    policy = a_policy(CalendarCap(name="day", source="test", cap=1, period=Period.DAY))
    touches = [a_touch(1, at("2026-03-01 09:00"))]

    found = verdict(policy, touches, a_question(), at("2026-03-01 23:59:59"))

    assert found.retry_at == at("2026-03-02 00:00")


def test_touch_at_midnight_counts_for_the_day_that_begins() -> None:
    policy = a_policy(CalendarCap(name="day", source="test", cap=1, period=Period.DAY))
    touches = [a_touch(1, at("2026-03-02 00:00"))]

    found = verdict(policy, touches, a_question(), at("2026-03-02 09:00"))

    assert found.retry_at == at("2026-03-03 00:00")


@pytest.mark.parametrize(("day", "days"), [("2026-02-10", 28), ("2028-02-10", 29)])
def test_broadcasts_of_a_month_are_as_many_as_it_has_days(day: str, days: int) -> None:
    policy = a_policy(
        CalendarCap(name="month", source="test", cap=DAYS_IN_PERIOD, period=Period.MONTH)
    )
    first = at(f"{day[:8]}01 00:00")
    touches = [a_touch(number, first + number * _SECOND) for number in range(1, days + 1)]

    one_less = verdict(policy, touches[1:], a_question(), at(f"{day} 12:00"))
    full = verdict(policy, touches, a_question(), at(f"{day} 12:00"))

    assert (one_less.outcome, full.outcome) == (Outcome.OPEN, Outcome.DEFER)
    assert full.retry_at == at(f"{day[:4]}-03-01 00:00")


def test_lifetime_cap_of_a_campaign_never_opens_again() -> None:
    policy = a_policy(LifetimeCap(name="life", source="test", cap=1))
    touches = [a_touch(1, at("2025-03-01 09:00"), campaign_id=5)]

    same = verdict(policy, touches, a_question(campaign_id=5), at("2026-03-01 09:00"))
    other = verdict(policy, touches, a_question(campaign_id=6), at("2026-03-01 09:00"))

    assert (same.outcome, other.outcome) == (Outcome.WITHHOLD, Outcome.OPEN)


def test_service_touch_passes_brand_rules_and_no_platform_rule() -> None:
    now = at("2026-03-01 23:00")
    service = a_question(category=Category.SERVICE)
    touches = [a_touch(1, now - timedelta(hours=1))]
    platform = replace(a_cap(days=1), is_platform=True)

    brand_only = verdict(a_policy(a_cap(days=1), _NIGHT), touches, service, now)
    both = verdict(a_policy(platform, _NIGHT), touches, service, now)

    assert (brand_only.outcome, both.outcome) == (Outcome.OPEN, Outcome.DEFER)


def test_rule_counts_only_what_its_selector_takes() -> None:
    now = at("2026-03-01 12:00")
    chosen = Selector(
        channels=frozenset({Channel.WECOM_BROADCAST}),
        categories=frozenset({Category.MARKETING}),
        brand_id=1,
        campaign_id=5,
    )
    policy = a_policy(replace(a_cap(days=1), selector=chosen))
    others = [
        a_touch(1, now, campaign_id=5, channel=Channel.WECHAT_SERVICE),
        a_touch(2, now, campaign_id=5, category=Category.CARE),
        a_touch(3, now, campaign_id=5, brand_id=2),
        a_touch(4, now, campaign_id=6),
    ]
    question = a_question(campaign_id=5)

    assert verdict(policy, others, question, now).outcome is Outcome.OPEN
    both = verdict(policy, [*others, a_touch(5, now, campaign_id=5)], question, now)
    assert both.violations[0].touches == (5,)


def test_pending_broadcast_counts_on_every_day_it_may_land() -> None:
    handed_in = at("2026-03-01 10:00")
    pending = a_touch(1, handed_in, until=handed_in + timedelta(days=3))
    day = CalendarCap(name="day", source="test", cap=1, period=Period.DAY)
    gap = MinGap(name="gap", source="test", seconds=3600)

    by_day = verdict(a_policy(day), [pending], a_question(), at("2026-03-03 12:00"))
    by_gap = verdict(a_policy(gap), [pending], a_question(), at("2026-03-03 12:00"))

    assert by_day.retry_at == at("2026-03-05 00:00")
    assert by_gap.retry_at == at("2026-03-04 11:00")


_SERVICE = Selector(channels=frozenset({Channel.WECHAT_SERVICE}))
_GRANT = GrantRule(
    name="grant",
    source="test",
    selector=_SERVICE,
    is_platform=True,
    allowance=5,
    seconds=48 * 3600,
)


def _on_service(opened_at: datetime, allowance: int = 5, **length: int) -> Window:
    return Window(Channel.WECHAT_SERVICE, allowance, opened_at, opened_at + timedelta(**length))


def _messages(count: int, first: datetime) -> list[Recent]:
    return [
        a_touch(number, first + number * _SECOND, channel=Channel.WECHAT_SERVICE)
        for number in range(count)
    ]


def test_sixth_message_within_48_hours_is_refused_and_a_new_word_opens_five_more() -> None:
    wrote = at("2026-03-01 09:00")
    sent = _messages(5, wrote)
    now = wrote + timedelta(hours=1)
    first = a_question(channel=Channel.WECHAT_SERVICE, windows=(_on_service(wrote, hours=48),))
    again = replace(first, windows=(*first.windows, _on_service(now, hours=48)))

    fifth = verdict(a_policy(_GRANT), sent[:4], first, now)
    sixth = verdict(a_policy(_GRANT), sent, first, now)
    after = verdict(a_policy(_GRANT), sent, again, now)

    assert (fifth.outcome, sixth.outcome, after.outcome) == (
        Outcome.OPEN,
        Outcome.WITHHOLD,
        Outcome.OPEN,
    )
    assert [(v.rule, v.count, v.cap) for v in sixth.violations] == [("no_grant", 5, 5)]


def test_grant_ends_on_the_second() -> None:
    wrote = at("2026-03-01 09:00")
    question = a_question(channel=Channel.WECHAT_SERVICE, windows=(_on_service(wrote, hours=48),))

    last = verdict(a_policy(_GRANT), [], question, wrote + timedelta(hours=48) - _SECOND)
    over = verdict(a_policy(_GRANT), [], question, wrote + timedelta(hours=48))

    assert (last.outcome, over.outcome) == (Outcome.OPEN, Outcome.WITHHOLD)


def test_ask_is_withheld_when_its_grant_is_over_before_the_night_is() -> None:
    wrote = at("2026-03-01 22:30")
    question = a_question(
        channel=Channel.WECHAT_SERVICE, windows=(_on_service(wrote, 3, minutes=1),)
    )

    found = verdict(a_policy(_GRANT, _NIGHT), [], question, wrote)

    assert (found.outcome, [v.rule for v in found.violations]) == (Outcome.WITHHOLD, ["quiet"])


def test_platform_bounds_a_grant_that_claims_more() -> None:
    wrote = at("2026-03-01 09:00")
    claims = _on_service(wrote, allowance=20, days=30)
    question = a_question(channel=Channel.WECHAT_SERVICE, windows=(claims,))

    sixth = verdict(a_policy(_GRANT), _messages(5, wrote), question, wrote + timedelta(hours=1))
    late = verdict(a_policy(_GRANT), [], question, wrote + timedelta(hours=49))

    assert (sixth.outcome, late.outcome) == (Outcome.WITHHOLD, Outcome.WITHHOLD)


def test_pause_opens_exactly_at_its_end_and_a_stop_never() -> None:
    now, end = at("2026-03-01 12:00"), at("2026-04-01 12:00")
    paused = a_question(blocks=(Block("opted_out", end),))
    stopped = a_question(blocks=(Block("opted_out"),))

    assert verdict(a_policy(), [], paused, now).retry_at == end
    assert verdict(a_policy(), [], paused, end).outcome is Outcome.OPEN
    assert verdict(a_policy(), [], stopped, now).outcome is Outcome.WITHHOLD


def test_ask_is_withheld_when_its_retry_is_not_before_its_deadline() -> None:
    sent = at("2026-03-01 10:00")
    policy = a_policy(a_cap(days=1))
    opens = sent + timedelta(days=1)

    just_late = a_question(deadline_at=opens)
    just_right = a_question(deadline_at=opens + _SECOND)

    assert verdict(policy, [a_touch(1, sent)], just_late, sent).outcome is Outcome.WITHHOLD
    assert verdict(policy, [a_touch(1, sent)], just_right, sent).retry_at == opens


def test_quiet_hours_that_leave_no_minute_withhold_instead_of_searching_for_ever() -> None:
    day = QuietHours(name="day", source="test", start=time(8), end=time(22))

    found = verdict(a_policy(_NIGHT, day), [], a_question(), at("2026-03-01 12:00"))

    assert found.outcome is Outcome.WITHHOLD
