"""Access tokens: one place where they are kept and renewed (wechat-oa.md §7, wecom.md §2.1).

A token lies in Redis for all processes. One of them renews it, five minutes before its end; the
others go on with the old one, which both platforms honour for that time, and wait only when there
is none that works.
"""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from redis import Redis
from redis.exceptions import LockError, RedisError

from bot.calls import ApiError, NoToken, TooSoon, answered

_log = logging.getLogger(__name__)

# wechat-oa.md §7.2, wecom.md §2.3: invalid or expired token.
_TOKEN_REFUSED = frozenset({40001, 40014, 42001})
# wechat-oa.md §7.1: in the last five minutes the old and the new token are both good.
_EARLY_SECONDS = 300
_SHORTEST_LIFE = 30
# A renewal takes two calls at most; a lock that outlives its holder frees itself.
_LOCK_SECONDS = 30
_WAIT_SECONDS = 15
# After a failure nobody else need find out the same: a wrong secret that is sent often blocks the
# whole address for an hour (wecom.md §2.1).
_FAILED_SECONDS = 3

# Gives a token and the seconds it lives; asked with True for another one than last time.
Fetch = Callable[[bool], tuple[str, int]]


class AccessTokens:
    """One access token, shared by all processes through Redis, renewed by one at a time."""

    def __init__(self, redis: Redis, name: str, fetch: Fetch) -> None:
        self._redis, self._fetch = redis, fetch
        self._key = f"zhiyin:token:{{{name}}}"
        self._alone = _Alone(fetch)

    def current(self, *, refused: str | None = None) -> str:
        """The token in use; `refused` is one that the platform does not take any more."""
        try:
            token, is_fresh = self._kept(refused)
            if token is not None and is_fresh:
                return token
            return self._renewed(refused, old=token)
        except RedisError as error:
            # Nobody's messages wait for Redis: until it is back each process has its own token.
            _log.warning("The token is not shared: %s.", type(error).__name__)
            return self._alone.current(refused)

    def _kept(self, refused: str | None) -> tuple[str | None, bool]:
        raw: Any = self._redis.mget(self._key, f"{self._key}:fresh", f"{self._key}:failed")
        token, fresh, failed = (_text(one) for one in raw)
        if token is not None and token != refused:
            # After a failure the old one is used on for a while, before it is tried again.
            return token, fresh is not None or failed is not None
        if failed is not None:
            raise NoToken(int(failed) if failed else None)
        return None, False

    def _renewed(self, refused: str | None, *, old: str | None) -> str:
        lock = self._redis.lock(f"{self._key}:lock", timeout=_LOCK_SECONDS, sleep=0.02)
        wait = _WAIT_SECONDS if old is None else None
        if not lock.acquire(blocking=old is None, blocking_timeout=wait):
            if old is None:
                raise NoToken
            return old
        try:
            token, is_fresh = self._kept(refused)
            return token if token is not None and is_fresh else self._fetched(refused)
        except (NoToken, TooSoon):
            if old is None:
                raise
            return old
        finally:
            # A renewal that took too long has lost the lock, and has its token all the same.
            with suppress(LockError):
                lock.release()

    def _fetched(self, refused: str | None) -> str:
        try:
            token, life = _another(self._fetch, refused)
        except (NoToken, TooSoon) as error:
            code = "" if error.code is None else str(error.code)
            self._redis.set(f"{self._key}:failed", code, ex=_FAILED_SECONDS)
            raise
        fresh = max(life - _EARLY_SECONDS, _SHORTEST_LIFE)
        with self._redis.pipeline() as pipe:
            pipe.set(self._key, token, ex=max(life, _SHORTEST_LIFE))
            pipe.set(f"{self._key}:fresh", 1, ex=fresh)
            pipe.execute()
        return token


class _Alone:
    """The token of a process that cannot reach Redis."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch, self._turn = fetch, threading.Lock()
        self._token, self._until = "", 0.0

    def current(self, refused: str | None) -> str:
        """The own token, fetched when there is none that works."""
        with self._turn:
            if self._token == (refused or "") or time.monotonic() >= self._until:
                self._token, life = _another(self._fetch, refused)
                self._until = time.monotonic() + max(life - _EARLY_SECONDS, _SHORTEST_LIFE)
            return self._token


def _another(fetch: Fetch, refused: str | None) -> tuple[str, int]:
    """A token that was not refused: WeChat gives the same one again until it is forced."""
    found = fetch(False)
    return fetch(True) if found[0] == refused else found


def _text(raw: Any) -> str | None:
    return raw.decode() if isinstance(raw, bytes) else raw


class TokenDrawer(threading.local):
    """The storage that a wechatpy client sees: its token is ours, and without an expiry to it.

    Each thread sees its own, so that none takes another's token for the one it was refused.
    """

    def __init__(self, tokens: AccessTokens) -> None:
        self._tokens = tokens
        self.refused: str | None = None
        self.last = ""

    def get(self, key: str, default: Any = None) -> Any:
        """The token for the one key that wechatpy asks before a call."""
        if not key.endswith("_access_token"):
            return default
        self.last = self._tokens.current(refused=self.refused)
        return self.last

    def set(self, key: str, value: Any, ttl: int | None = None) -> None:
        """Nothing: wechatpy fetches no token of its own."""

    def delete(self, key: str) -> None:
        """Nothing, for the same reason."""


def with_token(drawer: TokenDrawer, act: Callable[[], Any]) -> dict[str, Any]:
    """Call; when the platform refuses the token, renew it and call once more, only once."""
    try:
        return answered(act)
    except (NoToken, TooSoon):
        raise
    except ApiError as error:
        if error.code not in _TOKEN_REFUSED:
            raise
    drawer.refused = drawer.last
    try:
        return answered(act)
    finally:
        drawer.refused = None
