"""What others would run for the same work: a rate limiter on Redis, then one row that says so.

Each in the way its manual shows, with as many rules as asked for, all of them rolling windows.
Neither can say which earlier touches used a rule up, or when all rules open at once.
"""

from collections.abc import Callable
from time import time_ns

from limits import RateLimitItemPerDay
from limits.storage import RedisStorage
from limits.strategies import MovingWindowRateLimiter
from pyrate_limiter import Duration, Rate, RateItem
from pyrate_limiter.buckets.redis_bucket import LuaScript, RedisBucket
from redis import Redis

# A name, and whether something may be said to that member now.
Limiter = Callable[[str], bool]
_MARK = "zhiyin-bench-gate"


def limits_limiter(redis_url: str, rules: int) -> Limiter:
    """Moving windows of `limits`: a log each rule, so a trip each."""
    limiter = MovingWindowRateLimiter(RedisStorage(redis_url))
    windows = [RateLimitItemPerDay(cap, days) for cap, days in _caps(rules)]
    return lambda member: all(limiter.hit(window, _MARK, member) for window in windows)


def pyrate_limiter(redis_url: str, rules: int) -> Limiter:
    """One log a member and all rules in one script."""
    redis = Redis.from_url(redis_url)
    script = redis.script_load(LuaScript.PUT_ITEM)
    rates = [Rate(cap, Duration.DAY * days) for cap, days in _caps(rules)]

    def may(member: str) -> bool:
        bucket = RedisBucket(rates, redis, f"{_MARK}:{member}", script)
        return bool(bucket.put(RateItem("touch", time_ns() // 1_000_000)))

    return may


def _caps(rules: int) -> list[tuple[int, int]]:
    """So many caps with their days, none of which anybody here is near."""
    return [(50 + days, days) for days in range(1, rules + 1)]


def forget(redis_url: str) -> None:
    """Take the logs of both limiters away again: this Redis may be somebody's."""
    redis = Redis.from_url(redis_url)
    for key in redis.scan_iter(f"*{_MARK}*"):
        redis.delete(key)
