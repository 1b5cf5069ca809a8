"""`make bench NAME=delivery`: touches that wait, sent by two worker processes to the sandbox.

Every touch was reserved by the gate; a worker takes it past the fence, calls the sandbox over HTTP
and writes down what came of it. Beside it, in as many processes: the same calls by the same client,
the bare requests, and the same updates of the same rows, each alone. In turns on one machine.
"""

import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import click
import httpx
from redis import Redis
from sqlalchemy import text
from sqlmodel import Session

from bench import delivery_floor as floor
from bench import showing
from bench.delivery_floor import APP_SECRET, Place
from bench.ground import Ground, prepared
from bench.pushes import AES_KEY, APP_ID, ORIGINAL_ID, TOKEN, register
from bot import delivery
from fatigue import gate, policies
from fatigue.gate import Ask
from fatigue.policies import DEFAULT_RULES
from sandbox.processes import Crew, free_port
from store import clock
from store.db import Database
from store.touches import Category, Channel, TouchState
from web.queue import Nudger, make_queue

WORKERS, _EACH, _ROUNDS, _WARM = 2, 2_000, 3, 200
_PORT = 8401
_SECRET = "the key of a bench"  # noqa: S105 -- it opens a database that is dropped at the end
_CHUNK = 1_000
_TICKS = 100
# Everyone follows the account and has just written to it.
_PEOPLE = [
    text("""
    INSERT INTO members (card_no, name, brand_id, status, created_at)
    SELECT 'bench-' || n, '', :brand_id, 'active', :now
    FROM generate_series(CAST(:first AS bigint), :last) AS n
    """),
    text("""
    INSERT INTO identities (member_id, channel, account, outside_id, is_reachable, created_at)
    SELECT id, 'wechat', :app_id, 'oBench' || lpad(substr(card_no, 7), 22, '0'), true, :now
    FROM members WHERE id BETWEEN :first AND :last
    """),
    text("""
    INSERT INTO consents (member_id, channel, purpose, is_granted, text_version, source, stated_at)
    SELECT id, '', 'marketing', true, '1', 'bench', :now
    FROM members WHERE id BETWEEN :first AND :last
    """),
    text("""
    INSERT INTO grants
        (member_id, channel, account, template_id, allowance, opened_at, expires_at, source_id)
    SELECT id, 'wechat_service', :app_id, '', 5, :now, :ends, 'bench-' || id
    FROM members WHERE id BETWEEN :first AND :last
    """),
]
_OPEN = text("SELECT count(*) FROM touches WHERE state IN ('asked', 'reserved', 'sending')")
_ENDS = text("SELECT state, count(*), max(settled_at) FROM touches GROUP BY state")
_BACKENDS = text("SELECT pid FROM pg_stat_activity WHERE datname = current_database()")


@dataclass
class _Bench:
    """The ground, the crew on it, and the members that were not written to yet."""

    ground: Ground
    crew: Crew
    api_url: str
    brand_id: int
    used: int = 0
    sent: int = 0
    works: dict[str, list[float]] = field(default_factory=dict)
    # CPU seconds for each thousand touches, by who used them.
    costs: dict[str, list[float]] = field(default_factory=dict)

    @property
    def place(self) -> Place:
        """Where the floor is measured."""
        ground = self.ground
        return Place(ground.database_url, ground.redis_url, f"{self.api_url}/wechat", _SECRET)


def run() -> None:
    """Print the tables and the figures."""
    with prepared() as ground, Crew(ground.folder / "log", click.echo) as crew:
        bench = _Bench(ground, crew, "", _settle(ground.database))
        bench.api_url = _serve(crew, ground)
        with ProcessPoolExecutor(WORKERS, get_context("spawn")) as pool:
            _through(bench, _WARM)
            _floor(bench, pool, _WARM)
            bench.works.clear()
            bench.costs.clear()
            turns = range(_ROUNDS)
            with click.progressbar(turns, label="measuring", file=sys.stderr) as bar:
                for _ in bar:
                    _through(bench, _EACH)
                    _floor(bench, pool, _EACH)
        _check(bench)
        _tell(bench)


def _settle(database: Database) -> int:
    with database.transaction() as session:
        brand_id = register(session, APP_SECRET, secret_key=_SECRET, now=clock.now())
        awake = [rule for rule in DEFAULT_RULES if rule.name != "quiet_hours"]
        policies.publish(session, awake, author="bench", now=clock.now())
        return brand_id


def _serve(crew: Crew, ground: Ground) -> str:
    port = free_port(_PORT)
    python, url = sys.executable, f"http://127.0.0.1:{port}"
    crew.start("sandbox", [python, "-m", "web.cli", "sandbox", "--port", str(port)], {})
    crew.wait_until_answers(f"{url}/sandbox/journal.json", 60)
    account = {"appid": APP_ID, "secret": APP_SECRET, "token": TOKEN, "aes_key": AES_KEY}
    account |= {"original_id": ORIGINAL_ID, "door_url": "http://127.0.0.1:9/"}
    _post(url, "register", {"accounts": [account]})
    settings = {"ZHIYIN_SECRET_KEY": _SECRET, "ZHIYIN_WECHAT_API_URL": f"{url}/wechat"}
    for number in range(WORKERS):
        name = f"worker {number}"
        environment = ground.environment() | settings
        crew.start(name, [python, "-m", "web.cli", "worker"], environment)
    return url


def _post(url: str, path: str, body: object) -> None:
    httpx.post(f"{url}/sandbox/{path}", json=body, trust_env=False, timeout=60).raise_for_status()


def _fill(bench: _Bench, number: int) -> range:
    """New members who may be written to, here and in the sandbox; gives their ids."""
    first, last = bench.used + 1, bench.used + number
    bench.used = last
    now = clock.now()
    facts = {"first": first, "last": last, "brand_id": bench.brand_id, "app_id": APP_ID}
    facts |= {"now": now, "ends": now + timedelta(hours=48)}
    with bench.ground.database.transaction() as session:
        for statement in _PEOPLE:
            session.connection().execute(statement, facts)
    people = [{"openid": _openid(one), "has_written": True} for one in range(first, last + 1)]
    _post(bench.api_url, "people", {"followers": people})
    return range(first, last + 1)


def _openid(number: int) -> str:
    return f"oBench{number:022}"


def _reserve(bench: _Bench, members: range) -> list[int]:
    ids = []
    for first in range(members.start, members.stop, _CHUNK):
        asks = [
            Ask(
                key=f"bench-{member_id}",
                member_id=member_id,
                channels=(Channel.WECHAT_SERVICE,),
                category=Category.MARKETING,
                brand_id=bench.brand_id,
                text=floor.WORDS,
            )
            for member_id in range(first, min(first + _CHUNK, members.stop))
        ]
        with bench.ground.database.transaction() as session:
            touches = gate.ask_many(session, asks, now=clock.now(), lease_minutes=60)
            assert all(touch.state is TouchState.RESERVED for touch in touches), touches[0].verdict
            ids += [touch.id for touch in touches]
    return ids


def _through(bench: _Bench, number: int) -> list[int]:
    """The whole path for so many touches; gives their ids."""
    ids = _reserve(bench, _fill(bench, number))
    redis = Redis.from_url(bench.ground.redis_url)
    hand_over = Database(bench.ground.database.engine, Nudger(make_queue(redis)))
    with _metered(bench, number):
        began = clock.real()
        with hand_over.transaction() as session:
            delivery.nudge(session, ids)
        ended = _wait(bench, bench.sent + number)
    bench.sent += number
    redis.close()
    _note(bench, "whole path", number / (ended - began).total_seconds())
    return ids


def _wait(bench: _Bench, sent: int) -> datetime:
    """Until all are settled; gives when the last one was."""
    while True:
        bench.crew.check()
        with bench.ground.database.transaction() as session:
            left = session.connection().execute(_OPEN).scalar_one()
            if not left:
                return _last(session, sent)
        time.sleep(0.1)


def _last(session: Session, sent: int) -> datetime:
    found = {row[0]: row[1:] for row in session.connection().execute(_ENDS)}
    count, ended = found.get("sent", (0, None))
    assert count == sent, f"Not every touch was sent: {found}"
    assert isinstance(ended, datetime)
    return ended


def _floor(bench: _Bench, pool: ProcessPoolExecutor, number: int) -> None:
    """The calls and the updates, each alone, in as many processes as there are workers."""
    place = bench.place
    floor.per_second(pool, floor.warm, place, [[0]] * WORKERS)
    for name, act in (("calls alone", floor.calls), ("bare requests", floor.bare_calls)):
        members = [_openid(one) for one in _fill(bench, number)]
        shares = [members[part::WORKERS] for part in range(WORKERS)]
        _note(bench, name, floor.per_second(pool, act, place, shares))
    ids = _reserve(bench, _fill(bench, number))
    rows = [ids[part::WORKERS] for part in range(WORKERS)]
    _note(bench, "row updates alone", floor.per_second(pool, floor.updates, place, rows))
    bench.sent += number


def _note(bench: _Bench, name: str, speed: float) -> None:
    bench.works.setdefault(name, []).append(speed)


@contextmanager
def _metered(bench: _Bench, number: int) -> Iterator[None]:
    """Notes the CPU seconds that everybody spends inside the `with`."""
    before = _spent(bench)
    yield
    after = _spent(bench)
    for name, seconds in after.items():
        cost = (seconds - before.get(name, 0.0)) / number * 1000
        bench.costs.setdefault(name, []).append(cost)


def _spent(bench: _Bench) -> dict[str, float]:
    workers = [_of_session(bench.crew.pid(f"worker {number}")) for number in range(WORKERS)]
    with bench.ground.database.transaction() as session:
        backends = session.connection().execute(_BACKENDS).scalars().all()
    redis = Redis.from_url(bench.ground.redis_url)
    server = redis.info("server")
    redis.close()
    assert isinstance(server, dict)
    return {
        "workers": sum(workers),
        "sandbox": _of_session(bench.crew.pid("sandbox")),
        "PostgreSQL": sum(_of_process(pid) for pid in backends),
        "Redis": _of_process(server["process_id"]),
    }


def _of_session(leader: int) -> float:
    """CPU seconds of all processes that were started with `leader`."""
    total = 0.0
    for entry in Path("/proc").glob("[0-9]*/stat"):
        facts = _stat(entry)
        if facts and int(facts[3]) == leader:
            total += (int(facts[11]) + int(facts[12])) / _TICKS
    return total


def _of_process(pid: int) -> float:
    facts = _stat(Path(f"/proc/{pid}/stat"))
    return (int(facts[11]) + int(facts[12])) / _TICKS if facts else 0.0


def _stat(path: Path) -> list[str]:
    """The fields after the name, which may hold blanks; none for a process that is gone."""
    try:
        return path.read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _check(bench: _Bench) -> None:
    """The sandbox took exactly as many messages as there are touches and calls."""
    url = f"{bench.api_url}/sandbox/journal.json"
    params = {"kind": "receipt"}
    found = httpx.get(url, params=params, trust_env=False, timeout=60).json()
    receipts = len(found["entries"])
    assert receipts == bench.used - _updated(bench), (receipts, bench.used)


def _updated(_bench: _Bench) -> int:
    """Members of the row updates, to whom nothing was sent."""
    return _WARM + _ROUNDS * _EACH


def _tell(bench: _Bench) -> None:
    showing.table(
        f"{_EACH:,} touches a round, {WORKERS} processes, batches of {delivery.BATCH}",
        ["", "a second"],
        [[name, showing.middle(speeds)] for name, speeds in bench.works.items()],
    )
    showing.table(
        "CPU seconds for a thousand touches, whole path",
        ["", "seconds"],
        [[name, showing.middle(costs)] for name, costs in bench.costs.items()],
    )
    middle = {name: median(speeds) for name, speeds in bench.works.items()}
    speed = middle["whole path"]
    showing.figures(
        "delivery",
        {
            "touches_per_s": speed,
            "vs_calls": speed / middle["calls alone"],
            "vs_bare_requests": speed / middle["bare requests"],
            "vs_row_updates": speed / middle["row updates alone"],
        },
    )
