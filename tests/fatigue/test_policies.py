"""Policies: what cannot be meant is refused, what is kept comes back the same."""

import runpy
from dataclasses import replace
from datetime import datetime, time
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import Session, select

from fatigue import policies
from fatigue.bands import DEFAULT_BANDS, BadBand, Band
from fatigue.default_rules import BroadcastQuota
from fatigue.rules import (
    DAYS_IN_PERIOD,
    BadRule,
    CalendarCap,
    GrantRule,
    LifetimeCap,
    MinGap,
    Never,
    Period,
    Policy,
    QuietHours,
    RollingCap,
    Rule,
    Selector,
)
from store import migrate
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
            guide_id=4,
            bands=frozenset({"high", "must"}),
        ),
        is_shadow=True,
        is_platform=True,
        cap=2,
        seconds=60,
    ),
    QuietHours(
        name="night",
        source="test",
        start=time(22),
        end=time(8),
        holiday_start=time(8),
        holiday_end=time(10),
        spread_minutes=20,
    ),
    Never(name="no fax", source="test", selector=Selector(channels=frozenset({Channel.SMS}))),
)

_NIGHT = {"start": "22:00", "end": "08:00"}


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
        ({"kind": "quiet_hours", **_NIGHT, "holiday_start": "08:00"}, "both ends"),
        ({"kind": "quiet_hours", **_NIGHT, "spread_minutes": 0}, "spread_minutes of at least 1"),
        ({"kind": "quiet_hours", **_NIGHT, "spread_minutes": ""}, "spread_minutes of at least 1"),
        ({"kind": "min_gap", "seconds": -5}, "remove it; to stop all"),
        ({"kind": "never"}, "would stop every touch"),
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


def test_every_default_rule_says_where_it_comes_from() -> None:
    sources = {rule.name: rule.source for rule in policies.DEFAULT_RULES if rule.is_platform}

    assert {name for name, source in sources.items() if source.startswith("WeChat,")} == {
        "wechat_service_grant",
        "wechat_notice_grant",
        "wechat_template_service_only",
    }
    assert {name for name, source in sources.items() if source.startswith("WeCom page ")} == {
        "wecom_broadcast_monthly",
        "wecom_welcome_once",
    }
    assert {name for name, source in sources.items() if "sms_rules.json" in source} == {
        "sms_hours",
        "sms_marketing_hourly",
        "sms_per_minute",
        "sms_daily",
    }


def test_default_grants_give_what_the_platform_gives() -> None:
    grants = [rule for rule in policies.DEFAULT_RULES if isinstance(rule, GrantRule)]

    assert [(rule.allowance, rule.seconds) for rule in grants] == [(5, 48 * 3600), (1, None)]


@pytest.mark.parametrize(
    ("quota", "cap", "period"),
    [
        (BroadcastQuota.DAYS_OF_MONTH, DAYS_IN_PERIOD, Period.MONTH),
        (BroadcastQuota.SEVEN_A_WEEK, 7, Period.WEEK),
        (BroadcastQuota.ONE_A_DAY, 1, Period.DAY),
    ],
)
def test_broadcasts_follow_what_the_corps_administrator_has_set(
    session: Session, now: datetime, quota: BroadcastQuota, cap: object, period: Period
) -> None:
    policies.switch_broadcasts(session, BroadcastQuota.ONE_A_DAY, author="it", now=now)
    policy = policies.switch_broadcasts(session, quota, author="it", now=now)

    rules = [rule for rule in policy.rules if rule.name.startswith("wecom_broadcast")]
    assert [(rule.cap, rule.period) for rule in rules if isinstance(rule, CalendarCap)] == [
        (cap, period)
    ]
    assert len(policy.rules) == len(policies.DEFAULT_RULES)


def test_published_bands_stay_until_others_are_published(session: Session, now: datetime) -> None:
    bands = (Band("must", 80, 100), Band("high", 20), Band("some day", 0))
    first = policies.publish(session, _RULES, bands=bands, author="hq", now=now)
    second = policies.publish(session, _RULES[:1], author="hq", now=now)

    assert (first.bands, second.bands) == (bands, bands)
    assert policies.current(session).bands == bands


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([], "must begin at 0"),
        ([{"name": "high", "floor": 70}], "must begin at 0"),
        ([{"name": "a", "floor": 0}, {"name": "b", "floor": 0}], "must begin below 'a'"),
        ([{"name": "a", "floor": 5}, {"name": "a", "floor": 0}], "stands twice"),
        ([{"name": " ", "floor": 0}], "needs a name"),
        ([{"name": "a", "floor": -1}], "whole number from 0 to 100"),
        ([{"name": "a", "floor": 101}], "whole number from 0 to 100"),
        ([{"name": "a", "floor": None}], "whole number from 0 to 100"),
        ([{"name": "a", "floor": 0, "share_percent": 0}], "1 to 100"),
        ([{"name": "a", "floor": 0, "share_percent": 101}], "1 to 100"),
        ([{"name": "a", "floor": 0, "share_percent": ""}], "1 to 100"),
        ([{"name": "a", "floor": 0, "share": 5}], "cannot be read"),
    ],
)
def test_band_that_cannot_be_meant_is_refused_with_a_sentence(
    rows: list[dict[str, Any]], sentence: str
) -> None:
    with pytest.raises(BadBand, match=sentence):
        Policy(1, (), policies.bands_from_json(rows))


def test_rule_may_select_only_bands_that_are_there() -> None:
    gap = MinGap(name="gap", source="test", seconds=5, selector=Selector(bands=frozenset({"top"})))

    with pytest.raises(BadRule, match="'gap' selects the band 'top'; there are high, low"):
        Policy(1, (gap,))


def test_default_bands_are_those_that_older_policies_were_given() -> None:
    path = Path(migrate.__file__).parent / "migrations/versions/0009_holds.py"
    given = runpy.run_path(str(path))["_BANDS"]

    assert policies.bands_from_json(given) == DEFAULT_BANDS


def test_policy_in_the_record_that_cannot_be_meant_is_refused_when_it_is_read(
    session: Session, now: datetime
) -> None:
    policies.seed(session, now=now)
    row = session.exec(select(PolicyRow)).one()
    row.rules = [{"kind": "rolling_cap", "name": "mine", "source": "test", "cap": 0, "seconds": 5}]
    session.flush()

    with pytest.raises(BadRule, match="it has 0"):
        policies.current(session)
