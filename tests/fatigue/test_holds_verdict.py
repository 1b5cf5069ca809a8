"""Holds in the verdict, against a second opinion: two-sided, within a budget, not for ever."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import assume, given, settings
from hypothesis import strategies as some

from fatigue.bands import Band
from fatigue.case import Held, Question, Recent
from fatigue.rules import CalendarCap, MinGap, Outcome, Period, Policy, RollingCap, Rule
from fatigue.verdict import verdict
from store.touches import Category, Channel
from tests.fatigue import planned_model as model
from tests.fatigue.planned_model import Cap, Plan
from tests.times import SHANGHAI, at

_HOUR = timedelta(hours=1)
_SECOND = timedelta(seconds=1)
_ZERO = at("2026-03-02 00:00")
_START = 20 * model.DAY
_RANKS = {2: "must", 1: "high"}

rolling = some.builds(Cap, some.integers(1, 5), some.integers(1, 72))
calendar = some.builds(Cap, some.integers(1, 4), some.sampled_from([24, 168]), some.just(True))
cap_sets = some.lists(some.one_of(rolling, calendar), min_size=1, max_size=3)
histories = some.lists(some.integers(_START - 80, _START), max_size=6)
_spans = some.tuples(some.integers(_START - 60, _START + 120), some.integers(0, 30))


def plans_of(shares: tuple[int, int]) -> some.SearchStrategy[list[Plan]]:
    def plan(span: tuple[int, int], later: int, rank: int) -> Plan:
        first, length = span
        return Plan(first, first + length, first + length + later, rank, shares[rank - 1])

    return some.lists(some.builds(plan, _spans, some.integers(0, 40), some.sampled_from([1, 2])))


planned = some.tuples(some.integers(1, 100), some.integers(1, 100)).flatmap(
    lambda shares: some.tuples(some.just(shares), plans_of(shares))
)


def instant(hour: int) -> timedelta:
    return hour * _HOUR


def as_rule(number: int, cap: Cap) -> Rule:
    name = f"rule_{number}"
    if not cap.is_calendar:
        return RollingCap(name=name, source="test", cap=cap.most, seconds=cap.hours * 3600)
    period = Period.DAY if cap.hours == model.DAY else Period.WEEK
    return CalendarCap(name=name, source="test", cap=cap.most, period=period)


def as_policy(caps: list[Cap], shares: tuple[int, int] = (50, 67)) -> Policy:
    bands = (Band("must", 90, shares[1]), Band("high", 70, shares[0]), Band("low", 0))
    return Policy(1, tuple(as_rule(*numbered) for numbered in enumerate(caps)), bands)


def as_hold(policy: Policy, number: int, plan: Plan) -> Held:
    return Held(
        campaign_id=number,
        channels=frozenset({Channel.WECOM_BROADCAST, Channel.WECHAT_SERVICE}),
        category=Category.MARKETING,
        brand_id=1,
        at=_ZERO + instant(plan.first),
        until=_ZERO + instant(plan.last),
        expires_at=_ZERO + instant(plan.over),
        holder=next(band for band in policy.bands if band.name == _RANKS[plan.rank]),
    )


def as_touches(hours: list[int]) -> list[Recent]:
    return [
        Recent(
            number,
            Channel.WECOM_BROADCAST,
            Category.MARKETING,
            1,
            None,
            _ZERO + instant(hour),
            _ZERO + instant(hour),
        )
        for number, hour in enumerate(hours, start=1)
    ]


def a_question(holds: list[Held], campaign_id: int | None = None) -> Question:
    return Question(
        channel=Channel.WECOM_BROADCAST,
        category=Category.MARKETING,
        brand_id=1,
        campaign_id=campaign_id,
        zone=SHANGHAI,
        holds=tuple(holds),
    )


@settings(max_examples=60)
@given(cap_sets, histories, planned)
def test_verdict_with_holds_agrees_with_the_second_opinion(
    caps: list[Cap], history: list[int], plan: tuple[tuple[int, int], list[Plan]]
) -> None:
    shares, plans = plan
    policy = as_policy(caps, shares)
    holds = [as_hold(policy, *numbered) for numbered in enumerate(plans, start=1)]
    now = _ZERO + instant(_START)

    found = verdict(policy, as_touches(history), a_question(holds), now)

    expected = model.first_open(caps, history, plans, _START)
    if expected == _START:
        assert found.outcome is Outcome.OPEN
    else:
        assert (found.outcome, found.retry_at) == (Outcome.DEFER, _ZERO + instant(expected))


@settings(max_examples=60)
@given(cap_sets, histories, planned)
def test_ask_that_waits_for_holds_is_refused_one_second_before_its_retry_and_open_at_it(
    caps: list[Cap], history: list[int], plan: tuple[tuple[int, int], list[Plan]]
) -> None:
    shares, plans = plan
    policy = as_policy(caps, shares)
    holds = [as_hold(policy, *numbered) for numbered in enumerate(plans, start=1)]
    question, touches = a_question(holds), as_touches(history)
    found = verdict(policy, touches, question, _ZERO + instant(_START))
    assume(found.retry_at is not None)
    assert found.retry_at is not None

    before = verdict(policy, touches, question, found.retry_at - _SECOND)
    then = verdict(policy, touches, question, found.retry_at)

    assert (before.outcome, then.outcome) == (Outcome.DEFER, Outcome.OPEN)
    for violation in found.violations:
        alone = Policy(1, tuple(r for r in policy.rules if r.name == violation.rule), policy.bands)
        assert violation.retry_at is not None
        just = verdict(alone, touches, question, violation.retry_at - _SECOND)
        assert just.outcome is Outcome.DEFER
        assert verdict(alone, touches, question, violation.retry_at).outcome is Outcome.OPEN


@settings(max_examples=60)
@given(cap_sets, histories, planned, some.integers(0, 9))
def test_one_more_hold_never_turns_a_no_into_a_yes(
    caps: list[Cap], history: list[int], plan: tuple[tuple[int, int], list[Plan]], which: int
) -> None:
    shares, plans = plan
    assume(plans)
    policy = as_policy(caps, shares)
    holds = [as_hold(policy, *numbered) for numbered in enumerate(plans, start=1)]
    fewer = [hold for number, hold in enumerate(holds) if number != which % len(holds)]
    now = _ZERO + instant(_START)

    more = verdict(policy, as_touches(history), a_question(holds), now)
    less = verdict(policy, as_touches(history), a_question(fewer), now)

    assert (more.retry_at or now) >= (less.retry_at or now)


@given(
    cap_sets,
    some.lists(
        some.tuples(some.integers(0, 120), some.integers(0, 20), some.floats(0, 1)), max_size=6
    ),
    some.lists(some.integers(0, 150), max_size=25),
)
def test_what_is_let_through_never_breaks_what_is_planned(
    caps: list[Cap], wanted: list[tuple[int, int, float]], asks: list[int]
) -> None:
    """Two-sided: held touches that fit into the budget find their place, whatever came before."""
    policy = as_policy(caps, (100, 100))
    plans: list[Plan] = []
    for first, length, _ in wanted:
        plan = Plan(first, first + length, first + length + 1, 1, 100)
        if _fits(caps, [*plans, plan]):
            plans.append(plan)
    landings = {
        number: plan.first + int(where * (plan.last - plan.first))
        for number, (plan, (_, _, where)) in enumerate(zip(plans, wanted, strict=False), start=1)
    }
    holds = {number: as_hold(policy, number, plan) for number, plan in enumerate(plans, start=1)}
    sent: list[int] = []
    for hour, number in sorted([*((hour, 0) for hour in asks), *_by_hour(landings)]):
        open_holds = [] if number else list(holds.values())
        question = a_question(open_holds, campaign_id=number or None)
        found = verdict(policy, as_touches(sent), question, _ZERO + instant(hour))
        if number:
            assert found.outcome is Outcome.OPEN, (hour, sent)
            del holds[number]
        if found.outcome is Outcome.OPEN:
            sent.append(hour)


def _by_hour(landings: dict[int, int]) -> list[tuple[int, int]]:
    return [(hour, number) for number, hour in landings.items()]


def _fits(caps: list[Cap], plans: list[Plan]) -> bool:
    """Whether all plans are within what may be held, wherever they land."""
    for cap in caps:
        most = max(1, cap.most - 1)
        counter = Cap(100, cap.hours, cap.is_calendar)
        hours = {hour for plan in plans for hour in range(plan.first, plan.last + 1)}
        for hour in hours:
            starts = (
                [hour - hour % cap.hours]
                if cap.is_calendar
                else range(hour - cap.hours + 1, hour + 1)
            )
            for start in starts:
                window = range(start, start + counter.hours)
                inside = [p for p in plans if p.first < window.stop and p.last >= window.start]
                if len(inside) > most:
                    return False
    return True


@given(
    some.integers(2, 6), some.integers(1, 100), some.lists(some.integers(-100, 100), max_size=30)
)
def test_one_touch_of_every_cap_is_left_to_the_lowest_band_whatever_is_held(
    most: int, share: int, hours: list[int]
) -> None:
    policy = as_policy([Cap(most, 48)], (share, share))
    holds = [
        as_hold(policy, number, Plan(hour, hour + 20, hour + 200, 1 + number % 2, share))
        for number, hour in enumerate(hours)
    ]

    assert verdict(policy, [], a_question(holds), _ZERO).outcome is Outcome.OPEN


def test_single_slot_is_held_for_the_plan_and_free_again_when_the_hold_is_over() -> None:
    gap = MinGap(name="gap", source="test", seconds=3600)
    policy = Policy(1, (gap,), as_policy([]).bands)
    hold = as_hold(policy, 7, Plan(10, 12, 12, 2, 67))

    near = verdict(policy, [], a_question([hold]), _ZERO + instant(10))
    before = verdict(policy, [], a_question([hold]), _ZERO + instant(9))
    just_in_time = verdict(policy, [], a_question([hold]), _ZERO + instant(9) + _SECOND)

    assert before.outcome is Outcome.OPEN
    assert (just_in_time.outcome, near.outcome) == (Outcome.DEFER, Outcome.DEFER)
    assert near.retry_at == _ZERO + instant(12)
    assert [(v.rule, v.count, v.cap, v.touches, v.holds) for v in near.violations] == [
        ("gap", 1, 1, (), (7,))
    ]


def test_hold_on_another_channel_is_none_of_a_rules_business() -> None:
    gap = MinGap(name="gap", source="test", seconds=3600)
    chosen = replace(gap, selector=replace(gap.selector, channels=frozenset({Channel.SMS})))
    policy = Policy(1, (chosen,), as_policy([]).bands)
    hold = as_hold(policy, 7, Plan(10, 12, 12, 2, 67))
    by_sms = replace(a_question([hold]), channel=Channel.SMS)
    held_too = replace(by_sms, holds=(replace(hold, channels=frozenset(Channel)),))

    assert verdict(policy, [], by_sms, _ZERO + instant(10)).outcome is Outcome.OPEN
    assert verdict(policy, [], held_too, _ZERO + instant(10)).outcome is Outcome.DEFER
