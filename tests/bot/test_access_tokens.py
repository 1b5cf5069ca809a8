"""Access tokens: kept for all, renewed by one, never fetched for ever (wechat-oa.md §7.1)."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event

import pytest
from redis import Redis

from bot.access_tokens import AccessTokens
from bot.calls import NoToken
from tests.races.racing import SECONDS

LIFE = 7200


@dataclass
class Platform:
    """Gives token 1, then 2, …; asked without force it may give the same again."""

    number: int = 1
    is_stable: bool = True
    is_down: bool = False
    life: int = LIFE
    asked: list[bool] = field(default_factory=list)

    def fetch(self, is_forced: bool) -> tuple[str, int]:
        """What the platform answers."""
        self.asked.append(is_forced)
        if self.is_down:
            raise NoToken(-1)
        if self.asked[:-1] and (is_forced or not self.is_stable):
            self.number += 1
        return f"token-{self.number}", self.life


@pytest.fixture
def platform() -> Platform:
    """A platform whose token stays the same."""
    return Platform()


@pytest.fixture
def tokens(redis: Redis, platform: Platform) -> AccessTokens:
    """The token of one account."""
    return AccessTokens(redis, "wechat:wx1", platform.fetch)


def grow_old(redis: Redis) -> None:
    """The token's last five minutes begin."""
    redis.delete("zhiyin:token:{wechat:wx1}:fresh")


def test_token_is_fetched_once_and_then_kept(tokens: AccessTokens, platform: Platform) -> None:
    assert [tokens.current() for _ in range(3)] == ["token-1"] * 3
    assert platform.asked == [False]


def test_token_is_renewed_in_its_last_five_minutes(
    tokens: AccessTokens, platform: Platform, redis: Redis
) -> None:
    tokens.current()
    fresh = redis.ttl("zhiyin:token:{wechat:wx1}:fresh")
    grow_old(redis)
    platform.is_stable = False

    assert LIFE - 302 <= fresh <= LIFE - 300
    assert tokens.current() == "token-2"


def test_refused_token_is_replaced_without_force_when_there_is_a_newer_one(
    tokens: AccessTokens, platform: Platform
) -> None:
    tokens.current()
    platform.is_stable = False

    assert tokens.current(refused="token-1") == "token-2"
    assert platform.asked == [False, False]


def test_refused_token_is_replaced_by_force_when_the_same_one_comes_again(
    tokens: AccessTokens, platform: Platform
) -> None:
    tokens.current()

    assert tokens.current(refused="token-1") == "token-2"
    assert platform.asked == [False, False, True]


def test_token_refused_to_one_is_not_renewed_again_for_the_next(
    tokens: AccessTokens, platform: Platform
) -> None:
    tokens.current()
    tokens.current(refused="token-1")

    assert tokens.current(refused="token-1") == "token-2"
    assert len(platform.asked) == 3


def test_others_use_the_old_token_while_one_renews_it(redis: Redis, platform: Platform) -> None:
    begun, done = Event(), Event()

    def slow(is_forced: bool) -> tuple[str, int]:
        if platform.asked:
            begun.set()
            assert done.wait(SECONDS)
        return platform.fetch(is_forced)

    tokens = AccessTokens(redis, "wechat:wx1", slow)
    tokens.current()
    platform.is_stable = False
    grow_old(redis)
    with ThreadPoolExecutor() as pool:
        renewing = pool.submit(tokens.current)
        assert begun.wait(SECONDS)
        meanwhile = tokens.current()
        done.set()

    assert (meanwhile, renewing.result()) == ("token-1", "token-2")


def test_old_token_is_used_on_when_its_renewal_fails(
    tokens: AccessTokens, platform: Platform, redis: Redis
) -> None:
    tokens.current()
    grow_old(redis)
    platform.is_down = True

    assert [tokens.current() for _ in range(3)] == ["token-1"] * 3
    assert len(platform.asked) == 2


def test_failure_to_fetch_is_told_to_the_others_instead_of_repeated(
    tokens: AccessTokens, platform: Platform
) -> None:
    platform.is_down = True
    codes = []
    for _ in range(5):
        with pytest.raises(NoToken) as raised:
            tokens.current()
        codes.append(raised.value.code)

    assert codes == [-1] * 5
    assert len(platform.asked) == 1


def test_token_is_fetched_again_when_redis_was_emptied(
    tokens: AccessTokens, platform: Platform, redis: Redis
) -> None:
    tokens.current()
    redis.flushdb()

    assert tokens.current() == "token-1"
    assert len(platform.asked) == 2


def test_process_has_its_own_token_while_redis_is_away(platform: Platform) -> None:
    tokens = AccessTokens(Redis(port=9, socket_connect_timeout=1), "wechat:wx1", platform.fetch)
    given = [tokens.current(), tokens.current(), tokens.current(refused="token-1")]

    assert given == ["token-1", "token-1", "token-2"]
    assert platform.asked == [False, False, True]
