"""Two processes of eight threads find the token expired together: one of them renews it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from multiprocessing import get_context
from typing import Any

import pytest
from redis import Redis

from bot.access_tokens import AccessTokens
from bot.wechat.client import WeChatApi
from sandbox.app import create_sandbox_app
from sandbox.state import World
from store import clock
from store.accounts import Credentials, Platform
from tests.races.racing import SECONDS, waiting
from tests.sandbox.builders import AES_KEY, APPID, a_world
from tests.sandbox.serving import serving

pytestmark = pytest.mark.race

_PROCESSES, _THREADS = 2, 8


@pytest.fixture
def world() -> World:
    """The sandbox's memory."""
    return a_world()


@pytest.fixture
def url(world: World) -> Iterator[str]:
    """Where WeChat is served."""
    with serving(create_sandbox_app(world)) as url:
        yield f"{url}/wechat"


def an_api(url: str, redis: Redis) -> WeChatApi:
    """The client of the sandbox's account."""
    account = Credentials(
        account_id=1,
        brand_id=1,
        platform=Platform.WECHAT,
        code="main",
        app_id=APPID,
        original_id="gh_0123456789ab",
        agent_id=None,
        secret="s3cret",
        token="sandboxToken",
        aes_key=AES_KEY,
        previous_aes_key=None,
    )
    return WeChatApi(account, base_url=url, redis=redis)


def call_together(url: str, redis_url: str, start: Any, made: Any) -> None:
    """One process: every thread makes a code at the same moment; how many came is put in `made`."""
    with Redis.from_url(redis_url) as redis, ThreadPoolExecutor(_THREADS) as pool:
        api = an_api(url, redis)

        def call(number: int) -> str:
            start.wait(SECONDS)
            return api.create_code(f"race-{number}", seconds=60).ticket

        made.put(len(set(pool.map(call, range(_THREADS), timeout=SECONDS))))


def expire_all(world: World) -> None:
    """The platform ends every token it gave."""
    for value in world.wechat.tokens.tokens:
        world.wechat.tokens.expire(value, now=clock.now() - timedelta(seconds=1))


def fetches(world: World) -> int:
    """How often a token was asked for."""
    return sum(one.get("path") == "cgi-bin/stable_token" for one in world.journal.entries)


def test_expired_token_is_renewed_once_by_sixteen_threads_of_two_processes(
    world: World, url: str, redis: Redis, redis_url: str
) -> None:
    an_api(url, redis).create_code("first", seconds=60)
    expire_all(world)
    spawn = get_context("spawn")
    start, made = spawn.Barrier(_PROCESSES * _THREADS), spawn.Queue()
    facts = (url, redis_url, start, made)
    racers = [spawn.Process(target=call_together, args=facts) for _ in range(_PROCESSES)]
    for racer in racers:
        racer.start()
    counts = [made.get(timeout=SECONDS) for _ in racers]
    for racer in racers:
        racer.join(SECONDS)

    assert counts == [_THREADS] * _PROCESSES
    assert fetches(world) == 2


def test_without_the_lock_the_same_threads_renew_it_many_times(
    world: World, url: str, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = an_api(url, redis)
    api.create_code("first", seconds=60)
    expire_all(world)
    kept_by_all = waiting(_THREADS, AccessTokens._kept)

    def unlocked(tokens: AccessTokens, refused: str | None, *, old: str | None) -> str:
        token, is_fresh = kept_by_all(tokens, refused)
        return token if token and is_fresh and not old else tokens._fetched(refused)

    monkeypatch.setattr(AccessTokens, "_renewed", unlocked)
    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(lambda n: api.create_code(f"race-{n}", seconds=60), range(_THREADS)))

    assert fetches(world) == 1 + _THREADS
