"""One storm from the first wish to the reckoning: the days of it, and how it is watched."""

import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session, col, select

from bot import dead_letters
from sandbox import load, moving_clock, sms_server, stage
from store import clock
from store.db import Database, make_engine
from store.errors import WrongState
from store.members import Identity, IdentityChannel, Member
from store.organisation import Guide
from store.settings import Settings
from store.touches import FINAL, Channel, Touch, TouchState
from tests.chaos import accounts, plan, tally, town
from tests.chaos.ground import ASKERS, Ground
from tests.chaos.tally import Arrival, Row
from tests.chaos.weather import TOO_SLOW, Weather, mischief

_SECRET = "a key of the storm"
_CHINA = ZoneInfo("Asia/Shanghai")
_BEGINS = (9, 30)
# No jump leads later than this: at night nothing is sent.
_LAST_HOUR = 20
_JUMPS = (timedelta(minutes=25), timedelta(hours=2), timedelta(hours=4))
_TICK_SECONDS = 0.1
_LOOK_SECONDS = 0.5
_TELL_SECONDS = 5.0
_SECONDS_BEFORE, _SECONDS_A_TOUCH = 420.0, 0.12
_TOUCHES_A_ROUND, _FEWEST_ROUNDS, _MOST_ROUNDS = 1250, 3, 16
_TOUCHES_A_WORKER, _FEWEST_WORKERS = 250, 2
# Wishes wait for three days at most, and so does a broadcast for its guide.
_DAYS_AFTER = (timedelta(hours=20), timedelta(hours=20), timedelta(hours=80), timedelta(hours=80))
# A broadcast that its guide did not confirm by then becomes a letter.
_GUIDES_PATIENCE = timedelta(days=32)
# By then no broadcast may lie before its guide; of what was stopped the platform has a last word.
_TOO_LONG = timedelta(hours=80)
_GRACE = timedelta(minutes=3)
# Of the letters that had not arrived, one in so many is sent once more; not in a small storm.
_AGAIN_EVERY, _AGAIN_FROM = 3, 2000
_LETTERS_AT_ONCE = 500
_CHANNELS = {**accounts.CHANNELS, "wechat_template": "wechat_template", "sms": "sms"}

_STATES = text("SELECT state, count(*) FROM touches GROUP BY 1")
# What somebody should take up now. Who sends is waited for by letting the workers rest.
_BUSY = text("""
    SELECT count(*) FROM touches
    WHERE state = 'reserved' OR (state = 'asked' AND retry_at <= :now)
""")
_ASKED = text("SELECT count(*) FROM touches WHERE key LIKE 'storm-%' AND key NOT LIKE '%~%'")
_ATTEMPTS = text("SELECT coalesce(sum(attempts), 0) FROM touches")
_WITHOUT_LETTER = text("""
    SELECT count(*) FROM touches t WHERE state = 'sending' OR (state = 'unknown'
        AND NOT EXISTS (SELECT FROM letters l WHERE l.touch_id = t.id AND l.state = 'open'))
""")
_BEFORE_GUIDES = text("""
    SELECT count(*) FROM touches WHERE channel = 'wecom_broadcast' AND provider_id IS NOT NULL
        AND state IN ('sending', 'unknown') AND retry_at IS NULL
""")
_STOPPED = text("""
    SELECT count(*) FROM touches WHERE channel = 'wecom_broadcast' AND provider_id IS NOT NULL
        AND state IN ('sending', 'unknown')
""")
_RULES = text("""
    SELECT reason ->> 'rule', count(*)
    FROM touches, jsonb_array_elements(verdict -> 'violations') AS reason GROUP BY 1
""")

Say = Callable[[str], None]


class TooLong(Exception):  # noqa: N818 -- it says what is wrong
    """The storm did not end in its time."""


@dataclass
class Storm:
    """A storm of so many touches over a ground that stands."""

    ground: Ground
    touches: int
    say: Say
    seed: int = 0
    weather: Weather = field(init=False)
    began: float = field(default_factory=time.monotonic)
    letters: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.dice = Random(self.seed)  # noqa: S311 -- the weather, no secret
        self.weather = Weather(self.ground, self.dice)
        self.members = plan.members_for(self.touches)
        self.rounds = min(max(_FEWEST_ROUNDS, self.touches // _TOUCHES_A_ROUND), _MOST_ROUNDS)
        self.until = self.began + _SECONDS_BEFORE + self.touches * _SECONDS_A_TOUCH
        self.database = Database(make_engine(self.ground.database_url, pool_size=2))
        self.target = self.ground.var / "target"
        self._look_at = self._told_at = 0.0
        self._attempts = 0

    def prepare(self, asker: tuple[str, ...] = ("tests.chaos.asker",)) -> None:
        """A working day begins: people, processes, and everybody has written once."""
        moving_clock.keep_in(self.ground.var / "clock", _until_begin(clock.real()))
        settings = Settings(secret_key=_SECRET)
        town.settle(self.database, settings, self.members)
        self.target.write_text("0")
        self.ground.open(_environment(self.ground))
        self._introduce(settings)
        ids, target = str(self.members), str(self.target)
        for number in range(ASKERS):
            self.ground.join(f"asker{number}", *asker, str(number), str(ASKERS), ids, target)
        people = str(self.ground.var / "people.json")
        self.ground.join("life", "tests.chaos.life", self.ground.sandbox, people)
        self._wait("members write for the first time", (self.ground.var / "visited").exists)

    def rage(self) -> None:
        """Round after round of wishes, deliveries, mischief and death, with days in between."""
        for number in range(1, self.rounds + 1):
            a_round = self.touches // self.rounds
            self.weather.gather(max(_FEWEST_WORKERS, a_round // _TOUCHES_A_WORKER))
            self._aim(self.touches * number // self.rounds)
            self._wait(f"round {number} of {self.rounds}", self._is_drained, storm=self.weather)
            self._jump(self.dice.choice(_JUMPS))
        self.weather.calm()

    def settle(self) -> None:
        """After the storm: days pass until nothing moves any more; a person reads the letters."""
        self._let_days_pass()
        for number in range(ASKERS):
            self.ground.dismiss(f"asker{number}")
        if self.touches >= _AGAIN_FROM:
            self._read_letters(is_last=False)
            self._let_days_pass()
        self._read_letters(is_last=True)

    def _let_days_pass(self) -> None:
        for days in _DAYS_AFTER:
            self._wait("the days after", self._is_drained)
            if not self._open_touches():
                break
            self._jump(days)
        self._wait("the days after", self._is_drained)
        self._jump(_TOO_LONG)
        self._wait("broadcasts are stopped", lambda: self._read(_BEFORE_GUIDES) == [(0,)])
        self._jump(_GRACE)
        self._wait("broadcasts are over", lambda: self._read(_STOPPED) == [(0,)])
        self._jump(_GUIDES_PATIENCE)
        self._wait("letters are written", lambda: self._read(_WITHOUT_LETTER) == [(0,)])

    def reckon(self) -> list[str]:
        """Everything that does not add up."""
        wishes = [plan.wish(number, self.members) for number in range(self.touches)]
        with self.database.transaction() as session:
            touches = session.exec(select(Touch)).all()
        rows = [_row(touch) for touch in touches if touch.key.startswith("storm-")]
        nobodys = [touch.key for touch in touches if not touch.key.startswith("storm-")]
        return [
            *(f"{key} was asked for by nobody" for key in nobodys),
            *tally.complaints(self._arrivals(), rows, wishes),
        ]

    def facts(self) -> dict[str, dict[str, int]]:
        """What there was of everything, for the table at the end."""
        with self.database.transaction() as session:
            ask = session.connection().execute
            rules = {str(rule): int(count) for rule, count in ask(_RULES)}
            states = {str(state): int(count) for state, count in ask(_STATES)}
        return {
            "touches by state": states,
            "letters to a person": dict(self.letters),
            "received by channel": dict(Counter(one.channel.value for one in self._arrivals())),
            "held back by": rules,
            "strikes": dict(self.weather.counted),
            "deaths": dict(self.ground.deaths),
            "calls and callbacks gone wrong": dict(mischief(self.ground)),
        }

    def close(self) -> None:
        """Let go of the database."""
        self.database.engine.dispose()

    def _introduce(self, settings: Settings) -> None:
        self.ground.tell("register", **stage.platforms(settings, self.ground.product))
        with self.database.transaction() as session:
            self.ground.tell("people", **load.people(session))
            followers = select(Identity.outside_id).where(
                Identity.channel == IdentityChannel.WECHAT
            )
            known = {
                "members": list(session.exec(followers)),
                "guides": list(session.exec(select(Guide.userid).order_by(col(Guide.id)))),
            }
        (self.ground.var / "people.json").write_text(json.dumps(known))

    def _aim(self, number: int) -> None:
        fresh = self.target.with_suffix(".new")
        fresh.write_text(str(number))
        fresh.replace(self.target)

    def _wait(self, what: str, done: Callable[[], bool], storm: Weather | None = None) -> None:
        while (storm is not None and not storm.is_over) or not done():
            if time.monotonic() > self.until:
                raise TooLong(f"{what} did not end in its time: {self._line(what)}")
            self.ground.tend()
            if storm is not None:
                storm.blow(self._attempts)
            if time.monotonic() > self._told_at:
                self._told_at = time.monotonic() + _TELL_SECONDS
                self.say(self._line(what))
            time.sleep(_TICK_SECONDS)

    def _jump(self, by: timedelta) -> None:
        """On by so much; where that leads into the night, to the morning before it.

        Nothing is on its way meanwhile, for no call may last for days.
        """
        local = (clock.now() + by).astimezone(_CHINA)
        if local.hour >= _LAST_HOUR or local.hour < _BEGINS[0]:
            by += moving_clock.until_morning(clock.now() + by)
        self.ground.rest()
        time.sleep(max(0.0, self.weather.struck_at + TOO_SLOW + 1.0 - time.monotonic()))
        self.ground.tell("clock/move", seconds=int(by.total_seconds()))
        self.ground.wake()
        self._look_at = 0.0

    def _is_drained(self) -> bool:
        """Whether all that was asked so far is decided, and nobody is at work."""
        if time.monotonic() < self._look_at:
            return False
        self._look_at = time.monotonic() + _LOOK_SECONDS
        self._attempts = next(iter(self._read(_ATTEMPTS)), (self._attempts,))[0]
        is_done = self._read(_BUSY, now=clock.now()) == [(0,)]
        return is_done and self._read(_ASKED) == [(int(self.target.read_text()),)]

    def _open_touches(self) -> int:
        states = self._read(_STATES)
        final = {*map(str, FINAL), str(TouchState.UNKNOWN)}
        return sum(count for state, count in states if state not in final) if states else 1

    def _read(self, query: Any, **facts: object) -> list[tuple[Any, ...]]:
        """Rows; none while the database is away."""
        try:
            with self.database.transaction() as session:
                return [tuple(row) for row in session.connection().execute(query, facts)]
        except DBAPIError:
            return []

    def _read_letters(self, *, is_last: bool) -> None:
        """A person reads what nobody could deliver, asks the members, and decides."""
        arrived = {one.number for one in self._arrivals()}
        place = count(1)
        while True:
            with self.database.transaction() as session:
                views = dead_letters.waiting(session, limit=_LETTERS_AT_ONCE)
            for view in views:
                has_come = view.is_unknown and _row(view.touch).number in arrived
                is_again = not is_last and next(place) % _AGAIN_EVERY == 0
                act = _decide(has_come=has_come, is_again=is_again)
                try:
                    with self.database.transaction() as session:
                        act(session, view.letter.token, actor="storm", now=clock.now())
                except WrongState:
                    # The platform has told meanwhile what became of it, which closed the letter.
                    self.letters["settled before the person"] += 1
                else:
                    self.letters[f"{view.touch.state}, {act.__name__}"] += 1
            if not views:
                return

    def _arrivals(self) -> list[Arrival]:
        with self.database.transaction() as session:
            return arrivals(session, self.ground.var / "receipts.jsonl")

    def _line(self, what: str) -> str:
        states = dict(self._read(_STATES))
        shown = "  ".join(f"{state} {states[state]}" for state in sorted(states))
        local = clock.now().astimezone(_CHINA)
        seconds = time.monotonic() - self.began
        return f"{seconds:5.0f} s  {local:%m-%d %H:%M}  {what}: {shown or 'nothing to see'}"


def arrivals(session: Session, receipts: Path) -> list[Arrival]:
    """What the phones show of the storm's touches, as the sandbox wrote it down."""
    people = {member: number for number, member in enumerate(town.known(session).members)}
    homes = session.exec(select(Identity.outside_id, Identity.member_id)).all()
    mobiles = session.exec(select(Member.mobile, Member.id)).all()
    whose = {home: people[member] for home, member in (*homes, *mobiles) if member in people}
    found = []
    for line in receipts.read_text().splitlines():
        told = json.loads(line)
        number = plan.number_in(told["text"])
        if number is not None:
            channel = Channel(_CHANNELS[told["channel"]])
            at = datetime.fromisoformat(told["at"])
            found.append(Arrival(number, whose[told["to"]], channel, at))
    return found


def _row(touch: Touch) -> Row:
    number = int(touch.key.removeprefix("storm-").partition("~")[0])
    return Row(number, touch.state, touch.channel, touch.fenced_at, touch.counted_at)


def _decide(*, has_come: bool, is_again: bool) -> Callable[..., Touch]:
    if has_come:
        return dead_letters.confirm
    return dead_letters.retry if is_again else dead_letters.drop


def _until_begin(now: datetime) -> int:
    """Seconds to the next half past nine in China."""
    return int(moving_clock.until_morning(now).total_seconds())


def _environment(ground: Ground) -> dict[str, str]:
    return {
        "ZHIYIN_DATABASE_URL": ground.database_url,
        "ZHIYIN_REDIS_URL": ground.redis_url,
        "ZHIYIN_VAR_DIR": str(ground.var),
        "ZHIYIN_SECRET_KEY": _SECRET,
        "ZHIYIN_PUBLIC_URL": ground.product,
        "ZHIYIN_WECHAT_API_URL": f"{ground.sandbox}/wechat",
        "ZHIYIN_WECOM_API_URL": f"{ground.sandbox}/wecom",
        "ZHIYIN_OAUTH_URL": f"{ground.sandbox}/oauth",
        "ZHIYIN_SMS_API_URL": f"{ground.sandbox}/sms",
        "ZHIYIN_SMS_KEY_ID": sms_server.KEY_ID,
        "ZHIYIN_SMS_SECRET": sms_server.SECRET,
        "ZHIYIN_SMS_SIGNATURE": stage.BRAND_NAME,
        "ZHIYIN_EMBEDDING_ENABLED": "false",
        clock.SHIFT_FILE: str(ground.var / "clock"),
    }
