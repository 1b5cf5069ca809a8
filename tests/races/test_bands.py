"""Races of bands: a touch that is to give way meets its worker at the fence; holds meet asks."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlmodel import Session, select

from fatigue import facts, gate, policies
from fatigue.rules import RollingCap
from guide_tasks import giving_way
from store.db import Database
from store.holds import Displacement
from store.touches import Category, Channel, Touch, TouchState
from tests.fatigue.people import a_campaign, a_house, a_member, an_ask
from tests.races.racing import race, waiting

pytestmark = pytest.mark.race

LOW, HIGH = 10, 70


def a_low_reservation(database: Database, now: datetime) -> tuple[int, gate.Ask]:
    """A reserved touch of a low band where one a day is allowed, and an ask of a high one."""
    cap = RollingCap(name="cap", source="test", cap=1, seconds=24 * 3600)
    with database.transaction() as session:
        policies.publish(session, [cap], author="hq", now=now)
        li = a_member(session, now=now)
        low = gate.ask(session, an_ask(session, li, priority=LOW), now=now)
        return low.id, an_ask(session, li, priority=HIGH)


def race_at_the_fence(
    database: Database, low_id: int, high: gate.Ask, now: datetime
) -> list[TouchState]:
    race(
        database,
        [
            lambda session: gate.fence(session, low_id, now=now),
            lambda session: gate.ask(session, high, now=now),
        ],
    )
    with Session(database.engine) as session:
        return list(session.exec(select(Touch.state).order_by(Touch.id)))  # type: ignore[arg-type]  # a column


@pytest.mark.parametrize("_round", range(8))
def test_either_the_fence_or_the_higher_band_wins(
    fresh_database: Database, now: datetime, _round: int
) -> None:
    states = race_at_the_fence(fresh_database, *a_low_reservation(fresh_database, now), now)

    assert states in (
        [TouchState.SENDING, TouchState.ASKED],
        [TouchState.ASKED, TouchState.RESERVED],
    )


def test_without_the_members_lock_both_win(
    fresh_database: Database, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same race with the lock taken away: each has read the member before the other wrote."""
    prepared = a_low_reservation(fresh_database, now)
    monkeypatch.setattr(facts, "locking", lambda *_: ("SELECT 1", {}))
    monkeypatch.setattr(facts, "standings", waiting(2, facts.standings))

    states = race_at_the_fence(fresh_database, *prepared, now)

    assert states == [TouchState.SENDING, TouchState.RESERVED]


def test_two_higher_asks_at_once_displace_a_touch_once(
    fresh_database: Database, now: datetime
) -> None:
    low_id, high = a_low_reservation(fresh_database, now)
    with fresh_database.transaction() as session:
        member = session.get_one(Touch, low_id).member_id
        other = gate.Ask(
            key="other",
            member_id=member,
            channels=high.channels,
            category=high.category,
            brand_id=high.brand_id,
            guide_id=high.guide_id,
            priority=HIGH,
        )

    race(
        fresh_database,
        [
            lambda session: gate.ask(session, high, now=now),
            lambda session: gate.ask(session, other, now=now),
        ],
    )

    with Session(fresh_database.engine) as session:
        states = list(session.exec(select(Touch.state)))
        assert sorted(states) == [TouchState.ASKED, TouchState.ASKED, TouchState.RESERVED]
        assert [row.touch_id for row in session.exec(select(Displacement))] == [low_id]


def test_displaced_touch_is_told_once_by_many_workers(
    fresh_database: Database, now: datetime
) -> None:
    _, high = a_low_reservation(fresh_database, now)
    with fresh_database.transaction() as session:
        gate.ask(session, high, now=now)

    told = race(fresh_database, [lambda _: giving_way.tell(fresh_database, now=now)] * 4)

    assert sum(told) == 1


def a_plan(session: Session, member_id: int, now: datetime) -> gate.Plan:
    brand, _ = a_house(session)
    return gate.Plan(
        campaign_id=a_campaign(session, now=now).id,
        member_id=member_id,
        channels=(Channel.WECOM_BROADCAST,),
        category=Category.MARKETING,
        brand_id=brand.id,
        priority=HIGH,
        planned_from=now,
        planned_until=now + timedelta(hours=1),
    )


def hold_while_asking(database: Database, now: datetime) -> tuple[Any, Any]:
    """A hold and a lower ask at once, then a look at what the next lower ask would be told."""
    cap = RollingCap(name="cap", source="test", cap=2, seconds=24 * 3600)
    with database.transaction() as session:
        policies.publish(session, [cap], author="hq", now=now)
        li = a_member(session, now=now)
        plan = a_plan(session, li.id, now)
        asks = [an_ask(session, li, priority=LOW) for _ in range(2)]
    race(
        database,
        [
            lambda session: gate.hold(session, [plan], now=now),
            lambda session: gate.ask(session, asks[0], now=now),
        ],
    )
    with database.transaction() as session:
        second = gate.ask(session, asks[1], now=now)
        own = gate.Ask(
            key="own",
            member_id=plan.member_id,
            channels=plan.channels,
            category=plan.category,
            brand_id=plan.brand_id,
            campaign_id=plan.campaign_id,
            guide_id=asks[0].guide_id,
            priority=HIGH,
        )
        return second.state, gate.ask(session, own, now=now).state


@pytest.mark.parametrize("_round", range(4))
def test_hold_planted_while_others_ask_keeps_the_last_slot(
    fresh_database: Database, now: datetime, _round: int
) -> None:
    second, own = hold_while_asking(fresh_database, now)

    assert (second, own) == (TouchState.ASKED, TouchState.RESERVED)
