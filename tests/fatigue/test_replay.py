"""A replay says what the real gate would have said: asked, fenced and settled one by one."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from heapq import heapify, heappop, heappush
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from sqlmodel import Session, select

from fatigue import gate, policies, policy_drafts, preferences, replaying
from fatigue.policy_drafts import (
    DraftOutdated,
    NameTaken,
    NotReplayed,
    PlatformRuleFixed,
)
from fatigue.replay import Fate, Judged
from fatigue.rules import (
    BadRule,
    CalendarCap,
    LifetimeCap,
    MinGap,
    Period,
    Policy,
    QuietHours,
    RollingCap,
    Rule,
    Selector,
)
from store.audit import AuditEntry
from store.db import Database
from store.errors import NotFound
from store.members import Member
from store.policies import PolicyReplay, ReplayState
from store.touches import Category, Channel, Evidence, Touch, TouchState
from tests.fatigue.people import a_campaign, a_grant, a_member, an_ask
from tests.times import at

_START = at("2026-02-01 00:00")
_SPAN = timedelta(days=30)
_END = _START + _SPAN
_HOUR, _DAY = 3600, 86_400
_WHY = "test"
_CHANNELS = (Channel.WECOM_BROADCAST, Channel.WECHAT_SERVICE)
_PLATFORM = tuple(rule for rule in policies.DEFAULT_RULES if rule.is_platform)


@dataclass(frozen=True)
class _Said:
    """Something that happens at a minute of the month: an ask, or an act of the member."""

    minute: int
    act: str
    channels: tuple[Channel, ...] = _CHANNELS
    category: Category = Category.CARE
    in_campaign: bool = False
    days: int | None = None


_SELECTORS = some.builds(
    Selector,
    channels=some.frozensets(some.sampled_from(_CHANNELS), max_size=1),
    categories=some.frozensets(some.sampled_from([Category.CARE, Category.MARKETING]), max_size=1),
)


def _named(name: str, kind: type[Rule], **facts: Any) -> some.SearchStrategy[Rule]:
    return some.builds(kind, name=some.just(name), source=some.just(_WHY), **facts)


_CAPS = some.integers(1, 3)
_SHADOW = some.sampled_from([False, False, True])
_RULES = some.tuples(
    _named(
        "rolling",
        RollingCap,
        cap=_CAPS,
        seconds=some.sampled_from([_DAY, 3 * _DAY, 7 * _DAY]),
        selector=_SELECTORS,
        is_shadow=_SHADOW,
    ),
    _named(
        "calendar",
        CalendarCap,
        cap=_CAPS,
        period=some.sampled_from(Period),
        selector=_SELECTORS,
    ),
    _named("gap", MinGap, seconds=some.integers(1, 48).map(lambda hours: hours * _HOUR)),
    _named("lifetime", LifetimeCap, cap=some.integers(1, 2)),
    _named(
        "night",
        QuietHours,
        start=some.sampled_from([time(20), time(22)]),
        end=some.sampled_from([time(8), time(10)]),
        spread_minutes=some.sampled_from([None, 30]),
    ),
)
_SETS = _RULES.flatmap(lambda rules: some.lists(some.sampled_from(rules), unique=True, max_size=4))
_EVENTS = some.lists(
    some.builds(
        _Said,
        minute=some.integers(0, 30 * 24 * 60 - 1),
        act=some.sampled_from(["ask"] * 6 + ["grant", "stop", "resume", "less"]),
        channels=some.permutations(_CHANNELS).flatmap(
            lambda order: some.integers(1, 2).map(lambda n: tuple(order[:n]))
        ),
        category=some.sampled_from(Category),
        in_campaign=some.booleans(),
        days=some.sampled_from([None, 1, 5]),
    ),
    min_size=1,
    max_size=25,
    unique_by=lambda said: said.minute,
)


def _publish(session: Session, rules: Sequence[Rule], now: datetime = _START) -> Policy:
    return policies.publish(session, (*rules, *_PLATFORM), author="test", now=now)


def _live(
    session: Session, li: Member, said: Sequence[_Said], campaign_id: int
) -> list[tuple[Fate, Channel, str]]:
    """Let a month happen through the real gate; the fate of every ask, in the order of time."""
    ordered = sorted(said, key=lambda one: one.minute)
    queue = [(_START + timedelta(minutes=one.minute), n, one) for n, one in enumerate(ordered)]
    heapify(queue)
    touches: dict[int, Touch] = {}
    first: dict[int, str] = {}
    fates: dict[int, tuple[Fate, Channel, str]] = {}
    while queue:
        now, n, one = heappop(queue)
        if one.act != "ask":
            _act(session, li, one, now)
            continue
        if n in touches:
            touch = gate.ask_again(session, [touches[n].id], now=now)[0]
        else:
            touch = gate.ask(session, _wish(session, li, one, n, now, campaign_id), now=now)
        touches[n] = touch
        rule = next((found["rule"] for found in touch.verdict["violations"]), "")
        if touch.state is TouchState.ASKED:
            assert touch.retry_at is not None
            first.setdefault(n, rule)
            if touch.retry_at < _END:
                heappush(queue, (touch.retry_at, n, one))
        fates[n] = (_fate(session, touch, now, is_late=n in first), touch.channel, rule)
        if fates[n][0] is Fate.LATER:
            fates[n] = (Fate.LATER, touch.channel, first[n])
    return [fates[n] for n in sorted(fates)]


def _fate(session: Session, touch: Touch, now: datetime, *, is_late: bool) -> Fate:
    """What the gate just decided; what it lets go is sent at once."""
    if touch.state is TouchState.ASKED:
        return Fate.WAITS
    if touch.state is TouchState.WITHHELD:
        return Fate.WITHHELD
    gate.fence(session, touch.id, now=now)
    gate.settle(session, touch.id, TouchState.SENT, now=now)
    return Fate.LATER if is_late else Fate.WENT


def _wish(
    session: Session, li: Member, one: _Said, n: int, now: datetime, campaign_id: int
) -> gate.Ask:
    return an_ask(
        session,
        li,
        key=f"{n}-of-{li.id}",
        channels=one.channels,
        category=one.category,
        campaign_id=campaign_id if one.in_campaign else None,
        deadline_at=now + timedelta(days=one.days) if one.days else None,
    )


def _act(session: Session, li: Member, one: _Said, now: datetime) -> None:
    match one.act:
        case "grant":
            a_grant(session, li.id, now=now)
        case "stop":
            preferences.stop(session, li.id, reason="page", channel=one.channels[0], now=now)
        case "resume":
            preferences.resume(session, li.id, source="page", now=now)
        case "less":
            preferences.less(session, li.id, channel=one.channels[0], now=now)
        case other:
            raise AssertionError(other)


def _replayed(session: Session, li: Member, policy: Policy) -> list[Judged]:
    session.flush()
    found = replaying.judge_members(session, policy, [li.id], since=_START, until=_END)
    return sorted(found, key=lambda one: one.touch_id)


@settings(max_examples=40)
@given(said=_EVENTS, before=_SETS, draft=_SETS)
def test_replay_equals_the_month_lived_under_the_draft(
    session: Session, said: list[_Said], before: list[Rule], draft: list[Rule]
) -> None:
    without_spread = [_plain(rule) for rule in draft]
    campaign = a_campaign(session, now=_START - timedelta(days=1))
    li, gu = (a_member(session, now=_START - timedelta(days=1)) for _ in range(2))
    _publish(session, before)
    _live(session, li, said, campaign.id)
    policy = _publish(session, without_spread)
    lived = _live(session, gu, said, campaign.id)

    judged = _replayed(session, li, policy)

    assert [(one.cell.would, one.cell.channel, one.cell.rule) for one in judged] == lived


def _plain(rule: Rule) -> Rule:
    """Twins have other keys, so other moments of a spread."""
    if isinstance(rule, QuietHours):
        return QuietHours(name=rule.name, source=_WHY, start=rule.start, end=rule.end)
    return rule


@settings(max_examples=40)
@given(said=_EVENTS, rules=_SETS)
def test_replay_under_the_same_rules_changes_nothing(
    session: Session, said: list[_Said], rules: list[Rule]
) -> None:
    campaign = a_campaign(session, now=_START - timedelta(days=1))
    li = a_member(session, now=_START - timedelta(days=1))
    policy = _publish(session, rules)
    lived = _live(session, li, said, campaign.id)

    judged = _replayed(session, li, policy)

    assert [(one.cell.would, one.cell.channel, one.cell.rule) for one in judged] == lived
    assert all(
        one.cell.was is (Fate.WENT if one.cell.would is Fate.LATER else one.cell.would)
        for one in judged
    )


def test_broadcast_that_waits_for_its_guide_counts_all_the_while(session: Session) -> None:
    li = a_member(session, now=_START)
    _publish(session, [])
    first = gate.ask(session, an_ask(session, li), now=_START)
    gate.fence(session, first.id, now=_START)
    second = gate.ask(session, an_ask(session, li), now=_START + timedelta(days=1))
    confirmed_at = _START + timedelta(days=2)
    gate.settle(session, first.id, TouchState.SENT, evidence=Evidence.PLATFORM, now=confirmed_at)
    cap = CalendarCap(name="daily", source=_WHY, cap=1, period=Period.DAY)
    policy = _publish(session, [cap])

    judged = {one.touch_id: one.cell for one in _replayed(session, li, policy)}

    assert (judged[first.id].would, judged[second.id].would) == (Fate.WENT, Fate.LATER)
    assert judged[second.id].rule == "daily"


def test_touch_that_a_draft_lets_go_earlier_lands_earlier_too(session: Session) -> None:
    li = a_member(session, now=_START)
    _publish(session, [_gap(48)])
    gate.fence(session, gate.ask(session, an_ask(session, li), now=_START).id, now=_START)
    late = gate.ask(session, an_ask(session, li), now=_START + timedelta(hours=3))
    went_at = _START + timedelta(days=9)
    assert late.state is TouchState.ASKED
    gate.fence(session, gate.ask_again(session, [late.id], now=went_at)[0].id, now=went_at)
    gate.settle(session, late.id, TouchState.SENT, evidence=Evidence.PLATFORM, now=went_at)
    after = gate.ask(session, an_ask(session, li), now=_START + timedelta(days=1))
    policy = _publish(session, [_gap(2)])

    judged = {one.touch_id: one.cell.would for one in _replayed(session, li, policy)}

    assert (judged[late.id], judged[after.id]) == (Fate.WENT, Fate.WENT)


def test_what_a_human_sent_by_hand_counts_but_is_not_judged(session: Session) -> None:
    li = a_member(session, now=_START)
    _publish(session, [])
    by_hand = gate.record(
        session, an_ask(session, li), channel=Channel.WECOM_BROADCAST, sent_at=_START, now=_START
    )
    asked = gate.ask(session, an_ask(session, li), now=_START + timedelta(hours=1))
    policy = _publish(session, [LifetimeCap(name="once", source=_WHY, cap=1), _gap(2)])

    judged = {one.touch_id: one.cell for one in _replayed(session, li, policy)}

    assert judged[by_hand.id].would is Fate.BY_HAND
    assert (judged[asked.id].would, judged[asked.id].rule) == (Fate.LATER, "gap")


def test_touch_from_before_the_span_still_counts(session: Session) -> None:
    li = a_member(session, now=_START - timedelta(days=9))
    _publish(session, [])
    earlier = gate.ask(session, an_ask(session, li), now=_START - timedelta(hours=1))
    asked = gate.ask(session, an_ask(session, li), now=_START)
    policy = _publish(session, [_gap(2)])

    judged = _replayed(session, li, policy)

    assert earlier.state is TouchState.RESERVED
    assert [(one.touch_id, one.cell.would) for one in judged] == [(asked.id, Fate.LATER)]


def test_shadow_rule_is_counted_and_holds_nothing_back(session: Session) -> None:
    li = a_member(session, now=_START)
    _publish(session, [])
    for hours in (0, 1):
        gate.ask(session, an_ask(session, li), now=_START + timedelta(hours=hours))
    shadow = MinGap(name="gap", source=_WHY, seconds=2 * _HOUR, is_shadow=True)
    policy = _publish(session, [shadow])

    judged = _replayed(session, li, policy)

    assert [one.cell.would for one in judged] == [Fate.WENT, Fate.WENT]
    assert [one.shadows for one in judged] == [(), ("gap",)]


def test_failed_touch_fails_again_and_counts_for_nothing(session: Session) -> None:
    li = a_member(session, now=_START)
    _publish(session, [])
    failed = gate.ask(session, an_ask(session, li), now=_START)
    gate.fence(session, failed.id, now=_START)
    gate.settle(session, failed.id, TouchState.FAILED, failure="blocked", now=_START)
    gate.ask(session, an_ask(session, li), now=_START + timedelta(hours=1))
    policy = _publish(session, [_gap(2)])

    judged = _replayed(session, li, policy)

    assert [one.cell.would for one in judged] == [Fate.FAILED, Fate.WENT]


def _gap(hours: int) -> MinGap:
    return MinGap(name="gap", source=_WHY, seconds=hours * _HOUR)


def _town(database: Database, now: datetime) -> None:
    """Five members with two touches each, an hour apart."""
    with database.transaction() as session:
        _publish(session, [], now)
        for _ in range(5):
            li = a_member(session, now=now - timedelta(days=9))
            for hours in (5, 4):
                gate.ask(session, an_ask(session, li), now=now - timedelta(hours=hours))


def _begun(database: Database, now: datetime) -> tuple[int, str]:
    """A draft that would keep two hours between touches, with its replay started."""
    with database.transaction() as session:
        draft = policy_drafts.begin(session, author="operator:song", now=now)
        (rule,) = policies.rules_to_json([_gap(2)])
        policy_drafts.put_rule(session, draft, rule, now=now)
        return replaying.start(session, draft, now=now).id, draft.token


def _row(database: Database, replay_id: int) -> PolicyReplay:
    with database.transaction() as session:
        return session.get_one(PolicyReplay, replay_id)


def test_replay_goes_on_where_a_dead_worker_stopped(
    database: Database, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replaying, "CHUNK", 2)
    _town(database, now)
    replay_id, _ = _begun(database, now)
    replaying._next_chunk(database, replay_id, now)
    half = _row(database, replay_id)

    replaying.run(database, replay_id, now=now)
    replaying.run(database, replay_id, now=now)

    whole = _row(database, replay_id)
    assert (half.members_done, half.members_total, half.state) == (2, 5, ReplayState.RUNNING)
    assert (whole.members_done, whole.state) == (5, ReplayState.DONE)
    would = Counter[Fate]()
    for cell, touches in replaying.found_by(whole).cells.items():
        would[cell.would] += touches
    assert would == {Fate.WENT: 5, Fate.LATER: 5}


def test_replay_in_chunks_equals_all_members_at_once(
    database: Database, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replaying, "CHUNK", 2)
    _town(database, now)
    replay_id, token = _begun(database, now)
    replaying.run(database, replay_id, now=now)

    replay = _row(database, replay_id)
    with database.transaction() as session:
        policy = policy_drafts.policy_of(session, policy_drafts.by_token(session, token))
        ids = session.exec(select(Member.id)).all()
        span = {"since": replay.since, "until": replay.until}
        at_once = Counter(one.cell for one in replaying.judge_members(session, policy, ids, **span))

    assert replaying.found_by(replay).cells == at_once


def test_change_of_a_draft_ends_its_replay(database: Database, now: datetime) -> None:
    _town(database, now)
    replay_id, token = _begun(database, now)
    with database.transaction() as session:
        draft = policy_drafts.by_token(session, token)
        policy_drafts.drop_rule(session, draft, "gap", now=now)

    replaying.run(database, replay_id, now=now)

    with database.transaction() as session:
        assert session.get(PolicyReplay, replay_id) is None


def test_draft_counts_once_it_is_published_and_the_log_says_what_changed(
    database: Database, now: datetime
) -> None:
    _town(database, now)
    replay_id, token = _begun(database, now)
    replaying.run(database, replay_id, now=now)

    with database.transaction() as session:
        draft = policy_drafts.by_token(session, token)
        policy = policy_drafts.publish(session, draft, author="operator:song", now=now)

    with database.transaction() as session:
        assert policies.current(session) == policy
        assert "gap" in [rule.name for rule in policy.rules]
        entry = session.exec(select(AuditEntry).where(AuditEntry.act == "policy.publish")).one()
        assert entry.facts == {"changes": ["gap"]}
        with pytest.raises(NotFound):
            policy_drafts.by_token(session, token)


def test_draft_that_nobody_tried_is_not_published(session: Session, now: datetime) -> None:
    draft = policy_drafts.begin(session, author="operator:song", now=now)

    with pytest.raises(NotReplayed):
        policy_drafts.publish(session, draft, author="operator:song", now=now)


def test_outdated_draft_is_not_published_and_can_be_renewed(
    session: Session, now: datetime
) -> None:
    _publish(session, [_gap(1)])
    draft = policy_drafts.begin(session, author="operator:song", now=now)
    (night,) = policies.rules_to_json(
        [QuietHours(name="night", source=_WHY, start=time(20), end=time(9))]
    )
    policy_drafts.put_rule(session, draft, night, now=now)
    _publish(session, [_gap(3)])
    replaying.start(session, draft, now=now).state = ReplayState.DONE
    session.flush()

    with pytest.raises(DraftOutdated), session.begin_nested():
        policy_drafts.publish(session, draft, author="operator:song", now=now)
    policy_drafts.renew(session, draft, now=now)

    rules = {rule["name"]: rule for rule in draft.rules}
    assert rules["gap"]["seconds"] == 3 * _HOUR
    assert "night" in rules
    assert policy_drafts.replay_of(session, draft) is None


def test_rule_of_a_platform_cannot_be_changed_removed_or_made(
    session: Session, now: datetime
) -> None:
    draft = policy_drafts.begin(session, author="operator:song", now=now)
    (gap,) = policies.rules_to_json([_gap(1)])

    with pytest.raises(PlatformRuleFixed):
        policy_drafts.drop_rule(session, draft, "wechat_service_grant", now=now)
    with pytest.raises(PlatformRuleFixed):
        policy_drafts.put_rule(session, draft, gap, instead_of="wechat_service_grant", now=now)
    with pytest.raises(PlatformRuleFixed):
        policy_drafts.put_rule(session, draft, {**gap, "is_platform": True}, now=now)


def test_rule_keeps_its_place_and_names_stay_unique(session: Session, now: datetime) -> None:
    draft = policy_drafts.begin(session, author="operator:song", now=now)
    (gap,) = policies.rules_to_json([_gap(1)])
    before = [rule["name"] for rule in draft.rules]

    policy_drafts.put_rule(session, draft, gap, instead_of="min_gap", now=now)

    after = [rule["name"] for rule in draft.rules]
    assert after == ["gap" if name == "min_gap" else name for name in before]
    with pytest.raises(NameTaken):
        policy_drafts.put_rule(session, draft, {**gap, "name": "daily_cap"}, now=now)
    with pytest.raises(BadRule):
        policy_drafts.put_rule(session, draft, {**gap, "seconds": 0}, now=now)


def test_diff_names_what_is_new_changed_and_gone() -> None:
    before = policies.rules_to_json([_gap(1), LifetimeCap(name="once", source=_WHY, cap=1)])
    night = QuietHours(name="night", source=_WHY, start=time(20), end=time(9))
    after = policies.rules_to_json([_gap(2), night])

    found = policy_drafts.diff(before, after)

    assert [(one.name, one.before is None, one.after is None) for one in found] == [
        ("gap", False, False),
        ("night", True, False),
        ("once", False, True),
    ]
