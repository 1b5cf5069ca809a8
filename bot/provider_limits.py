"""The platforms' own limits, counted before each call so that none is broken (design.md §9).

A call is counted for its account and path in Redis, for all processes together, by the clock of
Redis. When Redis is lost the counts begin at nothing; while it is away nothing is counted, and the
platform itself refuses what is too much.
"""

import logging
import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from redis import Redis
from redis.exceptions import RedisError

from bot.calls import TooSoon

_log = logging.getLogger(__name__)

# The platforms' days begin at midnight in China, which has one zone and no summer time.
_CHINA_SECONDS = 8 * 3600


@dataclass(frozen=True)
class Cap:
    """At most `calls` in any `span` seconds, or per calendar slot when `span` is 0.

    Calls are kept in slots of `slot` seconds, and one that lies partly in the span counts whole: a
    cap may hold a call back for up to a slot longer than needed, and never lets one too many pass.
    """

    calls: int
    span: int
    slot: int


def per_minute(calls: int) -> Cap:
    """In any sixty seconds."""
    return Cap(calls, span=60, slot=2)


def per_hour(calls: int) -> Cap:
    """In any sixty minutes."""
    return Cap(calls, span=3600, slot=120)


def per_day(calls: int) -> Cap:
    """In a calendar day of China."""
    return Cap(calls, span=0, slot=86400)


Caps = tuple[Cap, ...]

# wechat-oa.md §7.1, §7.3, §9, §10.3 and touch_limits.json: daily limits of an account by path.
WECHAT: Mapping[str, Caps] = {
    "/cgi-bin/stable_token": (per_minute(10_000), per_day(500_000)),
    "/cgi-bin/message/custom/send": (per_day(500_000),),
    "/cgi-bin/message/template/send": (per_day(100_000),),
    "/cgi-bin/message/mass/sendall": (per_minute(60), per_day(100)),
    "/cgi-bin/message/mass/send": (per_minute(60), per_day(100)),
    "/cgi-bin/qrcode/create": (per_day(100_000),),
    "/cgi-bin/user/info": (per_day(5_000_000),),
    "/cgi-bin/user/get": (per_day(500),),
    "/cgi-bin/media/upload": (per_day(100_000),),
    "/cgi-bin/menu/create": (per_day(1_000),),
    "/cgi-bin/menu/get": (per_day(10_000),),
    "/cgi-bin/menu/delete": (per_day(1_000),),
    "/sns/oauth2/access_token": (per_minute(50_000),),
}
# wechat-oa.md §7.1: a forced refresh kills the token that others still use.
FORCED_TOKEN: Caps = (Cap(1, span=30, slot=1), per_day(20))
# wecom.md §2.4: a corp may call each API so often, whatever its apps.
WECOM_API: Caps = (per_minute(10_000), per_hour(150_000))
WECOM_EXEMPT = frozenset({"/cgi-bin/auth/getuserinfo"})
# wecom.md §2.4: tickets of pages, of all apps of a corp together and of one app.
WECOM_TICKETS: Mapping[str, Caps] = {
    "/cgi-bin/get_jsapi_ticket": (per_hour(400),),
    "/cgi-bin/ticket/get": (per_hour(400),),
}
WECOM_TICKETS_OF_APP: Caps = (per_hour(100),)
# wecom.md §2.4, touch_limits.json: an app to one member; WeCom drops what is more, silently.
WECOM_MESSAGES: Caps = (per_minute(30), per_hour(1_000))

# What a platform answers above a limit of its own that we did not foresee, and for how many seconds
# the path is left alone then: a minute's limit is over after them, and of a longer one it costs a
# call a minute to see whether it is (wechat-oa.md §12, wecom.md §2.3, §2.4).
PAUSES: Mapping[int, int] = {45009: 60, 45011: 60, 45036: 3600}

# KEYS: a hash of slots for each cap, and last the pause of the path. ARGV: now (empty: the
# server's), then cap, span, slot and shift of each. Gives the seconds to wait, as text because a
# script's numbers lose their fraction.
_TAKE = """
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] + time[2] / 1000000
end
local paused = redis.call('PTTL', KEYS[#KEYS])
if paused > 0 then return tostring(paused / 1000) end
local wait, current, gone = 0, {}, {}
for n = 1, #KEYS - 1 do
  local key, at = KEYS[n], 4 * n - 2
  local cap, span, slot = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local shifted = now + tonumber(ARGV[at + 3])
  current[n] = math.floor(shifted / slot)
  gone[n] = {}
  local flat, sum, kept = redis.call('HGETALL', key), 0, {}
  for i = 1, #flat, 2 do
    local index, count = tonumber(flat[i]), tonumber(flat[i + 1])
    if (index + 1) * slot + span > shifted then
      sum = sum + count
      kept[#kept + 1] = {index, count}
    else
      table.insert(gone[n], flat[i])
    end
  end
  table.sort(kept, function(a, b) return a[1] < b[1] end)
  for _, one in ipairs(kept) do
    if sum < cap then break end
    sum = sum - one[2]
    wait = math.max(wait, (one[1] + 1) * slot + span - shifted)
  end
end
if wait > 0 then return tostring(wait) end
for n = 1, #KEYS - 1 do
  local key, at = KEYS[n], 4 * n - 2
  redis.call('HINCRBY', key, current[n], 1)
  if #gone[n] > 0 then redis.call('HDEL', key, unpack(gone[n])) end
  redis.call('EXPIRE', key, tonumber(ARGV[at + 1]) + 2 * tonumber(ARGV[at + 2]))
end
return '0'
"""


class ProviderLimits:
    """The counts of one account; `clock` gives seconds since 1970 instead of Redis' own clock."""

    def __init__(
        self, redis: Redis, account: str, *, clock: Callable[[], float] | None = None
    ) -> None:
        self._redis, self._account, self._clock = redis, account, clock
        # The call that this thread made last is the one whose answer it reads.
        self._last = threading.local()
        self._script = redis.register_script(_TAKE)

    def take(self, what: str, caps: Caps) -> None:
        """Count one call of `what` under all caps, or refuse it with `TooSoon` and count nothing.

        A cap of no calls at all is never open; nobody may configure one. While the platform has
        asked for a pause there is no call, whatever the counts.
        """
        self._last.what = what
        try:
            wait = float(self._script(self._keys(what, caps), self._args(caps)))
        except RedisError as error:
            _log.warning("A call is not counted: %s.", type(error).__name__)
            return
        if wait > 0:
            raise TooSoon(math.ceil(wait))

    def refused(self, code: int | None) -> None:
        """The platform answered the last call of this thread so: too many leave its path alone."""
        seconds = PAUSES.get(code or 0)
        if seconds is None:
            return
        try:
            self._redis.set(self._pause(self._last.what), 1, ex=seconds)
        except RedisError as error:
            _log.warning("A pause is not kept: %s.", type(error).__name__)

    def _pause(self, what: str) -> str:
        return f"zhiyin:calls:{{{self._account}}}:{what}:pause"

    def _keys(self, what: str, caps: Caps) -> list[str]:
        # The braces keep the counts of an account on one node of a cluster.
        stem = f"zhiyin:calls:{{{self._account}}}:{what}"
        return [*(f"{stem}:{cap.span}:{cap.slot}" for cap in caps), self._pause(what)]

    def _args(self, caps: Caps) -> list[str]:
        now = "" if self._clock is None else repr(self._clock())
        facts = ((cap.calls, cap.span, cap.slot, 0 if cap.span else _CHINA_SECONDS) for cap in caps)
        return [now, *(str(fact) for each in facts for fact in each)]


def scaled(caps: Mapping[str, Caps], factor: float) -> Mapping[str, Caps]:
    """The same limits for an account that the platform allows `factor` times as much a day."""
    return {
        path: tuple(
            cap if cap.span else replace(cap, calls=max(1, int(cap.calls * factor))) for cap in many
        )
        for path, many in caps.items()
    }
