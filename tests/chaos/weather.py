"""What goes wrong in a storm: the platforms misbehave, and parts of the house are killed."""

import signal
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import httpx

from tests.chaos.ground import ASKERS, WORKERS, Ground

_CUSTOM = ("wechat", "cgi-bin/message/custom/send")
_NOTICE = ("wechat", "cgi-bin/message/subscribe/bizsend")
_BROADCAST = ("wecom", "cgi-bin/externalcontact/add_msg_template")
_POLL = ("wecom", "cgi-bin/externalcontact/get_groupmsg_send_result")
_TEMPLATE = ("wechat", "cgi-bin/message/template/send")
_SMS = ("sms", "v1/messages")
_PLATFORMS = (_CUSTOM, _CUSTOM, _NOTICE, _BROADCAST, _BROADCAST, _POLL, _TEMPLATE)
_SENDS = (*_PLATFORMS, _SMS)
_TOKENS = (("wechat", "cgi-bin/stable_token"), ("wecom", "cgi-bin/gettoken"))
_DOOR = (("callback", "*"),)

TOO_SLOW = 9.0
# What, how long or with which code, where, and how often in comparison.
_Trick = tuple[str, dict[str, float], tuple[tuple[str, str], ...]]
_TRICKS: dict[str, tuple[_Trick, int]] = {
    "slow": (("slow", {"seconds": 0.8}, _PLATFORMS), 14),
    # The caller has hung up when the message is taken.
    "too slow": (("slow", {"seconds": TOO_SLOW}, _PLATFORMS), 2),
    "broke off before": (("hang", {"seconds": 0.3}, _PLATFORMS), 6),
    "broke off after": (("drop", {}, _SENDS), 14),
    "gateway error": (("down", {}, _SENDS), 8),
    "busy (-1)": (("error", {"code": -1}, _SENDS), 14),
    "token refused (40001)": (("error", {"code": 40001}, _PLATFORMS), 3),
    "token expired": (("expired_token", {}, _PLATFORMS), 5),
    "token endpoint busy": (("error", {"code": -1}, _TOKENS), 2),
    "token endpoint down": (("down", {}, _TOKENS), 2),
    "callback twice": (("duplicate", {}, _DOOR), 4),
    "callback lost": (("lost", {}, _DOOR), 3),
    "callback late": (("late", {"seconds": 0.5}, _DOOR), 3),
    "answer of the door lost": (("cut", {}, _DOOR), 3),
}
# One trick, for a call or two, in so many attempts to send.
_ATTEMPTS_A_TRICK = 9
_MOST_AT_ONCE = 2
_BETWEEN_STRIKES = (0.6, 2.4)

FAST, IMMEDIATE, KILLED = signal.SIGINT, signal.SIGQUIT, signal.SIGKILL
STRIKES: dict[str, Callable[[Ground, Random], None]] = {
    "worker killed": lambda ground, dice: ground.kill(f"worker{dice.randrange(WORKERS)}"),
    "asker killed": lambda ground, dice: ground.kill(f"asker{dice.randrange(ASKERS)}"),
    "cron killed": lambda ground, _: ground.kill("cron"),
    "web killed": lambda ground, _: ground.kill("web"),
    "Valkey flushed": lambda ground, _: ground.flush_valkey(),
    "Valkey killed": lambda ground, _: ground.restart_valkey(),
    "PostgreSQL restarted (fast)": lambda ground, _: ground.restart_postgres(FAST),
    "PostgreSQL restarted (immediate)": lambda ground, _: ground.restart_postgres(IMMEDIATE),
    "PostgreSQL killed": lambda ground, _: ground.restart_postgres(KILLED),
    # Whoever is told so keeps away for an hour.
    "quota used up (45009)": lambda ground, dice: _use_up_quota(ground, dice),
}
_OTHERS_A_ROUND = 3


@dataclass
class Weather:
    """The misfortune of one storm, drawn by one pair of dice, and how much of it there was."""

    ground: Ground
    dice: Random
    counted: Counter[str] = field(default_factory=Counter)
    _deck: deque[str] = field(default_factory=deque)
    _others: list[str] = field(default_factory=list)
    _tricks: int = 0
    _strike_at: float = 0.0
    struck_at: float = 0.0

    def gather(self, workers: int) -> None:
        """What shall strike in the next round: so many workers, and everything else by turns."""
        strikes = ["worker killed"] * workers
        for _ in range(_OTHERS_A_ROUND):
            if not self._others:
                self._others = [name for name in STRIKES if name != "worker killed"]
                self.dice.shuffle(self._others)
            strikes.append(self._others.pop())
        self.dice.shuffle(strikes)
        self._deck.extend(strikes)

    @property
    def is_over(self) -> bool:
        """Whether all of this round's strikes have fallen."""
        return not self._deck

    def blow(self, attempts: int) -> None:
        """Whatever is due after so many attempts to send."""
        if attempts >= self._tricks * _ATTEMPTS_A_TRICK:
            # Not made up for after a rush: tricks in store would keep a platform down for days.
            self._tricks = attempts // _ATTEMPTS_A_TRICK + 1
            self._misbehave()
        if self._deck and time.monotonic() > self._strike_at:
            name = self._deck.popleft()
            STRIKES[name](self.ground, self.dice)
            self.counted[name] += 1
            self.struck_at = time.monotonic()
            self._strike_at = self.struck_at + self.dice.uniform(*_BETWEEN_STRIKES)

    def calm(self) -> None:
        """The platforms behave from now on."""
        self.ground.tell("behave")

    def _misbehave(self) -> None:
        names = list(_TRICKS)
        name = self.dice.choices(names, weights=[_TRICKS[one][1] for one in names])[0]
        how, facts, places = _TRICKS[name][0]
        server, path = self.dice.choice(places)
        times = self.dice.randint(1, _MOST_AT_ONCE)
        self.ground.tell("misbehave", server=server, path=path, how=how, times=times, **facts)


def _use_up_quota(ground: Ground, dice: Random) -> None:
    server, path = dice.choice(_PLATFORMS)
    ground.tell("misbehave", server=server, path=path, how="error", code=45009)


def mischief(ground: Ground) -> Counter[str]:
    """How many calls and callbacks have really gone wrong, by what was done to them."""
    found: Counter[str] = Counter()
    for kind in ("call", "push"):
        url = f"{ground.sandbox}/sandbox/journal.json?kind={kind}"
        entries = httpx.get(url, timeout=60, trust_env=False).json()["entries"]
        found.update(one["misbehaved"] for one in entries if one["misbehaved"])
    return found
