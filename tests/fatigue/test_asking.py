"""Asking: what is reserved, deferred or withheld; repeats, batches and dry runs agree."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from sqlmodel import Session, select

from fatigue import gate, policies, screening
from fatigue.gate import Ask, KeyReused, Outcome
from fatigue.rules import LifetimeCap, RollingCap
from store.consents import Consent, Purpose, Suppression
from store.errors import NotFound
from store.members import Identity, Member, MemberStatus
from store.merges import merge
from store.organisation import Guide, GuideStatus
from store.touches import Category, Channel, Touch, TouchState
from tests.fatigue.people import (
    TO_MEMBERS,
    a_campaign,
    a_grant,
    a_member,
    an_ask,
    consent_to_all,
)
from tests.queries import counted
from tests.times import at

_SECOND = timedelta(seconds=1)


def rules_of(touch: Touch) -> list[str]:
    return [violation["rule"] for violation in touch.verdict["violations"]]


def test_first_open_channel_is_reserved_for_the_lease(session: Session, now: datetime) -> None:
    li = a_member(session, now=now)

    touch = gate.ask(session, an_ask(session, li), now=now, lease_minutes=10)

    assert (touch.state, touch.channel) == (TouchState.RESERVED, Channel.WECOM_BROADCAST)
    assert (touch.counted_at, touch.lease_until) == (now, now + timedelta(minutes=10))
    assert touch.verdict["outcome"] == "open"


def test_next_channel_is_reserved_when_the_first_is_closed(session: Session, now: datetime) -> None:
    li = a_member(session, now=now, friend=False)
    a_grant(session, li.id, now=now)
    channels = (Channel.WECOM_BROADCAST, Channel.WECHAT_SERVICE)

    touch = gate.ask(session, an_ask(session, li, channels=channels), now=now)

    assert (touch.state, touch.channel) == (TouchState.RESERVED, Channel.WECHAT_SERVICE)
    assert [past["rule"] for past in touch.verdict["passed_over"]] == ["no_friendship"]


def test_second_touch_of_a_day_is_deferred_to_the_exact_instant(session: Session) -> None:
    morning = at("2026-03-02 09:00")
    li = a_member(session, now=morning)
    first = gate.ask(session, an_ask(session, li), now=morning)
    gate.fence(session, first.id, now=morning)
    gate.settle(session, first.id, TouchState.SENT, now=morning)

    second = gate.ask(session, an_ask(session, li), now=morning + timedelta(hours=1))

    assert (second.state, second.retry_at) == (TouchState.ASKED, at("2026-03-03 08:00"))
    assert second.counted_at is None
    assert [(v["rule"], v["touches"]) for v in second.verdict["violations"]] == [
        ("daily_cap", [first.id]),
        ("min_gap", [first.id]),
    ]


def test_deferred_touch_is_refused_a_second_early_and_reserved_at_its_retry(
    session: Session,
) -> None:
    night = at("2026-03-01 23:00")
    li = a_member(session, now=night)
    ask = an_ask(session, li)
    touch = gate.ask(session, ask, now=night)
    opens = at("2026-03-02 08:00")

    early = gate.dry_run(session, [an_ask(session, li)], now=opens - _SECOND)[0]
    assert gate.due(session, opens - _SECOND) == []
    assert gate.due(session, opens) == [touch.id]
    again = gate.ask_again(session, [touch.id], now=opens)[0]

    assert early.outcome is Outcome.DEFER
    assert (again.id, again.state, again.retry_at) == (touch.id, TouchState.RESERVED, None)


def test_ask_is_withheld_when_it_could_only_go_after_its_deadline(session: Session) -> None:
    night = at("2026-03-01 23:00")
    li = a_member(session, now=night)

    touch = gate.ask(session, an_ask(session, li, deadline_at=at("2026-03-02 08:00")), now=night)

    assert (touch.state, rules_of(touch)) == (TouchState.WITHHELD, ["quiet_hours"])
    assert touch.settled_at == night


def test_ask_after_its_deadline_is_withheld(session: Session, now: datetime) -> None:
    li = a_member(session, now=now)

    touch = gate.ask(session, an_ask(session, li, deadline_at=now), now=now)

    assert (touch.state, rules_of(touch)) == (TouchState.WITHHELD, ["past_deadline"])


def _leave(session: Session, _li: Member) -> None:
    guide = session.exec(select(Guide)).one()
    guide.status = GuideStatus.LEFT


def _unfollow(session: Session, li: Member) -> None:
    for identity in session.exec(select(Identity).where(Identity.member_id == li.id)):
        identity.is_reachable = False


def _merge_away(_session: Session, li: Member) -> None:
    li.status = MemberStatus.MERGED


@pytest.mark.parametrize(
    ("spoil", "rule"),
    [
        (_leave, "no_friendship"),
        (_unfollow, "no_identity"),
        (_merge_away, "member_gone"),
    ],
)
def test_unreachable_member_is_withheld_with_the_reason(
    session: Session, now: datetime, spoil: Any, rule: str
) -> None:
    li = a_member(session, now=now)
    spoil(session, li)

    touch = gate.ask(session, an_ask(session, li), now=now)

    assert (touch.state, rules_of(touch)) == (TouchState.WITHHELD, [rule])


def test_service_message_needs_a_grant_even_when_it_is_service(
    session: Session, now: datetime
) -> None:
    li = a_member(session, now=now)
    facts = {"channels": (Channel.WECHAT_SERVICE,), "category": Category.SERVICE}

    without = gate.ask(session, an_ask(session, li, **facts), now=now)
    a_grant(session, li.id, now=now)
    granted = gate.ask(session, an_ask(session, li, **facts), now=now)

    assert (without.state, rules_of(without)) == (TouchState.WITHHELD, ["no_grant"])
    assert granted.state is TouchState.RESERVED


def test_old_acceptance_of_a_notice_is_good_for_one_message_only(
    session: Session, now: datetime
) -> None:
    li = a_member(session, now=now)
    accepted = now - timedelta(days=300)
    a_grant(
        session,
        li.id,
        channel=Channel.WECHAT_NOTICE,
        allowance=1,
        hours=None,
        template_id="t1",
        now=accepted,
    )
    facts = {"channels": (Channel.WECHAT_NOTICE,), "payload": {"template_id": "t1"}}
    long_ago = now - timedelta(days=200)
    other = an_ask(session, li, channels=(Channel.WECHAT_NOTICE,), payload={"template_id": "t2"})

    wrong_template = gate.ask(session, other, now=now)
    forecast = gate.dry_run(session, [an_ask(session, li, **facts)], now=now)[0]
    gate.record(
        session,
        an_ask(session, li, **facts),
        channel=Channel.WECHAT_NOTICE,
        sent_at=long_ago,
        now=now,
    )
    used_up = gate.ask(session, an_ask(session, li, **facts), now=now)

    assert rules_of(wrong_template) == ["no_grant"]
    assert forecast.outcome is Outcome.OPEN
    assert rules_of(used_up) == ["no_grant"]


def test_member_without_consent_gets_service_only(session: Session, now: datetime) -> None:
    li = a_member(session, now=now, consents=False)

    states = [
        gate.ask(session, an_ask(session, li, category=category), now=now)
        for category in (Category.MARKETING, Category.CARE, Category.SERVICE)
    ]

    assert [rules_of(touch) for touch in states] == [["no_consent"], ["no_consent"], []]
    assert states[2].state is TouchState.RESERVED


def test_newest_word_on_consent_counts(session: Session, now: datetime) -> None:
    li = a_member(session, now=now)
    for days, is_granted in ((2, False), (1, True), (3, False)):
        session.add(
            Consent(
                member_id=li.id,
                channel=Channel.WECOM_BROADCAST,
                purpose=Purpose.MARKETING,
                is_granted=is_granted,
                text_version="1",
                source="test",
                stated_at=now - timedelta(days=days),
            )
        )

    assert gate.ask(session, an_ask(session, li), now=now).state is TouchState.RESERVED


@pytest.mark.parametrize("channel", ["", Channel.WECOM_BROADCAST.value])
@pytest.mark.parametrize("category", list(Category))
def test_stop_silences_every_category_on_its_channel(
    session: Session, now: datetime, channel: str, category: Category
) -> None:
    li = a_member(session, now=now)
    session.add(Suppression(member_id=li.id, channel=channel, reason="chat", stated_at=now))

    touch = gate.ask(session, an_ask(session, li, category=category), now=now)

    assert (touch.state, rules_of(touch)) == (TouchState.WITHHELD, ["opted_out"])


def test_stop_on_another_channel_or_lifted_silences_nothing(
    session: Session, now: datetime
) -> None:
    li = a_member(session, now=now)
    stop: dict[str, Any] = {"member_id": li.id, "reason": "chat", "stated_at": now}
    session.add(Suppression(channel=Channel.WECHAT_SERVICE, **stop))
    session.add(Suppression(channel="", lifted_at=now, **stop))
    session.add(Suppression(channel=Channel.WECOM_BROADCAST, until=now, **stop))

    assert gate.ask(session, an_ask(session, li), now=now).state is TouchState.RESERVED


def test_same_key_is_the_same_touch(session: Session, now: datetime) -> None:
    li = a_member(session, now=now)
    ask = an_ask(session, li)

    first = gate.ask(session, ask, now=now)
    repeats = gate.ask_many(session, [ask, ask], now=now + timedelta(minutes=5))

    assert [touch.id for touch in repeats] == [first.id, first.id]
    assert first.lease_until == now + timedelta(minutes=15)
    assert len(session.exec(select(Touch)).all()) == 1


@pytest.mark.parametrize(
    "other", [{"text": "另一句"}, {"category": Category.CARE}, {"campaign_id": 7}]
)
def test_same_key_with_another_content_is_refused(
    session: Session, now: datetime, other: dict[str, Any]
) -> None:
    li = a_member(session, now=now)
    gate.ask(session, an_ask(session, li, key="k"), now=now)

    with pytest.raises(KeyReused):
        gate.ask(session, an_ask(session, li, key="k", **other), now=now)


def test_same_key_for_another_member_is_refused(session: Session, now: datetime) -> None:
    li, zhao = a_member(session, now=now), a_member(session, now=now)
    gate.ask(session, an_ask(session, li, key="k"), now=now)

    with pytest.raises(KeyReused):
        gate.ask(session, an_ask(session, zhao, key="k"), now=now)


def test_one_key_for_two_members_of_a_batch_is_refused(session: Session, now: datetime) -> None:
    people = [a_member(session, now=now) for _ in range(2)]

    with pytest.raises(KeyReused):
        gate.ask_many(session, [an_ask(session, one, key="k") for one in people], now=now)


def test_lapsed_reservation_holds_nothing_and_is_decided_again(session: Session) -> None:
    now = at("2026-03-02 10:00")
    li = a_member(session, now=now)
    ask = an_ask(session, li)
    lapsed = gate.ask(session, ask, now=now, lease_minutes=15)
    lease_end = now + timedelta(minutes=15)

    held = gate.dry_run(session, [an_ask(session, li)], now=lease_end - _SECOND)[0]
    free = gate.dry_run(session, [an_ask(session, li)], now=lease_end)[0]
    again = gate.ask(session, ask, now=lease_end)

    assert (held.outcome, free.outcome) == (Outcome.DEFER, Outcome.OPEN)
    assert (again.id, again.state, again.counted_at) == (lapsed.id, TouchState.RESERVED, lease_end)


def test_lifetime_cap_counts_touches_older_than_every_window(
    session: Session, now: datetime
) -> None:
    rule = LifetimeCap(name="once", source="test", cap=1)
    policies.publish(session, [rule], author="hq", now=now)
    li = a_member(session, now=now)
    facts = {"campaign_id": a_campaign(session, now=now).id}
    gate.record(
        session,
        an_ask(session, li, **facts),
        channel=Channel.WECOM_BROADCAST,
        sent_at=now - timedelta(days=300),
        now=now,
    )

    same = gate.ask(session, an_ask(session, li, **facts), now=now)
    other = gate.ask(session, an_ask(session, li), now=now)

    assert rules_of(same) == ["once"]
    assert other.state is TouchState.RESERVED


def test_a_policy_that_looks_further_back_than_the_usual_one_is_heeded(
    session: Session, now: datetime
) -> None:
    rule = RollingCap(name="quarter", source="test", cap=1, seconds=90 * 86_400)
    policies.publish(session, [rule], author="hq", now=now)
    li = a_member(session, now=now)
    then, channel = now - timedelta(days=80), Channel.WECOM_BROADCAST
    gate.record(session, an_ask(session, li), channel=channel, sent_at=then, now=now)

    touch = gate.ask(session, an_ask(session, li), now=now)

    assert (touch.state, rules_of(touch)) == (TouchState.ASKED, ["quarter"])


def test_a_touch_that_counts_for_a_lifetime_and_is_not_old_counts_once(
    session: Session, now: datetime
) -> None:
    rule = LifetimeCap(name="twice", source="test", cap=2)
    policies.publish(session, [rule], author="hq", now=now)
    li, campaign = a_member(session, now=now), a_campaign(session, now=now)
    then, channel = now - timedelta(days=20), Channel.WECOM_BROADCAST
    first, second = (an_ask(session, li, campaign_id=campaign.id) for _ in range(2))
    gate.record(session, first, channel=channel, sent_at=then, now=now)

    touch = gate.ask(session, second, now=now)

    assert touch.state is TouchState.RESERVED


def test_touches_of_merged_members_count_together(session: Session, now: datetime) -> None:
    li, same_li = a_member(session, now=now), a_member(session, now=now)
    ask = an_ask(session, same_li)
    sent = gate.record(session, ask, channel=Channel.WECOM_BROADCAST, sent_at=now, now=now)

    merge(session, li.id, same_li.id, reason="same mobile", now=now)
    touch = gate.ask(session, an_ask(session, li), now=now)

    assert touch.state is TouchState.ASKED
    assert touch.verdict["violations"][0]["touches"] == [sent.id]


def test_unknown_member_is_refused(session: Session, now: datetime) -> None:
    li = a_member(session, now=now)

    with pytest.raises(NotFound):
        gate.ask(session, an_ask(session, li, member_id=li.id + 1000), now=now)


def test_ask_needs_a_channel_that_reaches_members(session: Session, now: datetime) -> None:
    li = a_member(session, now=now)

    with pytest.raises(ValueError, match="at least one channel"):
        an_ask(session, li, channels=())
    with pytest.raises(ValueError, match="reaches guides"):
        an_ask(session, li, channels=(Channel.WECOM_APP,))


wishes = some.lists(
    some.tuples(
        some.integers(0, 2),
        some.sampled_from(list(Category)),
        some.permutations(TO_MEMBERS).map(lambda channels: tuple(channels[:2])),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=25)
@given(wishes, some.integers(0, 23), some.sampled_from([1, 20]))
def test_batch_and_dry_run_answer_as_the_same_asks_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
    session: Session,
    plan: list[tuple[int, Category, tuple[Channel, ...]]],
    hour: int,
    few: int,
) -> None:
    now = at(f"2026-03-02 {hour:02}:30")
    answers = []
    monkeypatch.setattr(screening, "FEWEST", few)
    for how in ("one by one", "batch", "dry run"):
        undo = session.begin_nested()
        people = [a_member(session, now=now) for _ in range(3)]
        a_grant(session, people[0].id, now=now - timedelta(hours=1))
        a_grant(session, people[1].id, allowance=1, now=now - timedelta(hours=1))
        asks = [
            an_ask(session, people[who], category=category, channels=channels)
            for who, category, channels in plan
        ]
        answers.append(_answers(session, how, asks, now))
        undo.rollback()

    assert answers[0] == answers[1] == answers[2]


def _answers(session: Session, how: str, asks: list[Ask], now: datetime) -> list[Any]:
    if how == "dry run":
        verdicts = [found.verdict for found in gate.dry_run(session, asks, now=now)]
        return [
            (found.outcome.value, found.channel, [(v.rule, v.count) for v in found.violations])
            for found in verdicts
        ]
    if how == "batch":
        touches = gate.ask_many(session, asks, now=now)
    else:
        touches = [gate.ask(session, ask, now=now) for ask in asks]
    return [
        (
            touch.verdict["outcome"],
            touch.channel,
            [(v["rule"], v["count"]) for v in touch.verdict["violations"]],
        )
        for touch in touches
    ]


def test_dry_run_writes_nothing_and_takes_no_lock(session: Session, now: datetime) -> None:
    asks = [an_ask(session, a_member(session, now=now)) for _ in range(3)]
    session.flush()

    with counted(session.connection()) as statements:
        gate.dry_run(session, asks, now=now)

    assert {statement.split()[0] for statement in statements} == {"SELECT"}
    assert [statement for statement in statements if " FOR " in statement] == []
    assert session.exec(select(Touch)).all() == []


def test_dry_run_says_what_a_decided_touch_says(session: Session, now: datetime) -> None:
    li = a_member(session, now=now, consents=False)
    ask = an_ask(session, li)
    touch = gate.ask(session, ask, now=now)
    consent_to_all(session, li.id, now=now)

    found = gate.dry_run(session, [ask], now=now)[0]

    assert (found.touch_id, found.outcome) == (touch.id, Outcome.WITHHOLD)
    assert [violation.rule for violation in found.violations] == ["no_consent"]


def test_batch_reads_as_often_for_ten_members_as_for_one(session: Session, now: datetime) -> None:
    counts = []
    for size in (1, 10):
        asks = [an_ask(session, a_member(session, now=now)) for _ in range(size)]
        session.flush()
        with counted(session.connection()) as statements:
            gate.ask_many(session, asks, now=now)
        counts.append(len(statements))
        inserts = [statement for statement in statements if statement.startswith("INSERT")]
        assert len(inserts) == 1

    assert counts[0] == counts[1]


def test_explain_tells_each_silence_and_every_door(session: Session, now: datetime) -> None:
    li = a_member(session, now=now, friend=False)
    touch = gate.ask(session, an_ask(session, li), now=now)

    stories, doors = gate.explain(session, li.id, now=now)

    assert [(story.touch_id, story.state) for story in stories] == [(touch.id, TouchState.WITHHELD)]
    closed = {door.channel: door.verdict for door in doors if door.category is Category.SERVICE}
    assert {channel: [v.rule for v in found.violations] for channel, found in closed.items()} == {
        Channel.WECOM_BROADCAST: ["no_friendship"],
        Channel.WECOM_SIDEBAR: ["no_friendship"],
        Channel.WECOM_WELCOME: [],
        Channel.WECHAT_SERVICE: ["no_grant"],
        Channel.WECHAT_NOTICE: ["no_grant"],
        Channel.WECHAT_TEMPLATE: [],
        Channel.SMS: [],
    }
