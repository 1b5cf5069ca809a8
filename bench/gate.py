"""`make bench NAME=gate`: what one more wish to write to a member costs, decided and written down.

Ours locks the member, reads who they are, what they allowed and what they were told in 35 days,
asks every rule and writes the touch with its verdict, all in one transaction. The peers ask a rate
limiter on Redis, whose logs know as many touches, and insert one row; the floor locks and inserts
and decides nothing. The insert alone tells how much faster than a peer anything could be that
leaves the same row. All in turns on the same machine, one process, every wish another member.
"""

import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import click
from sqlalchemy import text

from bench import showing
from bench.crowd import Crowd, gather, rules
from bench.ground import Ground, prepared
from bench.peers.rates import Limiter, forget, limits_limiter, pyrate_limiter
from fatigue import gate, policies
from store.db import Database
from store.touches import TouchState

# The manners that are measured are awake at ten.
_NOW = datetime(2026, 3, 2, 10, tzinfo=ZoneInfo("Asia/Shanghai"))
_SINGLE, _BATCH, _ROUNDS = 60, 1_000, 5
_USUAL, _BUSY = 8, 30
_BUSY_MEMBERS = 2_000
# What is reserved is free again at once, so that a member who comes twice is as open as before.
_LEASE = 0
_DRY_RUNS = (25_000, 50_000, 100_000)
_DRY_CHUNK = 1_000
_DRY_HANDS = 2
# In touches; 5,000,000 takes minutes to fill and is asked for.
_SIZES, _LARGEST = (10_000, 200_000, 1_000_000), 5_000_000
_LOCK = text("SELECT id FROM members WHERE id = ANY(:members) ORDER BY id FOR NO KEY UPDATE")
_RECORD = text("""
    INSERT INTO touches (key, member_id, channels, channel, category, brand_id, guide_id, priority,
                         state, text, payload, verdict, asked_at, lease_until, counted_at)
    SELECT :key || member, member, '["wecom_broadcast"]', 'wecom_broadcast', 'marketing', :brand_id,
           :guide_id, 50, 'reserved', 'A line about something new.', '{}', '{"outcome": "open"}',
           :now, :now, :now
    FROM unnest(CAST(:members AS bigint[])) AS member
""")

# Rules of the gate, rules of the peers, recent touches.
_CASES = ((5, 3, _USUAL), (5, 5, _USUAL), (20, 20, _BUSY))

# Does the work for these members.
Work = Callable[[Sequence[int]], None]
# Asks a second of each round, by what was asked.
Speeds = dict[str, list[float]]


class _Turn(NamedTuple):
    """What is measured, for members who were told so much; `first` is done before, unmeasured."""

    work: Work
    told: int = _USUAL
    first: Work | None = None


@dataclass(slots=True)
class _Bench:
    """The crowd, its members by how much they were told lately, and whose turn it is."""

    ground: Ground
    crowd: Crowd
    members: dict[int, list[int]] = field(default_factory=lambda: {_USUAL: [], _BUSY: []})
    used: int = 0

    @property
    def database(self) -> Database:
        """Where the gate is asked."""
        return self.ground.database

    def some(self, number: int, told: int = _USUAL) -> list[int]:
        """The next members in turn."""
        pool = self.members[told]
        start = self.used % max(1, len(pool) - number)
        self.used += number
        return pool[start : start + number]


@dataclass(slots=True)
class _Seen:
    """All that was measured: asks a second, by name; sizes in touches, dry runs in seconds."""

    singles: dict[tuple[int, int, int], Speeds] = field(default_factory=dict)
    batches: Speeds = field(default_factory=dict)
    weights: Speeds = field(default_factory=dict)
    flat: list[tuple[int, float, float]] = field(default_factory=list)
    dry: dict[int, float] = field(default_factory=dict)


def run(*, is_large: bool = False) -> None:
    """Print the tables and the figures."""
    with prepared() as ground:
        bench = _Bench(ground, gather(ground.database, _NOW))
        _publish(bench, 5)
        seen = _Seen()
        for size in (*_SIZES, *([_LARGEST] if is_large else [])):
            _grow(bench, size)
            seen.flat.append((size, *_cost(bench)))
            if size == _SIZES[1]:
                seen.singles = {case: _singles(bench, *case) for case in _CASES}
                seen.batches = _batches(bench)
                seen.weights = _weights(bench)
        seen.dry = _dry_runs(bench)
    _tell(seen)


def _publish(bench: _Bench, number: int) -> None:
    with bench.database.transaction() as session:
        policies.publish(session, rules(number), author="bench", now=_NOW)


def _grow(bench: _Bench, touches: int) -> None:
    wanted = {_USUAL: touches // _USUAL - len(bench.members[_USUAL])}
    if touches == _SIZES[1]:
        wanted = {_USUAL: wanted[_USUAL] - _BUSY_MEMBERS * _BUSY // _USUAL, _BUSY: _BUSY_MEMBERS}
    label = f"filling to {touches:,} touches"
    with click.progressbar(length=sum(wanted.values()), label=label, file=sys.stderr) as bar:
        for told, number in wanted.items():
            bench.members[told] += bench.crowd.add(number, touches_each=told, told=bar.update)
    bench.crowd.settle()


def _ask_each(bench: _Bench) -> Work:
    def work(members: Sequence[int]) -> None:
        for ask in bench.crowd.asks(members):
            with bench.database.transaction() as session:
                touch = gate.ask(session, ask, now=_NOW, lease_minutes=_LEASE)
                assert touch.state is TouchState.RESERVED, touch.verdict

    return work


def _ask_all(bench: _Bench) -> Work:
    def work(members: Sequence[int]) -> None:
        with bench.database.transaction() as session:
            asks = bench.crowd.asks(members)
            touches = gate.ask_many(session, asks, now=_NOW, lease_minutes=_LEASE)
            assert all(touch.state is TouchState.RESERVED for touch in touches)

    return work


def _floor(bench: _Bench, *, at_once: bool) -> Work:
    def work(members: Sequence[int]) -> None:
        for group in [list(members)] if at_once else [[member] for member in members]:
            with bench.database.transaction() as session:
                session.connection().execute(_LOCK, {"members": group}).all()
                session.connection().execute(_RECORD, _record(bench, "floor", group))

    return work


def _insert_alone(bench: _Bench) -> Work:
    def work(members: Sequence[int]) -> None:
        for member in members:
            _write_down(bench, "alone", member)

    return work


def _write_down(bench: _Bench, name: str, member: int) -> None:
    with bench.database.transaction() as session:
        session.connection().execute(_RECORD, _record(bench, name, [member]))


def _peer(bench: _Bench, name: str, may: Limiter, told: int) -> _Turn:
    def fill(members: Sequence[int]) -> None:
        for member in members:
            assert all(may(f"{bench.used}-{member}") for _ in range(told))

    def work(members: Sequence[int]) -> None:
        for member in members:
            assert may(f"{bench.used}-{member}")
            _write_down(bench, name, member)

    return _Turn(work, told, fill)


def _record(bench: _Bench, name: str, members: list[int]) -> dict[str, Any]:
    return {
        "key": f"{name}-{bench.used}-",
        "members": members,
        "brand_id": bench.crowd.brand_id,
        "guide_id": bench.crowd.guide_id,
        # Written as if long ago: what the others write must not stand in the way of ours.
        "now": _NOW - timedelta(days=100),
    }


def _per_second(work: Work, members: Sequence[int]) -> float:
    start = perf_counter()
    work(members)
    return len(members) / (perf_counter() - start)


def _in_turns(bench: _Bench, label: str, turns: dict[str, _Turn], each: int) -> Speeds:
    """Every work once a round, after one round that is not counted."""
    speeds: Speeds = {name: [] for name in turns}
    steps = [(name, turn) for _ in range(_ROUNDS + 1) for name, turn in turns.items()]
    with click.progressbar(steps, label=label, file=sys.stderr) as bar:
        for step, (name, turn) in enumerate(bar):
            members = bench.some(each, turn.told)
            if turn.first is not None:
                turn.first(members)
            speed = _per_second(turn.work, members)
            if step >= len(turns):
                speeds[name].append(speed)
    return speeds


def _singles(bench: _Bench, rules: int, theirs: int, told: int) -> Speeds:
    url = bench.ground.redis_url
    _publish(bench, rules)
    turns = {
        "gate": _Turn(_ask_each(bench), told),
        "limits": _peer(bench, f"limits-{theirs}", limits_limiter(url, theirs), told),
        "pyrate-limiter": _peer(bench, f"pyrate-{theirs}", pyrate_limiter(url, theirs), told),
        "floor": _Turn(_floor(bench, at_once=False), told),
        "insert alone": _Turn(_insert_alone(bench), told),
    }
    try:
        return _in_turns(bench, f"one by one, {theirs} rules of the peers", turns, _SINGLE)
    finally:
        forget(url)


def _batches(bench: _Bench) -> Speeds:
    _publish(bench, 5)
    turns = {"gate": _Turn(_ask_all(bench)), "floor": _Turn(_floor(bench, at_once=True))}
    return _in_turns(bench, f"batches of {_BATCH:,}", turns, _BATCH)


def _weights(bench: _Bench) -> Speeds:
    """Batches under five rules and twenty, of members who were told little and much."""
    speeds: Speeds = {}
    for number in (20, 5):
        _publish(bench, number)
        turns = {
            f"{number} rules, {told} touches each": _Turn(_ask_all(bench), told)
            for told in (_USUAL, _BUSY)
        }
        speeds |= _in_turns(bench, f"{number} rules", turns, _BATCH)
    return speeds


def _cost(bench: _Bench) -> tuple[float, float]:
    """Asks a second, one by one and in batches."""
    works = {"one by one": (_ask_each(bench), _SINGLE), "batch": (_ask_all(bench), _BATCH)}
    found = {
        name: median(_per_second(work, bench.some(each)) for _ in range(_ROUNDS))
        for name, (work, each) in works.items()
    }
    return found["one by one"], found["batch"]


def _dry_runs(bench: _Bench) -> dict[int, float]:
    """Seconds for audiences of growing size, in chunks and by two at once, as a launch has it."""
    return {size: _dry_run(bench, size) for size in _DRY_RUNS}


def _dry_run(bench: _Bench, size: int) -> float:
    members = bench.members[_USUAL][:size]

    def look(first: int) -> int:
        asks = bench.crowd.asks(members[first : first + _DRY_CHUNK])
        with bench.database.transaction() as session:
            return len(gate.dry_run(session, asks, now=_NOW))

    start = perf_counter()
    with (
        ThreadPoolExecutor(_DRY_HANDS) as hands,
        click.progressbar(length=size, label=f"dry run of {size:,}", file=sys.stderr) as bar,
    ):
        for looked in hands.map(look, range(0, size, _DRY_CHUNK)):
            bar.update(looked)
    return perf_counter() - start


def _ratio(speeds: Speeds, other: str, ours: str = "gate") -> float:
    """Round by round: what slowed one of a round down slowed the other as well."""
    pairs = zip(speeds[ours], speeds[other], strict=True)
    return median(own / theirs for own, theirs in pairs)


def _tell(seen: _Seen) -> None:
    for (ours, theirs, told), speeds in seen.singles.items():
        number = f"{ours} rules" if ours == theirs else f"{ours} rules, {theirs} of the peers"
        _table(f"One by one, {number}, {told} recent touches", speeds)
    _table(f"In batches of {_BATCH:,}, 5 rules, 8 recent touches", seen.batches)
    _table(f"In batches of {_BATCH:,}, by rules and recent touches", seen.weights)
    showing.table(
        "Asks a second, by touches in the table",
        ["touches", "one by one", "batches"],
        [[f"{size:,}", f"{single:,.0f}", f"{batch:,.0f}"] for size, single, batch in seen.flat],
    )
    showing.table(
        "Dry run, 5 rules, 8 recent touches",
        ["members", "seconds", "seconds a million"],
        [[f"{n:,}", f"{took:.1f}", f"{took / n * 1e6:.1f}"] for n, took in seen.dry.items()],
    )
    largest = max(seen.dry)
    showing.figures(
        "gate",
        {
            **_singles_told(seen),
            "batch_per_s": median(seen.batches["gate"]),
            "batch_vs_floor": _ratio(seen.batches, "floor"),
            "dry_run_s_per_million": seen.dry[largest] / largest * 1e6,
            "flatness": seen.flat[-1][2] / seen.flat[0][2],
        },
    )


def _singles_told(seen: _Seen) -> dict[str, float]:
    """One by one beside each other: as a rule with three rules of theirs, and with all of them.

    Both for the gate and for what no gate can pass, the insert alone.
    """
    others = {"limits": "limits", "pyrate": "pyrate-limiter", "floor": "floor"}
    return {
        f"{title}_vs_{name}_{theirs}_rules": _ratio(speeds, other, ours)
        for (_, theirs, _), speeds in seen.singles.items()
        for title, ours in {"single": "gate", "insert_alone": "insert alone"}.items()
        for name, other in others.items()
    }


def _table(title: str, speeds: Speeds) -> None:
    rows = [[name, showing.middle(values)] for name, values in speeds.items()]
    showing.table(title, ["", "asks a second"], rows)
