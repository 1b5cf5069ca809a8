"""The login page of both platforms (wechat-oa.md §9, wecom.md §6.1)."""

from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from sandbox.oauth import NobodyIsLoggedIn, PageError, authorize
from sandbox.refusals import ApiError
from sandbox.state import World
from tests.sandbox.builders import (
    APPID,
    CORPID,
    LI,
    LI_EXTERNAL,
    LI_UNION,
    NOON,
    a_world,
    wechat,
    wecom,
)

_BACK = "http://shop.test:8000/m/login/back?from=card"


def _go(world: World, *, person: str = LI, is_snapshot: bool = False, **more: str) -> str:
    query = {"appid": APPID, "redirect_uri": _BACK, "scope": "snsapi_base", "state": "abc123"}
    return authorize(world, {**query, **more}, person=person, is_snapshot=is_snapshot, now=NOON)


def _code(target: str) -> str:
    return parse_qs(urlsplit(target).query)["code"][0]


def _exchange(world: World, code: str, *, minutes: float = 0) -> Any:
    now = NOON + timedelta(minutes=minutes)
    facts: dict[str, Any] = {"appid": APPID, "secret": "s3cret", "code": code}
    return wechat(world, "sns/oauth2/access_token", now=now, **facts)


def test_person_comes_back_with_code_and_state_beside_what_was_there() -> None:
    """wechat-oa.md §9."""
    target = _go(a_world())

    query = parse_qs(urlsplit(target).query)
    assert target.startswith("http://shop.test:8000/m/login/back?")
    assert (query["from"], query["state"], list(query)) == (
        ["card"],
        ["abc123"],
        ["from", "code", "state"],
    )


def test_code_gives_the_openid_once() -> None:
    """wechat-oa.md §9: single use, 40163; no unionid with snsapi_base."""
    world = a_world()
    code = _code(_go(world))

    answer = _exchange(world, code)

    assert (answer["openid"], "unionid" in answer, "errcode" in answer) == (LI, False, False)
    with pytest.raises(ApiError) as used:
        _exchange(world, code)
    assert used.value.code == 40163


def test_code_is_refused_after_five_minutes_or_when_made_up() -> None:
    """wechat-oa.md §9: 42003 and 40029."""
    world = a_world()

    with pytest.raises(ApiError) as old:
        _exchange(world, _code(_go(world)), minutes=5)
    with pytest.raises(ApiError) as made_up:
        _exchange(world, "made-up")

    assert (old.value.code, made_up.value.code) == (42003, 40029)


def test_unionid_and_nickname_come_with_the_user_info_scope() -> None:
    """wechat-oa.md §9."""
    world = a_world()
    answer = _exchange(world, _code(_go(world, scope="snsapi_userinfo")))

    profile = wechat(world, "sns/userinfo", token=answer["access_token"], openid=LI)

    assert (answer["unionid"], profile["nickname"]) == (LI_UNION, "李")


def test_snapshot_page_shows_a_virtual_person() -> None:
    """wechat-oa.md §9: is_snapshotuser, and an openid that belongs to nobody."""
    world = a_world()

    answer = _exchange(world, _code(_go(world, is_snapshot=True)))

    assert answer["is_snapshotuser"] == 1
    assert answer["openid"] not in world.wechat.followers


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"redirect_uri": "http://evil.test/back"}, 10003),
        ({"redirect_uri": "http://sub.shop.test:8000/back"}, 10003),
        ({"redirect_uri": ""}, 10011),
        ({"scope": ""}, 10010),
        ({"scope": "snsapi_all"}, 10005),
        ({"state": "a" * 129}, 10013),
        ({"state": "/m/card?x=1"}, 10013),
        ({"appid": "wxnobody"}, 10016),
        ({"appid": CORPID, "redirect_uri": "http://shop.test:9000/back"}, 50001),
    ],
)
def test_page_is_refused_when_the_query_is_wrong(change: dict[str, Any], code: int) -> None:
    """wechat-oa.md §9, codes of the page; wecom.md §6.1: the corp's domain includes the port."""
    with pytest.raises(PageError) as refused:
        _go(a_world(), **change)

    assert refused.value.code == code


def test_registered_domain_of_an_account_counts_without_its_port() -> None:
    """wechat-oa.md §9: no port; a corp's domain is compared with it."""
    world = a_world(oauth_domain="127.0.0.1:8000")

    target = _go(world, redirect_uri="http://127.0.0.1:8000/m/login/back")

    assert target.startswith("http://127.0.0.1:8000/m/login/back?code=")


def test_account_is_not_given_a_guide_and_a_stranger_nobody() -> None:
    """An official account knows openids only."""
    for person in ("WangFang", ""):
        with pytest.raises(NobodyIsLoggedIn):
            _go(a_world(), person=person)


def test_corp_code_gives_the_userid_once() -> None:
    """wecom.md §6.1: 42022 the second time, 42003 after five minutes, 40029 when made up."""
    world = a_world()
    codes = [_code(_go(world, appid=CORPID, person="WangFang")) for _ in range(2)]
    path = "auth/getuserinfo"

    answer = wecom(world, path, code=codes[0])
    refused = []
    for code, minutes in [(codes[0], 0), (codes[1], 5), ("made-up", 0)]:
        with pytest.raises(ApiError) as one:
            wecom(world, path, code=code, now=NOON + timedelta(minutes=minutes))
        refused.append(one.value.code)

    assert answer == {"errcode": 0, "errmsg": "ok", "userid": "WangFang"}
    assert refused == [42022, 42003, 40029]


def test_corp_code_of_an_outsider_gives_no_userid() -> None:
    """wecom.md §6.1: openid, and external_userid for a customer."""
    world = a_world()
    code = _code(_go(world, appid=CORPID, person=LI))

    answer = wecom(world, "auth/getuserinfo", code=code)

    assert (answer["openid"], answer["external_userid"]) == (LI, LI_EXTERNAL)
    assert "userid" not in answer


def test_code_of_an_account_means_nothing_to_the_corp() -> None:
    """wecom.md §6.1: 40029."""
    world = a_world()

    with pytest.raises(ApiError) as refused:
        wecom(world, "auth/getuserinfo", code=_code(_go(world)))

    assert refused.value.code == 40029
