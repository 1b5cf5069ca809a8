"""What others would run for the same work: a rate limiter on Redis, then one row that says so.

Three rules, each in the way its manual shows; logs are empty at first, which favours them. Neither
can say which earlier touches used a rule up, or when all rules open at once.
"""

from collections.abc import Callable
from time import time_ns

from limits import RateLimitItemPerDay, RateLimitItemPerMinute
from limits.storage import RedisStorage
from limits.strategies import MovingWindowRateLimiter
from pyrate_limiter import Duration, Rate, RateItem
from pyrate_limiter.buckets.redis_bucket import LuaScript, RedisBucket
from redis import Redis

# A name, and whether something may be said to that member now.
Limiter = Callable[[str], bool]
_MARK = "zhiyin-bench-gate"


def limits_limiter(redis_url: str) -> Limiter:
    """Moving windows of `limits`: a log each rule, so three trips."""
    limiter = MovingWindowRateLimiter(RedisStorage(redis_url))
    rules = [
        RateLimitItemPerMinute(2, 240),
        RateLimitItemPerDay(10, 7),
        RateLimitItemPerDay(40, 30),
    ]
    return lambda member: all(limiter.hit(rule, _MARK, member) for rule in rules)


def pyrate_limiter(redis_url: str) -> Limiter:
    """One log a member and all rules in one script."""
    redis = Redis.from_url(redis_url)
    script = redis.script_load(LuaScript.PUT_ITEM)
    rates = [
        Rate(2, Duration.HOUR * 4),
        Rate(10, Duration.DAY * 7),
        Rate(40, Duration.DAY * 30),
    ]

    def may(member: str) -> bool:
        bucket = RedisBucket(rates, redis, f"{_MARK}:{member}", script)
        return bool(bucket.put(RateItem("touch", time_ns() // 1_000_000)))

    return may


def forget(redis_url: str) -> None:
    """Take the logs of both limiters away again: this Redis may be somebody's."""
    redis = Redis.from_url(redis_url)
    for key in redis.scan_iter(f"*{_MARK}*"):
        redis.delete(key)
