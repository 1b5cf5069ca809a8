"""Policies: what cannot be meant is refused, what is kept comes back the same."""

from dataclasses import replace
from datetime import datetime, time
from typing import Any

import pytest
from sqlmodel import Session, select

from fatigue import policies
from fatigue.rules import (
    BadRule,
    CalendarCap,
    GrantRule,
    LifetimeCap,
    MinGap,
    Period,
    Policy,
    QuietHours,
    RollingCap,
    Rule,
    Selector,
)
from store.policies import Policy as PolicyRow
from store.touches import Category, Channel

_RULES: tuple[Rule, ...] = (
    LifetimeCap(name="life", source="test", cap=2),
    CalendarCap(name="month", source="test", cap=4, period=Period.MONTH, zone="Europe/Paris"),
    RollingCap(
        name="all parts",
        source="test",
        selector=Selector(
            channels=frozenset({Channel.WECHAT_SERVICE, Channel.WECOM_BROADCAST}),
            categories=frozenset({Category.CARE}),
            brand_id=3,
            campaign_id=9,
        ),
        is_platform=True,
        cap=2,
        seconds=60,
    ),
)


def test_rules_come_back_the_same_from_plain_data() -> None:
    rules = policies.DEFAULT_RULES + _RULES

    assert policies.rules_from_json(policies.rules_to_json(rules)) == rules


@pytest.mark.parametrize("number", [0, -1, "", None, 1.5, True])
@pytest.mark.parametrize(
    "rule",
    [
        {"kind": "rolling_cap", "seconds": 60},
        {"kind": "calendar_cap", "period": "day"},
        {"kind": "lifetime_cap"},
    ],
)
def test_cap_that_cannot_be_meant_is_refused(rule: dict[str, Any], number: object) -> None:
    row = rule | {"name": "mine", "source": "test", "cap": number}

    with pytest.raises(BadRule, match="'mine' needs a whole cap of at least 1"):
        policies.rules_from_json([row])


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"kind": "min_gap", "seconds": 0}, "seconds of at least 1; it has 0"),
        ({"kind": "grant", "allowance": 5}, "needs the channels"),
        ({"kind": "quiet_hours", "start": "08:00", "end": "08:00"}, "same minute"),
        ({"kind": "quiet_hours", "start": "25:00", "end": "08:00"}, "cannot be read"),
        ({"kind": "min_gap"}, "cannot be read"),
        ({"kind": "tide"}, "needs a kind, one of"),
        ({"kind": "min_gap", "seconds": 5, "source": " "}, "needs a source"),
        ({"kind": "min_gap", "seconds": 5, "selector": {"channels": []}}, "leaves channels blank"),
        ({"kind": "min_gap", "seconds": 5, "selector": {"channels": ["fax"]}}, "cannot be read"),
        ({"kind": "min_gap", "seconds": 5, "selector": {"moon": 1}}, "selects by moon"),
        ({"kind": "calendar_cap", "cap": 1, "period": "day", "zone": "Mars/Base"}, "Mars/Base"),
    ],
)
def test_rule_that_cannot_be_meant_is_refused_with_a_sentence(
    wrong: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(BadRule, match=sentence):
        policies.rules_from_json([{"name": "mine", "source": "test"} | wrong])


def test_two_rules_of_one_name_are_refused() -> None:
    gap = MinGap(name="gap", source="test", seconds=5)

    with pytest.raises(BadRule, match="stands twice"):
        Policy(1, (gap, replace(gap, seconds=6)))


def test_rule_may_not_take_the_name_of_a_reason() -> None:
    with pytest.raises(BadRule, match="keeps for its own reasons"):
        QuietHours(name="opted_out", source="test", start=time(22), end=time(8))


def test_default_rules_hold_while_no_version_is_written(session: Session) -> None:
    assert policies.current(session) == policies.DEFAULT
    assert session.exec(select(PolicyRow)).all() == []


def test_seed_writes_the_default_rules_once(session: Session, now: datetime) -> None:
    policies.seed(session, now=now)
    policies.seed(session, now=now)

    assert session.exec(select(PolicyRow)).one().author == "zhiyin"
    assert policies.current(session) == policies.DEFAULT


def test_published_rules_are_a_new_version_in_force(session: Session, now: datetime) -> None:
    first = policies.publish(session, _RULES, author="hq", now=now)
    second = policies.publish(session, _RULES[:1], author="hq", now=now)

    assert (first.version, second.version) == (2, 3)
    assert policies.current(session) == Policy(3, _RULES[:1])


def test_default_platform_rules_say_where_they_come_from() -> None:
    platform = [rule for rule in policies.DEFAULT_RULES if rule.is_platform]

    assert [rule.source.split(",")[0] for rule in platform] == [
        "WeChat",
        "WeChat",
        "WeCom page 92135",
    ]
    grants = [rule for rule in platform if isinstance(rule, GrantRule)]
    assert [(rule.allowance, rule.seconds) for rule in grants] == [(5, 48 * 3600), (1, None)]
