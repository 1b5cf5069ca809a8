"""WeChat's tokens and web login (wechat-oa.md §7, §9)."""

from datetime import timedelta
from typing import Any

import pytest

from sandbox.refusals import ApiError, wechat_refusal
from sandbox.state import World
from tests.sandbox.builders import APPID, NOON, a_world, wechat

_GOOD: dict[str, Any] = {"grant_type": "client_credential", "appid": APPID, "secret": "s3cret"}


def _plain(world: World, *, minutes: float = 0) -> str:
    now = NOON + timedelta(minutes=minutes)
    return str(wechat(world, "cgi-bin/token", now=now, **_GOOD)["access_token"])


def _ip_list(world: World, token: str, *, minutes: float) -> object:
    now = NOON + timedelta(minutes=minutes)
    return wechat(world, "cgi-bin/getcallbackip", token=token, now=now)["ip_list"]


def test_plain_token_lives_five_minutes_when_a_newer_one_was_fetched() -> None:
    """wechat-oa.md §7.1: the one before works five more minutes, then 40001."""
    world = a_world()
    first = _plain(world)
    second = _plain(world, minutes=10)

    assert first != second
    assert _ip_list(world, first, minutes=14.9) == ["127.0.0.1"]
    with pytest.raises(ApiError) as refused:
        _ip_list(world, first, minutes=15)
    assert refused.value.code == 40001
    assert _ip_list(world, second, minutes=15) == ["127.0.0.1"]


def test_stable_token_is_the_same_until_its_last_five_minutes() -> None:
    """wechat-oa.md §7.1: the platform renews in the last five minutes; both are good then."""
    world = a_world()
    path = "cgi-bin/stable_token"
    first = wechat(world, path, {**_GOOD})
    again = wechat(world, path, {**_GOOD}, now=NOON + timedelta(minutes=114))
    renewed = wechat(world, path, {**_GOOD}, now=NOON + timedelta(minutes=116))

    assert (first["expires_in"], again["expires_in"]) == (7200, 360)
    assert again["access_token"] == first["access_token"] != renewed["access_token"]
    assert _ip_list(world, str(first["access_token"]), minutes=119) == ["127.0.0.1"]


def test_forced_refresh_ends_the_old_token_and_waits_thirty_seconds() -> None:
    """wechat-oa.md §7.1: force_refresh at most every 30 s, and the old token dies at once."""
    world = a_world()
    path, forced = "cgi-bin/stable_token", {**_GOOD, "force_refresh": True}
    first = wechat(world, path, {**_GOOD})
    wechat(world, path, forced)

    with pytest.raises(ApiError) as dead:
        _ip_list(world, str(first["access_token"]), minutes=0)
    with pytest.raises(ApiError) as too_soon:
        wechat(world, path, forced, now=NOON + timedelta(seconds=29))

    assert (dead.value.code, too_soon.value.code) == (40001, 45011)


def test_the_two_token_endpoints_do_not_end_each_others_tokens() -> None:
    """wechat-oa.md §7.1, isolation."""
    world = a_world()
    stable = str(wechat(world, "cgi-bin/stable_token", {**_GOOD})["access_token"])
    _plain(world)
    _plain(world)

    assert _ip_list(world, stable, minutes=20) == ["127.0.0.1"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"appid": "wxnobody"}, 40013),
        ({"secret": "wrong"}, 40125),
        ({"appid": ""}, 41002),
        ({"secret": ""}, 41004),
        ({"grant_type": "password"}, 40002),
    ],
)
def test_token_is_refused_when_a_credential_is_wrong(change: dict[str, str], code: int) -> None:
    """wechat-oa.md §7.2."""
    with pytest.raises(ApiError) as refused:
        wechat(a_world(), "cgi-bin/token", **{**_GOOD, **change})

    assert refused.value.code == code


def test_token_is_refused_when_the_address_is_not_on_the_list() -> None:
    """wechat-oa.md §7.2: 40164, with the address in the text."""
    with pytest.raises(ApiError) as refused:
        wechat(a_world(allowed_ips=["203.0.113.7"]), "cgi-bin/token", **_GOOD)

    assert refused.value.code == 40164
    assert "invalid ip 127.0.0.1 ipv6" in wechat_refusal(refused.value)["errmsg"]


def test_plain_token_is_refused_after_two_thousand_a_day() -> None:
    """wechat-oa.md §7.1, limits; the next day they start again."""
    world = a_world()
    for _ in range(2000):
        _plain(world)

    with pytest.raises(ApiError) as refused:
        _plain(world)

    assert refused.value.code == 45009
    assert _plain(world, minutes=12 * 60)


@pytest.mark.parametrize(("token", "code"), [("", 41001), ("made-up", 40014)])
def test_call_is_refused_without_a_good_token(token: str, code: int) -> None:
    """wechat-oa.md §7.2."""
    with pytest.raises(ApiError) as refused:
        wechat(a_world(), "cgi-bin/getcallbackip", token=token)

    assert refused.value.code == code


def test_call_is_refused_when_the_token_has_expired() -> None:
    """wechat-oa.md §7.2: 42001."""
    world = a_world()
    token = _plain(world)

    with pytest.raises(ApiError) as refused:
        _ip_list(world, token, minutes=120)

    assert refused.value.code == 42001
