"""How often a password may be tried: counted in Redis per login and per address.

The try is counted before the password is looked at, so that parallel tries gain nothing. Losing
Redis restarts the count and nothing else (design.md §5).
"""

from redis import Redis

WINDOW_SECONDS = 900
TRIES_PER_LOGIN = 5
# An office shares one address.
TRIES_PER_ADDRESS = 50


def may_try(redis: Redis, login: str, address: str) -> bool:
    """Count one try; whether it may go on."""
    by_login = _count(redis, _key("login", login)) <= TRIES_PER_LOGIN
    by_address = _count(redis, _key("address", address)) <= TRIES_PER_ADDRESS
    return by_login and by_address


def forget(redis: Redis, login: str) -> None:
    """The right password ends the count of its login."""
    redis.delete(_key("login", login))


def _count(redis: Redis, key: str) -> int:
    # The first try starts the clock; later ones do not move it, so nobody is locked out for ever.
    redis.set(key, 0, ex=WINDOW_SECONDS, nx=True)
    return int(redis.incr(key))


def _key(kind: str, name: str) -> str:
    return f"zhiyin:hq-tries:{kind}:{name.casefold()[:100]}"
