"""Many processes, killed with -9 in the middle: no window is ever too full, nothing goes twice."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import Session, select

from fatigue import policies
from fatigue.rules import CalendarCap, MinGap, Period, RollingCap, Rule, Selector
from store.db import Database
from store.holds import Displacement
from store.touches import Category, Channel, Touch, TouchState
from tests.fatigue.people import a_campaign, a_grant, a_house, a_member, consent_to_all
from tests.times import SHANGHAI, at

pytestmark = pytest.mark.race

_MINUTE = 60
_MIDNIGHT = at("2026-03-02 00:00")
_MARKETING = Selector(categories=frozenset({Category.MARKETING}))
_WENT = {TouchState.SENDING, TouchState.SENT, TouchState.UNKNOWN}


@dataclass(frozen=True)
class Sent:
    """A line that a worker wrote: what really went."""

    key: str
    member_id: int
    category: str
    channel: str
    at: float


# What a rule of each kind selects, with its cap and its seconds.
_ANY, _PROMOTIONS, _GAP, _DAY = (4, 10 * _MINUTE), (2, 15 * _MINUTE), (1, 2 * _MINUTE), 30
RULES: tuple[Rule, ...] = (
    RollingCap(name="any", source="test", cap=_ANY[0], seconds=_ANY[1]),
    RollingCap(
        name="marketing",
        source="test",
        selector=_MARKETING,
        cap=_PROMOTIONS[0],
        seconds=_PROMOTIONS[1],
    ),
    MinGap(
        name="gap",
        source="test",
        selector=Selector(channels=frozenset({Channel.SMS})),
        seconds=_GAP[1],
    ),
    CalendarCap(name="day", source="test", cap=_DAY, period=Period.DAY),
)


def hammer(
    database: Database, folder: Path, *, rules: tuple[Rule, ...] = RULES, **order: Any
) -> dict[str, Any]:
    """Let workers loose on a few members around midnight."""
    now = _MIDNIGHT
    with database.transaction() as session:
        policies.publish(session, rules, author="hq", now=now)
        people = [a_member(session, now=now) for _ in range(order.pop("people"))]
        for one in people:
            consent(session, one.id, now)
        brand, _ = a_house(session)
        campaigns = [a_campaign(session, now=now).id for _ in range(5)]
    usual = {
        "url": database.engine.url.render_as_string(hide_password=False),
        "folder": str(folder),
        "midnight": _MIDNIGHT.timestamp(),
        "members": [one.id for one in people],
        "brand": brand.id,
        "campaigns": campaigns,
        "is_unguarded": False,
        "lease": 1,
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.fatigue.hammer", json.dumps(usual | order)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        cwd=Path(__file__).parents[2],
    )
    assert done.stderr == "", done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def consent(session: Session, member_id: int, now: datetime) -> None:
    a_grant(session, member_id, allowance=10**6, hours=None, now=now)
    channels = (Channel.SMS, Channel.WECHAT_SERVICE)
    consent_to_all(session, member_id, channels=channels, now=now - timedelta(days=1))


def sent_lines(folder: Path) -> list[Sent]:
    lines = [line for path in folder.glob("*.log") for line in path.read_text().splitlines()]
    return sorted((Sent(*json.loads(line)) for line in lines), key=lambda one: one.at)


def breaches(sent: list[Sent]) -> Iterator[tuple[str, list[Sent]]]:
    """Every window that holds too much, counted here and not by the gate."""
    for member_id in {one.member_id for one in sent}:
        mine = [one for one in sent if one.member_id == member_id]
        marketing = [one for one in mine if one.category == Category.MARKETING]
        by_sms = [one for one in mine if one.channel == Channel.SMS]
        for name, some, (cap, seconds) in (
            ("any", mine, _ANY),
            ("marketing", marketing, _PROMOTIONS),
            ("gap", by_sms, _GAP),
        ):
            for first, last in zip(some, some[cap:], strict=False):
                if last.at - first.at < seconds:
                    yield name, [first, last]
        days = [datetime.fromtimestamp(one.at, tz=SHANGHAI).date() for one in mine]
        if any(days.count(day) > _DAY for day in days):
            yield "day", mine


def test_caps_hold_in_every_window_whoever_is_killed_and_nothing_goes_twice(
    fresh_database: Database, tmp_path: Path
) -> None:
    told = hammer(fresh_database, tmp_path, people=4, workers=5, sent=30, kills=6)
    sent = sent_lines(tmp_path)

    with Session(fresh_database.engine) as session:
        touches = {touch.key: touch for touch in session.exec(select(Touch))}
        displaced = len(session.exec(select(Displacement)).all())
    hard = (told["kills"], len(sent), len(touches), displaced)
    assert list(breaches(sent)) == []
    assert len({one.key for one in sent}) == len(sent)
    for one in sent:
        touch = touches[one.key]
        assert touch.state in _WENT
        assert touch.fenced_at is not None
        assert touch.fenced_at.timestamp() == pytest.approx(one.at, abs=1e-4)
    keys = {one.key for one in sent}
    assert {t.key for t in touches.values() if t.state is TouchState.SENT} <= keys
    # It was a hard life: many died, many waited, some gave way, and still much was said.
    assert min(hard[0] - 3, hard[1] - 14, hard[2] - 30, hard[3]) > 0, hard


def test_without_lock_and_second_look_windows_are_too_full(
    fresh_database: Database, tmp_path: Path
) -> None:
    """The same without what guards the caps: what the test above would see if it did not hold."""
    once = RollingCap(name="once", source="test", cap=1, seconds=60 * _MINUTE)
    order = {"people": 1, "workers": 6, "sent": 4, "kills": 0, "lease": 60, "is_unguarded": True}
    hammer(fresh_database, tmp_path, rules=(once,), **order)

    times = [one.at for one in sent_lines(tmp_path)]
    assert any(second - first < once.seconds for first, second in pairwise(times))
