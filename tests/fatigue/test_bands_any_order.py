"""Asks of every band in any order: batch, one by one and dry run agree, and a dry run is no act."""

from datetime import timedelta
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as some
from sqlalchemy import text
from sqlmodel import Session, select

from fatigue import gate, policies
from fatigue.gate import Ask
from fatigue.rules import CalendarCap, MinGap, Period, RollingCap, Selector
from store.tables import metadata
from store.touches import Category, Channel, Touch, TouchState
from tests.fatigue.people import a_campaign, a_grant, a_member, an_ask
from tests.fatigue.test_bands import MORNING, hold

_HOUR = timedelta(hours=1)
_RULES = (
    RollingCap(name="any", source="test", cap=3, seconds=24 * 3600),
    CalendarCap(
        name="marketing",
        source="test",
        selector=Selector(categories=frozenset({Category.MARKETING})),
        cap=2,
        period=Period.DAY,
    ),
    MinGap(
        name="low gap",
        source="test",
        selector=Selector(bands=frozenset({"low", "normal"})),
        seconds=3600,
    ),
    RollingCap(name="shadow", source="test", is_shadow=True, cap=2, seconds=3600),
)
_CHANNELS = (Channel.WECOM_BROADCAST, Channel.WECHAT_SERVICE)
_ALIKE = [(0, 70, Category.MARKETING, _CHANNELS, 0)] * 2
wishes = some.lists(
    some.tuples(
        some.integers(0, 1),
        some.sampled_from([10, 50, 70, 95]),
        some.sampled_from([Category.MARKETING, Category.CARE]),
        some.permutations(_CHANNELS).flatmap(
            lambda both: some.sampled_from([tuple(both), tuple(both[:1])])
        ),
        some.integers(0, 3),
    ),
    min_size=1,
    max_size=7,
)
holds = some.lists(
    some.tuples(some.integers(0, 1), some.sampled_from([50, 70, 95]), some.integers(-20, 20)),
    max_size=4,
)


@settings(max_examples=15)
@given(wishes, holds)
# Two alike before one that takes the place of either: the later one gives way, imagined or not.
@example([*_ALIKE, (0, 95, Category.MARKETING, _CHANNELS, 0)], [])
def test_batch_and_dry_run_answer_as_the_same_asks_one_by_one_in_every_band(
    session: Session, wanted: list[Any], planned: list[Any]
) -> None:
    answers = []
    for how in ("one by one", "batch", "dry run"):
        undo = session.begin_nested()
        asks = _prepared(session, wanted, planned)
        before = _everything(session)
        answers.append(_answers(session, how, asks))
        if how == "dry run":
            assert _everything(session) == before
        undo.rollback()

    assert answers[0] == answers[1] == answers[2]


@settings(max_examples=15)
@given(wishes, holds)
def test_reserve_and_release_leave_the_gate_as_it_was(
    session: Session, wanted: list[Any], planned: list[Any]
) -> None:
    undo = session.begin_nested()
    asks = _prepared(session, wanted, planned)
    probes = asks[:3]
    gate.ask_many(session, asks[3:], now=MORNING)
    before = [found.verdict for found in gate.dry_run(session, probes, now=MORNING)]

    for number, ask in enumerate(asks[:2]):
        again = Ask(**{**_facts(ask), "key": f"passing-{number}", "priority": 10})
        touch = gate.ask(session, again, now=MORNING)
        gate.release(session, touch.id, reason="test", now=MORNING)
        gate.release(session, touch.id, reason="twice", now=MORNING)
    after = [found.verdict for found in gate.dry_run(session, probes, now=MORNING)]
    undo.rollback()

    assert after == before


def _facts(ask: Ask) -> dict[str, Any]:
    return {name: getattr(ask, name) for name in Ask.__dataclass_fields__}


def _prepared(session: Session, wanted: list[Any], planned: list[Any]) -> list[Ask]:
    policies.publish(session, _RULES, author="hq", now=MORNING)
    people = [a_member(session, now=MORNING) for _ in range(2)]
    campaigns = [a_campaign(session, now=MORNING).id for _ in range(3)]
    a_grant(session, people[0].id, now=MORNING - _HOUR)
    a_grant(session, people[1].id, allowance=1, now=MORNING - _HOUR)
    for who, priority, hours in planned:
        plan = MORNING + hours * _HOUR
        hold(session, people[who], plan, priority=priority, campaign_id=campaigns[hours % 3])
    return [
        an_ask(
            session,
            people[who],
            priority=priority,
            category=category,
            channels=channels,
            campaign_id=campaigns[which] if which < len(campaigns) else None,
        )
        for who, priority, category, channels, which in wanted
    ]


def _answers(session: Session, how: str, asks: list[Ask]) -> list[Any]:
    if how == "dry run":
        return [_seen(found.verdict) for found in gate.dry_run(session, asks, now=MORNING)]
    if how == "batch":
        touches = gate.ask_many(session, asks, now=MORNING)
    else:
        touches = [gate.ask(session, ask, now=MORNING) for ask in asks]
    states = {TouchState.RESERVED: "open", TouchState.ASKED: "defer"}
    for touch in touches:
        session.refresh(touch)
        assert touch.verdict["outcome"] == states.get(touch.state, "withhold")
    assert len(session.exec(select(Touch.id)).all()) == len(asks)
    return [_told(touch) for touch in touches]


def _seen(found: gate.Verdict) -> Any:
    reasons = [(v.rule, v.count, len(v.holds)) for v in found.violations]
    shadow = [v.rule for v in found.shadow]
    return found.outcome.value, found.channel.value, reasons, len(found.displaces), shadow


def _told(touch: Touch) -> Any:
    found = touch.verdict
    reasons = [(v["rule"], v["count"], len(v["holds"])) for v in found["violations"]]
    shadow = [v["rule"] for v in found["shadow"]]
    return found["outcome"], found["channel"], reasons, len(found["displaces"]), shadow


def _everything(session: Session) -> dict[str, str | None]:
    """A digest of every row of every table, with the row's own version."""
    session.flush()
    return {
        table.name: session.connection()
        .execute(
            text(
                f"SELECT md5(string_agg(xmin::text || t::text, ',' ORDER BY ctid)) FROM \"{table.name}\" AS t"  # noqa: E501, S608 -- names from our own tables
            )
        )
        .scalar_one()
        for table in metadata.sorted_tables
    }
