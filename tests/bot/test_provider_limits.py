"""Limits of the platforms, counted before a call (wechat-oa.md §7, wecom.md §2.4)."""

from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis import Redis

from bot.calls import TooSoon
from bot.provider_limits import (
    FORCED_TOKEN,
    WECHAT,
    Cap,
    Caps,
    ProviderLimits,
    per_day,
    per_minute,
    scaled,
)
from tests.times import at

_MIDNIGHT = at("2026-03-02 00:00").timestamp()


@dataclass
class Watch:
    """A clock that is set by hand."""

    at: float = _MIDNIGHT - 3600

    def __call__(self) -> float:
        """The seconds it shows."""
        return self.at


@pytest.fixture
def watch() -> Watch:
    """An hour before midnight in China."""
    return Watch()


@pytest.fixture
def limits(redis: Redis, watch: Watch) -> ProviderLimits:
    """The counts of one account, by the watch."""
    return ProviderLimits(redis, "wechat:wx1", clock=watch)


def waits(limits: ProviderLimits, *caps: Cap, what: str = "send") -> int:
    """Call once; gives the seconds to wait, 0 when the call may go."""
    try:
        limits.take(what, caps)
    except TooSoon as refused:
        return refused.retry_after
    return 0


def test_call_over_the_minute_waits_until_the_first_ones_are_gone(
    limits: ProviderLimits, watch: Watch
) -> None:
    began = watch.at
    answers = [waits(limits, per_minute(3)) for _ in range(4)]
    watch.at = began + answers[-1] - 0.001
    just_before = waits(limits, per_minute(3))
    watch.at = began + answers[-1]

    assert answers[:3] == [0, 0, 0]
    assert 60 <= answers[3] <= 62
    assert just_before == 1
    assert waits(limits, per_minute(3)) == 0


def test_day_ends_at_midnight_in_china(limits: ProviderLimits, watch: Watch) -> None:
    first, second = waits(limits, per_day(1)), waits(limits, per_day(1))
    watch.at = _MIDNIGHT

    assert (first, second) == (0, 3600)
    assert waits(limits, per_day(1)) == 0


def test_refused_call_is_counted_under_no_cap(limits: ProviderLimits, watch: Watch) -> None:
    caps = (per_minute(1), per_day(3))
    for _ in range(9):
        waits(limits, *caps)
    watch.at += 62
    after_a_minute = waits(limits, *caps)
    watch.at += 62

    assert after_a_minute == 0
    assert waits(limits, *caps) == 0


def test_accounts_and_paths_are_counted_apart(
    limits: ProviderLimits, redis: Redis, watch: Watch
) -> None:
    waits(limits, per_day(1))
    other = ProviderLimits(redis, "wechat:wx2", clock=watch)

    assert waits(limits, per_day(1), what="menu") == 0
    assert waits(other, per_day(1)) == 0
    assert waits(limits, per_day(1)) > 0


def test_counts_begin_at_nothing_when_redis_was_emptied(
    limits: ProviderLimits, redis: Redis
) -> None:
    waits(limits, per_day(1))
    redis.flushdb()

    assert waits(limits, per_day(1)) == 0


def test_call_goes_uncounted_while_redis_is_away(caplog: pytest.LogCaptureFixture) -> None:
    nowhere = ProviderLimits(Redis(port=9, socket_connect_timeout=1), "wechat:wx1")

    assert waits(nowhere, per_day(0)) == 0
    assert "A call is not counted: ConnectionError." in caplog.text


def test_servers_own_clock_is_used_without_another(redis: Redis) -> None:
    limits = ProviderLimits(redis, "wechat:wx1")

    assert [waits(limits, per_minute(1)) > 0 for _ in range(2)] == [False, True]


def test_counts_leave_redis_by_themselves(limits: ProviderLimits, redis: Redis) -> None:
    waits(limits, per_minute(1), per_day(1))

    lives = sorted(redis.ttl(key) for key in redis.scan_iter())
    assert lives == [64, 2 * 86400]


@settings(max_examples=60)
@given(
    calls=st.integers(1, 4),
    span=st.integers(1, 30),
    slot=st.integers(1, 7),
    pauses=st.lists(st.floats(0, 12), max_size=40),
)
def test_no_span_of_any_place_holds_more_than_its_cap(
    redis: Redis, calls: int, span: int, slot: int, pauses: list[float]
) -> None:
    redis.flushdb()
    watch, cap = Watch(), Cap(calls, span, slot)
    limits = ProviderLimits(redis, "wechat:wx1", clock=watch)
    went: list[float] = []
    for pause in pauses:
        watch.at += pause
        wait = waits(limits, cap)
        if wait == 0:
            went.append(watch.at)
        # Never told to wait longer than the span, a slot and the rounding to whole seconds.
        assert wait <= span + slot + 1

    for first, last in zip(went, went[calls:], strict=False):
        assert last - first >= span


@pytest.mark.parametrize(("path", "caps"), WECHAT.items())
def test_every_limit_lets_something_pass(path: str, caps: Caps) -> None:
    assert path.startswith("/")
    assert all(cap.calls > 0 and cap.slot > 0 for cap in caps)


def test_forced_tokens_are_thirty_seconds_apart_and_twenty_a_day(
    limits: ProviderLimits, watch: Watch
) -> None:
    """wechat-oa.md §7.1."""
    watch.at = _MIDNIGHT
    went: list[float] = []
    while len(went) < 20:
        if waits(limits, *FORCED_TOKEN) == 0:
            went.append(watch.at)
        watch.at += 1

    assert min(later - earlier for earlier, later in pairwise(went)) >= 30
    assert waits(limits, *FORCED_TOKEN) > 3600


def test_larger_account_has_larger_days_and_the_same_minutes() -> None:
    larger = scaled({"/a": (per_minute(10), per_day(100))}, 2.5)

    assert larger == {"/a": (per_minute(10), per_day(250))}
