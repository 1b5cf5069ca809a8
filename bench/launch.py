"""`make bench NAME=launch`: a campaign for everybody, from the button to the last card.

The audience is frozen, every member is put to the gate and gets a task with words and goods of
their own, every guide an assignment and a card. Beside it: one raw INSERT … SELECT of the very
rows that the launch wrote, into tables with the same columns, keys, checks and indexes.
"""

import resource
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import log
from time import perf_counter
from zoneinfo import ZoneInfo

import click
from sqlalchemy import Connection, text
from sqlmodel import Session

from bench import showing
from bench.ground import prepared
from bench.town import Town, found
from fatigue import gate
from guide_tasks import launch, looking
from store.campaigns import Campaign, CampaignState
from store.db import Database

_NOW = datetime(2026, 3, 2, 10, tzinfo=ZoneInfo("Asia/Shanghai"))
_SIZES = (10_000, 100_000, 1_000_000)
_OF_CAMPAIGN = "campaign_id = :id"
_TABLES = {
    "audience_members": _OF_CAMPAIGN,
    "assignments": _OF_CAMPAIGN,
    "care_tasks": _OF_CAMPAIGN,
    "notices": "assignment_id IN (SELECT id FROM assignments WHERE campaign_id = :id)",
}
_KEYS = text("""
    SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE contype = 'f' AND conrelid = CAST(:name AS regclass)
""")
_URL = "https://bench.example"


@dataclass(frozen=True, slots=True)
class _Seen:
    """One launch; seconds. `gate` is the dry run, summed over hands that work at the same time."""

    members: int
    frozen: float
    made: float
    gate: float
    raw: float
    bare: float

    @property
    def whole(self) -> float:
        """From the button to the last card."""
        return self.frozen + self.made


def run() -> None:
    """Print the table and the figures."""
    with prepared() as ground:
        town = found(ground.database, _NOW)
        seen = [_measured(town, size) for size in _SIZES]
    _tell(seen)


def _measured(town: Town, size: int) -> _Seen:
    label = f"filling to {size:,} members"
    with click.progressbar(length=size - town.members, label=label, file=sys.stderr) as bar:
        town.grow(size, bar.update)
    campaign_id = town.campaign()
    click.echo(f"launching for {size:,}", err=True)
    frozen = _frozen(town.database, campaign_id)
    with _GateClock() as clock:
        began = perf_counter()
        launch.run(town.database, campaign_id, public_url=_URL, now=_NOW)
        made = perf_counter() - began
    _check(town.database, campaign_id, size)
    raw, bare = (
        sum(_raw(town.database, name, campaign_id, has_keys=has_keys) for name in _TABLES)
        for has_keys in (True, False)
    )
    return _Seen(size, frozen, made, clock.seconds, raw, bare)


def _frozen(database: Database, campaign_id: int) -> float:
    began = perf_counter()
    with database.transaction() as session:
        campaign = session.get_one(Campaign, campaign_id)
        launch.freeze(session, campaign, actor="bench", now=_NOW)
    return perf_counter() - began


class _GateClock:
    """Sums up the seconds that the gate takes of a launch."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._asked = looking.asked

    def __enter__(self) -> "_GateClock":
        looking.asked = self._timed
        return self

    def __exit__(self, *_: object) -> None:
        looking.asked = self._asked

    def _timed(
        self, session: Session, wishes: Sequence[gate.Ask], *, now: datetime
    ) -> list[gate.Forecast]:
        began = perf_counter()
        found = self._asked(session, wishes, now=now)
        self.seconds += perf_counter() - began
        return found


def _check(database: Database, campaign_id: int, members: int) -> None:
    """Every member has one task in a guide's hands, with words of their own."""
    with database.transaction() as session:
        assert session.get_one(Campaign, campaign_id).state is CampaignState.RUNNING
        query = """SELECT count(*), count(DISTINCT draft) FROM care_tasks
            WHERE campaign_id = :id AND state = 'assigned' AND guide_id IS NOT NULL"""
        found = session.connection().execute(text(query), {"id": campaign_id}).one()
    assert tuple(found) == (members, members), found


def _raw(database: Database, name: str, campaign_id: int, *, has_keys: bool) -> float:
    """Seconds of one INSERT … SELECT of the same rows into the same table."""
    twin = f"twin_of_{name}"
    with database.engine.begin() as connection:
        connection.execute(text(f"CREATE TABLE {twin} (LIKE {name} INCLUDING ALL)"))
        if has_keys:
            _add_keys(connection, name, twin)
    copy = f"INSERT INTO {twin} SELECT * FROM {name} WHERE {_TABLES[name]}"  # noqa: S608 -- our own names
    began = perf_counter()
    with database.engine.begin() as connection:
        connection.execute(text(copy), {"id": campaign_id})
    took = perf_counter() - began
    with database.engine.begin() as connection:
        connection.execute(text(f"DROP TABLE {twin}"))
    return took


def _add_keys(connection: Connection, name: str, twin: str) -> None:
    for key, definition in connection.execute(_KEYS, {"name": name}).all():
        connection.execute(text(f"ALTER TABLE {twin} ADD CONSTRAINT twin_{key} {definition}"))


def _exponent(seen: Sequence[_Seen]) -> float:
    """How seconds grow with members, from the smallest to the largest: 1 is in proportion."""
    first, last = seen[0], seen[-1]
    return log(last.whole / first.whole) / log(last.members / first.members)


def _tell(seen: Sequence[_Seen]) -> None:
    showing.table(
        "Launch: freeze, gate, drafts, goods, tasks, assignments, cards; seconds",
        ["members", "whole", "freeze", "gate, of both hands", "raw", "× raw", "× raw without keys"],
        [
            [
                f"{one.members:,}",
                f"{one.whole:.1f}",
                f"{one.frozen:.1f}",
                f"{one.gate:.1f}",
                f"{one.raw:.1f}",
                f"{one.whole / one.raw:.1f}",
                f"{one.whole / one.bare:.1f}",
            ]
            for one in seen
        ],
    )
    largest = seen[-1]
    showing.figures(
        "launch",
        {
            "vs_raw_insert": largest.whole / largest.raw,
            "seconds": largest.whole,
            "vs_raw_insert_without_keys": largest.whole / largest.bare,
            "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "growth_exponent": _exponent(seen),
        },
    )
