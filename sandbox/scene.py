"""One run of the classic case: where it plays, how it reads the record, how it waits."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlmodel import Session

from sandbox import world_reads as reads
from sandbox.actors import ActorStuck, World
from store import clock
from store.db import Database

Say = Callable[[str], None]
_POLL_SECONDS = 0.5
_PATIENCE_SECONDS = 120


@dataclass
class Case:
    """One run of the case; `seconds` collects how long each step took.

    `check` raises when a process that the case needs has gone.
    """

    database: Database
    world: World
    password: str
    till_key: str
    coupon_plan: str
    say: Say
    seconds: dict[str, float] = field(default_factory=dict)
    check: Callable[[], None] = lambda: None
    began_at: datetime = field(default_factory=clock.now)

    @contextmanager
    def step(self, name: str, sentence: str) -> Iterator[None]:
        """Say what begins, and keep how long it took."""
        self.say(sentence)
        began = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - began

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A look at the database."""
        with self.database.transaction() as session:
            yield session

    def wait(self, what: str, sql: str, **values: object) -> None:
        """Wait until `sql` counts to zero; somebody is stuck after two minutes."""
        until = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < until:
            with self.reading() as session:
                if reads.count(session, sql, **values) == 0:
                    return
            self.sleep(_POLL_SECONDS)
        raise ActorStuck(f"Waited {_PATIENCE_SECONDS} s in vain for {what}.")

    def wait_for_notices(self, what: str) -> None:
        """Wait until guides have been told; what a killed run left half told is not waited for."""
        sql = (
            "SELECT count(*) FROM notices"
            " WHERE state IN ('pending', 'sending') AND created_at >= :began_at"
        )
        self.wait(what, sql, began_at=self.began_at)

    def move_clock(self, by: timedelta) -> None:
        """Let time pass at once, for everybody."""
        self.world.tell("clock/move", seconds=max(0, round(by.total_seconds())))

    def sleep(self, seconds: float) -> None:
        """Let time pass, while everybody is there."""
        until = time.monotonic() + seconds
        while (rest := until - time.monotonic()) > 0:
            self.check()
            time.sleep(min(rest, _POLL_SECONDS))
