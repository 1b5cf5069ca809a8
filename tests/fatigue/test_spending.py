"""Who used up the budget: every cut adds up to all touches, and the first reason counts."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as some
from sqlmodel import Session

from fatigue import spending
from fatigue.spending import Loss, Spent
from store.touches import COUNTED, Category, Channel, TouchState
from tests.builders import a_campaign, a_member, a_touch
from tests.times import at

_NOW = at("2026-03-20 12:00")
_SINCE = _NOW - timedelta(days=30)
_ZONE = "Asia/Shanghai"


def _verdict(rule: str, *touches: int) -> dict[str, Any]:
    violation = {"rule": rule, "channel": "wechat_service", "touches": list(touches)}
    return {"violations": [violation, {**violation, "rule": "another"}]}


@settings(max_examples=30)
@given(
    rows=some.lists(
        some.tuples(
            some.sampled_from(TouchState),
            some.sampled_from([Channel.WECHAT_SERVICE, Channel.SMS]),
            some.sampled_from(Category),
            some.integers(0, 2),
            some.integers(-3, 29),
            some.sampled_from(["weekly_cap", "opted_out"]),
        ),
        max_size=15,
    )
)
def test_every_cut_adds_up(
    session: Session, rows: list[tuple[TouchState, Channel, Category, int, int, str]]
) -> None:
    nested = session.begin_nested()
    li = a_member(session)
    campaigns = [None, *(a_campaign(session).id for _ in range(2))]
    for state, channel, category, campaign, days, rule in rows:
        facts: dict[str, Any] = {"channel": channel, "category": category}
        facts["campaign_id"] = campaigns[campaign]
        then = _SINCE + timedelta(days=days)
        a_touch(session, li, state=state, asked_at=then, verdict=_verdict(rule), **facts)

    found = spending.spending(session, since=_SINCE, until=_NOW, zone=_ZONE)
    nested.rollback()

    inside = [row for row in rows if row[4] >= 0]
    assert found.all.asked == len(inside)
    assert found.all.went == sum(row[0] in COUNTED for row in inside)
    assert found.all.withheld == sum(row[0] is TouchState.WITHHELD for row in inside)
    for part in (found.weeks, found.brands, found.campaigns, found.channels):
        assert _sum(part) == found.all
    assert sum(spent.withheld + spent.waits for spent in found.rules.values()) == (
        found.all.withheld + found.all.waits
    )
    assert found.all.service == sum(
        row[0] in COUNTED and row[2] is Category.SERVICE for row in inside
    )


def _sum(parts: Mapping[Any, Spent]) -> Spent:
    fields = ("went", "waits", "withheld", "failed", "service")
    return Spent(*(sum(getattr(spent, name) for spent in parts.values()) for name in fields))


def test_weeks_begin_on_monday_in_the_zone(session: Session) -> None:
    li = a_member(session)
    for moment in ("2026-03-15 23:59", "2026-03-16 00:00"):
        a_touch(session, li, asked_at=at(moment))

    found = spending.spending(session, since=_SINCE, until=_NOW, zone=_ZONE)

    assert list(found.weeks) == [date(2026, 3, 9), date(2026, 3, 16)]


def test_campaign_in_the_way_of_another_is_counted(session: Session) -> None:
    li = a_member(session)
    spring, summer = a_campaign(session), a_campaign(session)
    sent = a_touch(session, li, campaign_id=spring.id, asked_at=_SINCE)
    for state in (TouchState.WITHHELD, TouchState.ASKED):
        verdict = _verdict("weekly_cap", sent.id)
        a_touch(session, li, campaign_id=summer.id, state=state, asked_at=_SINCE, verdict=verdict)

    found = spending.spending(session, since=_SINCE, until=_NOW, zone=_ZONE)

    assert found.in_the_way == {spring.id: 2}


def test_losses_count_each_member_once_and_leave_out_who_was_reached(session: Session) -> None:
    spring, summer = a_campaign(session), a_campaign(session)
    li, wang, zhao, qian = (a_member(session) for _ in range(4))
    used = {one.id: a_touch(session, one, campaign_id=spring.id).id for one in (li, wang)}
    for one in (li, wang):
        verdict = _verdict("weekly_cap", used[one.id])
        for _ in range(2):
            a_touch(
                session,
                one,
                campaign_id=summer.id,
                state=TouchState.WITHHELD,
                verdict=verdict,
            )
    waits = _verdict("quiet_hours")
    a_touch(session, zhao, campaign_id=summer.id, state=TouchState.ASKED, verdict=waits)
    a_touch(session, qian, campaign_id=summer.id, state=TouchState.SENT)
    a_touch(session, qian, campaign_id=summer.id, state=TouchState.WITHHELD, verdict=waits)

    found = spending.losses(session, summer.id)

    assert found == [
        Loss("weekly_cap", 2, 0, [(spring.id, 2)]),
        Loss("quiet_hours", 0, 1, ()),
    ]
