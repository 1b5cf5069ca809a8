"""Careless workers that send through the gate in processes of their own, and die at random.

They ask, wait at times longer than their lease, fence, and write every send into a file before
they settle: what stands there was sent, whatever the record says. The first process only forks the
others and kills them with -9. Used by `test_processes`; time runs 600 times as fast as it does.
"""

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TextIO

from sqlalchemy.exc import OperationalError
from sqlmodel import Session

from fatigue import facts, fencing, gate
from fatigue.gate import Ask, Outcome, Plan, Verdict
from store.db import Database, make_engine
from store.errors import WrongState
from store.touches import Category, Channel, TouchState

_FASTER = 600
_SILENCE = timedelta(minutes=3)
_PRIORITIES = (10, 50, 70, 95)
_CHANNELS = (Channel.SMS, Channel.WECHAT_SERVICE)
_SENT_BETWEEN_DEATHS = 4
_MOMENT = 0.1
_TICK = 0.25
# An hour of the fast clock, and some more.
_AFTER_MIDNIGHT = 8
_PATIENCE = 50


class Worker:
    """One process: its own connection, its own chance, its own file."""

    def __init__(self, order: dict[str, Any], seed: int) -> None:
        self.order, self.seed = order, seed
        self.chance = random.Random(seed)  # noqa: S311 -- a test's chance
        self.database = Database(make_engine(order["url"], pool_size=1))
        # Without the lock some wait for each other for ever; with it nobody may.
        self._expected = (OperationalError,) if order["is_unguarded"] else ()

    def now(self) -> datetime:
        """The fast clock that all processes share."""
        fast = (time.time() - self.order["began"]) * _FASTER
        return datetime.fromtimestamp(self.order["midnight"] - 3600 + fast, tz=UTC)

    def run(self) -> None:
        """Work until killed."""
        with Path(self.order["folder"], f"{self.seed}.log").open("a", buffering=1) as sent:
            for number in range(1_000_000):
                try:
                    for touch_id in self._reserve(f"{self.seed}-{number}"):
                        self._deliver(touch_id, sent)
                except self._expected:
                    continue

    def _reserve(self, key: str) -> list[int]:
        match self.chance.randrange(10):
            case 0:
                # Each in a transaction of its own, as the product's sweeper does.
                self._do(lambda session: gate.free_leases(session, self.now()))
                self._do(
                    lambda session: gate.mark_unknown(session, older_than=_SILENCE, now=self.now())
                )
                with self.database.transaction() as session:
                    return self._ask_due(session)
            case 1:
                self._do(lambda session: gate.hold(session, [self._plan()], now=self.now()))
                return []
            case _:
                with self.database.transaction() as session:
                    touch = gate.ask(
                        session, self.an_ask(key), now=self.now(), lease_minutes=self.order["lease"]
                    )
                    return [touch.id] if touch.state is TouchState.RESERVED else []

    def _ask_due(self, session: Session) -> list[int]:
        due = gate.due(session, self.now(), 3)
        again = gate.ask_again(session, due, now=self.now(), lease_minutes=self.order["lease"])
        return [touch.id for touch in again if touch.state is TouchState.RESERVED]

    def an_ask(self, key: str) -> Ask:
        """The ask behind a key; now and then that of the key before."""
        # As a worker asks again that has not heard the answer.
        number = int(key.rsplit("-", 1)[1])
        again = self.chance.random() < 0.1 and number > 0
        key = f"{self.seed}-{number - 1}" if again else key
        own = random.Random(key)  # noqa: S311 -- the same ask for the same key
        return Ask(
            key=key,
            member_id=own.choice(self.order["members"]),
            channels=tuple(own.sample(_CHANNELS, own.randint(1, 2))),
            category=own.choice([Category.MARKETING, Category.CARE]),
            brand_id=self.order["brand"],
            priority=own.choice(_PRIORITIES),
            text=key,
        )

    def _plan(self) -> Plan:
        begins = self.now() + timedelta(minutes=self.chance.randrange(60))
        return Plan(
            campaign_id=self.chance.choice(self.order["campaigns"]),
            member_id=self.chance.choice(self.order["members"]),
            channels=_CHANNELS,
            category=Category.CARE,
            brand_id=self.order["brand"],
            priority=self.chance.choice((70, 95)),
            planned_from=begins,
            planned_until=begins + timedelta(minutes=10),
        )

    def _deliver(self, touch_id: int, sent: TextIO) -> None:
        time.sleep(self.chance.choice([0, 0, 0, 0.02, 0.15]))
        end = self.chance.random()
        if end < 0.1:
            return
        if end < 0.2:
            self._do(lambda session: gate.release(session, touch_id, reason="x", now=self.now()))
            return
        with self.database.transaction() as session:
            fenced = gate.fence(session, touch_id, now=self.now())
            touch = fenced.touch
            line = [touch.key, touch.member_id, touch.category, touch.channel]
        if fenced.refusal is not None or touch.fenced_at is None:
            return
        time.sleep(self.chance.choice([0, 0, 0.01]))
        has_failed = end < 0.3
        if not has_failed:
            sent.write(json.dumps([*line, touch.fenced_at.timestamp()]) + "\n")
        state = TouchState.FAILED if has_failed else TouchState.SENT
        if end < 0.9:
            self._do(lambda session: gate.settle(session, touch_id, state, now=self.now()))

    def _do(self, act: Callable[[Session], object]) -> None:
        try:
            with self.database.transaction() as session:
                act(session)
        except WrongState:
            # Somebody gave it up for lost meanwhile, and counts it.
            pass


def main() -> None:
    """Keep workers alive until enough was sent and enough of them died; tell how many did."""
    order = json.loads(sys.argv[1])
    if order["is_unguarded"]:
        _take_guards_away()
    _warm_up(order)
    order["began"] = time.time()
    chance = random.Random(0)  # noqa: S311 -- a test's chance
    seeds = iter(range(1_000_000))
    alive = [_start(order, next(seeds)) for _ in range(order["workers"])]
    kills = died_at = 0
    while not _is_enough(order, kills):
        time.sleep(_MOMENT)
        # On a busy machine everybody lives longer, or nothing would be done at all.
        if kills < order["kills"] and _sent(order) >= died_at + _SENT_BETWEEN_DEATHS:
            died_at = _sent(order)
            _kill(alive.pop(chance.randrange(len(alive))))
            kills += 1
            alive.append(_start(order, next(seeds)))
    for process_id in alive:
        _kill(process_id)
    print(json.dumps({"kills": kills}))  # noqa: T201 -- the answer to the test


def _is_enough(order: dict[str, Any], kills: int) -> bool:
    seconds = time.time() - float(order["began"])
    is_done = _sent(order) >= order["sent"] and kills >= order["kills"]
    return bool(is_done and seconds > _AFTER_MIDNIGHT) or seconds > _PATIENCE


def _sent(order: dict[str, Any]) -> int:
    """How many messages went so far."""
    return sum(path.read_text().count("\n") for path in Path(order["folder"]).glob("*.log"))


def _warm_up(order: dict[str, Any]) -> None:
    """Let the parent do once what would take each new process long: nothing of it is kept."""
    worker = Worker(order | {"began": time.time()}, seed=-1)
    with worker.database.engine.connect() as connection, Session(connection) as session:
        gate.ask(session, worker.an_ask("warm-0"), now=worker.now())
        session.rollback()
    worker.database.engine.dispose()


def _take_guards_away() -> None:
    """No lock when asking, no second look at the fence; who has read writes in one moment.

    Each of the two guards alone keeps the caps: whoever is reserved last sees all others at the
    fence. So both must go before anything goes wrong.
    """
    standings = facts.standings

    def slow(*args: Any) -> Any:
        found = standings(*args)
        time.sleep(_TICK - time.time() % _TICK)
        return found

    facts.locking = lambda _: ("SELECT 1", {})  # type: ignore[assignment]  # taken away
    facts.standings = slow  # type: ignore[assignment]  # held up
    fencing.judge = _let_through  # type: ignore[attr-defined, assignment]  # taken away


def _let_through(
    _policy: object, _standing: object, wish: Ask, _now: datetime, **_: object
) -> Verdict:
    return Verdict(Outcome.OPEN, wish.channels[0])


def _start(order: dict[str, Any], seed: int) -> int:
    process_id = os.fork()
    if process_id == 0:
        Worker(order, seed).run()
        os._exit(0)
    return process_id


def _kill(process_id: int) -> None:
    os.kill(process_id, signal.SIGKILL)
    os.waitpid(process_id, 0)


if __name__ == "__main__":
    main()
