"""The screen lets nobody pass whom the verdict would not, and the plain ones it does."""

from datetime import datetime, time, timedelta
from itertools import count
from typing import Any

import hypothesis.strategies as some
import pytest
from hypothesis import given, settings
from sqlmodel import Session

from fatigue import facts, screening
from fatigue.case import Verdict
from fatigue.gate import Ask
from fatigue.holding import Plan, hold
from fatigue.judging import judge
from fatigue.rules import (
    CalendarCap,
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
from fatigue.screening import sift
from store import trips
from store.consents import Suppression
from store.touches import Category, Channel, Touch, TouchState
from tests.fatigue.people import a_campaign, a_house, a_member, an_ask
from tests.times import at

DAY = 86_400
SOURCE = "a test"
RULES: tuple[Rule, ...] = (
    CalendarCap(name="day", source=SOURCE, cap=2, period=Period.DAY),
    CalendarCap(name="month", source=SOURCE, cap="days_in_period", period=Period.MONTH),
    RollingCap(name="week", source=SOURCE, cap=3, seconds=7 * DAY),
    RollingCap(
        name="marketing",
        source=SOURCE,
        selector=Selector(categories=frozenset({Category.MARKETING})),
        cap=2,
        seconds=3 * DAY,
    ),
    RollingCap(
        name="broadcasts",
        source=SOURCE,
        selector=Selector(channels=frozenset({Channel.WECOM_BROADCAST})),
        cap=1,
        seconds=2 * DAY,
    ),
    MinGap(name="gap", source=SOURCE, seconds=6 * 3600),
    LifetimeCap(name="life", source=SOURCE, cap=1),
    QuietHours(name="night", source=SOURCE, start=time(22), end=time(8)),
)

pasts = some.lists(
    some.tuples(
        some.integers(0, 9 * 24),
        some.sampled_from([Channel.WECOM_BROADCAST, Channel.WECHAT_SERVICE]),
        some.sampled_from(list(Category)),
        some.sampled_from([TouchState.SENT, TouchState.SENDING, TouchState.FAILED]),
    ),
    max_size=4,
)
members = some.fixed_dictionaries(
    {
        "past": pasts,
        "friend": some.booleans(),
        "consents": some.booleans(),
        "stopped": some.sampled_from([False, False, True]),
        "timezone": some.sampled_from([None, None, "America/New_York"]),
    }
)
_number = count(1)


@pytest.fixture(autouse=True)
def _few_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screening, "FEWEST", 1)


@settings(max_examples=60)
@given(some.lists(members, min_size=1, max_size=4), some.booleans(), some.integers(0, 23))
def test_whoever_passes_is_open_at_once(
    session: Session, people: list[dict[str, Any]], has_campaign: bool, hour: int
) -> None:
    now = at(f"2026-03-02 {hour:02}:30")
    undo = session.begin_nested()
    campaign_id = a_campaign(session, now=now).id if has_campaign else None
    asks = [_asked(session, facts, campaign_id, now) for facts in people]
    policy = Policy(1, RULES)

    plain, rest = sift(session, policy, asks, now=now)

    assert {*map(id, plain), *map(id, rest)} == set(map(id, asks))
    for wish in plain:
        assert _alone(session, policy, wish, now) == Verdict(Outcome.OPEN, wish.channels[0])
    undo.rollback()


def test_plain_members_pass_and_the_others_do_not(session: Session, now: datetime) -> None:
    plain, told, stranger = (a_member(session, now=now, friend=n < 2) for n in range(3))
    _tell(session, told.id, None, now - timedelta(hours=1))
    asks = [an_ask(session, member) for member in (plain, told, stranger)]

    assert _plain(session, asks, now) == asks[:1]


def test_many_are_looked_at_in_parts(
    session: Session, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(screening, "_MOST", 2)
    members = [a_member(session, now=now, friend=n != 2) for n in range(5)]
    asks = [an_ask(session, member) for member in members]

    assert _plain(session, asks, now) == [*asks[:2], *asks[3:]]


def test_whoever_something_is_held_for_does_not_pass(session: Session, now: datetime) -> None:
    asks = [an_ask(session, a_member(session, now=now))]
    plan = Plan(
        campaign_id=a_campaign(session, now=now).id,
        member_id=asks[0].member_id,
        channels=asks[0].channels,
        category=Category.MARKETING,
        brand_id=asks[0].brand_id,
        priority=99,
        planned_from=now + timedelta(hours=1),
        planned_until=now + timedelta(hours=2),
    )
    hold(session, [plan], now=now)

    assert _plain(session, asks, now) == []


def test_whoever_is_asked_about_twice_does_not_pass(session: Session, now: datetime) -> None:
    li = a_member(session, now=now)
    asks = [an_ask(session, li), an_ask(session, li)]

    assert _plain(session, asks, now) == []


def test_key_that_stands_for_a_touch_does_not_pass(session: Session, now: datetime) -> None:
    asks = [an_ask(session, a_member(session, now=now))]
    _tell(session, asks[0].member_id, None, now - timedelta(days=90), key=asks[0].key)

    assert _plain(session, asks, now) == []


def _plain(session: Session, asks: list[Ask], now: datetime) -> list[Ask]:
    return sift(session, Policy(1, RULES), asks, now=now)[0]


def _asked(session: Session, facts: dict[str, Any], campaign_id: int | None, now: datetime) -> Ask:
    """A member with this past, and a wish to tell them more."""
    known = {name: facts[name] for name in ("friend", "consents", "timezone")}
    member = a_member(session, now=now, **known)
    if facts["stopped"]:
        session.add(Suppression(member_id=member.id, reason="test", stated_at=now))
    for hours, channel, category, state in facts["past"]:
        said = {"channel": channel, "category": category, "state": state}
        _tell(session, member.id, campaign_id, now - timedelta(hours=hours), **said)
    return an_ask(session, member, campaign_id=campaign_id)


def _tell(
    session: Session,
    member_id: int,
    campaign_id: int | None,
    then: datetime,
    **facts: Any,
) -> None:
    brand, guide = a_house(session)
    usual: dict[str, Any] = {
        "key": f"told-{next(_number)}",
        "member_id": member_id,
        "channel": Channel.WECOM_BROADCAST,
        "category": Category.MARKETING,
        "brand_id": brand.id,
        "campaign_id": campaign_id,
        "guide_id": guide.id,
        "state": TouchState.SENT,
        "asked_at": then,
        "counted_at": then,
    }
    session.add(Touch(**(usual | facts)))
    session.flush()


def _alone(session: Session, policy: Policy, wish: Ask, now: datetime) -> Verdict:
    campaigns = [] if wish.campaign_id is None else [wish.campaign_id]
    since = facts.horizon(policy, now)
    rows = trips.fetch(session, *facts.reading([wish.member_id], since, now))
    standings = facts.standings(rows, [wish.member_id], policy)
    facts.add_older(session, standings, policy, campaigns, (since, now))
    return judge(policy, standings[wish.member_id], wish, now)
