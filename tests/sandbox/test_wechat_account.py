"""What an account keeps with WeChat: menu, parametric codes, quotas (wechat-oa.md §5.3 to §10)."""

from datetime import timedelta
from typing import Any

import pytest

from sandbox import menus, quotas
from sandbox.refusals import ApiError
from sandbox.state import World
from tests.sandbox.builders import APPID, LI, NOON, a_text, a_world, li_writes, wechat

_MENU, _CODE = "cgi-bin/menu/create", "cgi-bin/qrcode/create"
_TYPING, _SEND = "cgi-bin/message/custom/typing", "cgi-bin/message/custom/send"
_CLICK = {"type": "click", "name": "积分", "key": "points"}


def _refusal(world: World, path: str, body: dict[str, Any] | None, *, seconds: float = 0) -> int:
    with pytest.raises(ApiError) as refused:
        wechat(world, path, body, now=NOON + timedelta(seconds=seconds))
    return refused.value.code


def _code(action: str = "QR_LIMIT_STR_SCENE", *, scene: object, **more: Any) -> dict[str, Any]:
    name = "scene_str" if "STR" in action else "scene_id"
    return {"action_name": action, "action_info": {"scene": {name: scene}}, **more}


def test_menu_is_kept_and_given_back_until_it_is_deleted() -> None:
    """wechat-oa.md §10.1: create replaces all; 46003 without a menu."""
    world = a_world()
    sub = {
        "name": "会员",
        "sub_button": [{"type": "view", "name": "卡", "url": "https://shop.test"}],
    }

    wechat(world, _MENU, {"button": [_CLICK]})
    wechat(world, _MENU, {"button": [_CLICK, sub]})

    assert wechat(world, "cgi-bin/menu/get") == {"menu": {"button": [_CLICK, sub]}}
    assert wechat(world, "cgi-bin/menu/delete")["errcode"] == 0
    assert _refusal(world, "cgi-bin/menu/get", None) == 46003


@pytest.mark.parametrize(
    ("buttons", "code"),
    [
        ([_CLICK] * 4, 40016),
        ([], 40016),
        ([{**_CLICK, "type": "poem"}], 40017),
        ([{**_CLICK, "name": "六个汉字太长了"}], 40018),
        ([{**_CLICK, "key": "k" * 129}], 40019),
        ([{"type": "view", "name": "卡", "url": "u" * 1025}], 40020),
        ([{"name": "会员", "sub_button": [_CLICK] * 6}], 40023),
        ([{"name": "会员", "sub_button": [{**_CLICK, "type": "poem"}]}], 40024),
        ([{"name": "会员", "sub_button": [{**_CLICK, "name": "长" * 21}]}], 40025),
        ([{"name": "会员", "sub_button": [{**_CLICK, "key": ""}]}], 40026),
    ],
)
def test_menu_is_refused_when_it_breaks_a_limit(buttons: list[Any], code: int) -> None:
    """wechat-oa.md §10.1: 3 and 5 buttons, 16 and 60 bytes of name, 128 of key, 1024 of url."""
    world = a_world()
    wechat(world, _MENU, {"button": [_CLICK]})

    assert _refusal(world, _MENU, {"button": buttons}) == code
    assert menus.shown(world.wechat.accounts[APPID]) == [_CLICK]


def test_permanent_code_is_found_by_ticket_address_and_scene() -> None:
    """wechat-oa.md §8: a temporary one tells its life, a permanent one does not."""
    world = a_world()
    belongings = world.wechat.accounts[APPID].belongings

    made = wechat(world, _CODE, _code(scene="shop.367"))
    short = wechat(world, _CODE, _code("QR_STR_SCENE", scene="guide.7", expire_seconds=600))

    assert sorted(made) == ["ticket", "url"]
    assert short["expire_seconds"] == 600
    found = [belongings.scene(one) for one in (made["ticket"], made["url"], "shop.367")]
    assert [one.value for one in found if one] == ["shop.367"] * 3
    temporary = belongings.scene("guide.7")
    assert temporary
    assert temporary.is_alive(NOON + timedelta(seconds=599))
    assert not temporary.is_alive(NOON + timedelta(seconds=600))


@pytest.mark.parametrize(
    "body",
    [
        _code("QR_POEM", scene=1),
        _code(scene="s" * 65),
        _code(scene=""),
        _code("QR_LIMIT_SCENE", scene=100_001),
        _code("QR_SCENE", scene=0),
        _code("QR_SCENE", scene=2**32),
        _code("QR_STR_SCENE", scene="s", expire_seconds=2_592_001),
    ],
)
def test_code_is_refused_when_its_scene_or_life_is_out_of_bounds(body: dict[str, Any]) -> None:
    """wechat-oa.md §8: up to 64 characters, 1 to 100,000, 32 bits, 30 days."""
    assert _refusal(a_world(), _CODE, body) == 40053


def test_short_key_gives_back_what_was_put_in_while_it_lives() -> None:
    """wechat-oa.md §8: fifteen letters, 4 KB, 9410010 to 9410012."""
    world = a_world()
    gen, fetch = "cgi-bin/shorten/gen", "cgi-bin/shorten/fetch"

    key = wechat(world, gen, {"long_data": "长" * 1000, "expire_seconds": 60})["short_key"]

    assert len(key) == 15
    assert wechat(world, fetch, {"short_key": key})["long_data"] == "长" * 1000
    assert _refusal(world, fetch, {"short_key": key}, seconds=60) == 9410012
    assert _refusal(world, gen, {"long_data": "长" * 1366}) == 9410010
    assert _refusal(world, gen, {"long_data": "x", "expire_seconds": 2_592_001}) == 9410011


def test_typing_is_shown_after_an_act_and_ends_with_a_message() -> None:
    """wechat-oa.md §5.3: an act in the last 30 s, 15 s long, 45072, 45080, 45081."""
    world = a_world()
    li, body = world.wechat.followers[LI], {"touser": LI, "command": "Typing"}
    assert _refusal(world, _TYPING, body) == 45080
    li_writes(world)
    li.acted_at = NOON

    assert _refusal(world, _TYPING, {**body, "command": "Sing"}) == 45072
    assert wechat(world, _TYPING, body)["errcode"] == 0
    assert _refusal(world, _TYPING, body, seconds=14) == 45081
    assert wechat(world, _TYPING, body, now=NOON + timedelta(seconds=15))["errcode"] == 0
    wechat(world, _SEND, a_text())
    assert li.typing_until is None
    assert _refusal(world, _TYPING, body, seconds=31) == 45080


def test_day_of_calls_ends_at_its_limit_and_begins_again_at_midnight() -> None:
    """wechat-oa.md §7.3: 45009, per endpoint."""
    world = a_world(daily_limits={_SEND: 2})
    li_writes(world)
    for _ in range(2):
        wechat(world, _SEND, a_text())

    assert _refusal(world, _SEND, a_text()) == 45009
    assert wechat(world, "cgi-bin/user/info", openid=LI)["subscribe"] == 1
    assert wechat(world, _SEND, a_text(), now=NOON + timedelta(hours=12))["errcode"] == 0


def test_quota_is_read_and_cleared_ten_times_a_month() -> None:
    """wechat-oa.md §7.3: clear_quota, 48006; openapi/quota/get, 76021."""
    world = a_world(daily_limits={_SEND: 1})
    li_writes(world)
    wechat(world, _SEND, a_text())
    clear, look = "cgi-bin/clear_quota", "cgi-bin/openapi/quota/get"

    used = wechat(world, look, {"cgi_path": f"/{_SEND}"})["quota"]
    for _ in range(10):
        wechat(world, clear, {"appid": APPID})

    assert used == {"daily_limit": 1, "used": 1, "remain": 0}
    assert wechat(world, _SEND, a_text())["errcode"] == 0
    assert _refusal(world, clear, {"appid": APPID}) == 48006
    assert _refusal(world, look, {"cgi_path": "/cgi-bin/poem"}) == 76021


def test_limits_of_a_new_account_are_those_of_the_reference() -> None:
    """wechat-oa.md §7.3."""
    names = ("menu/create", "message/custom/send", "qrcode/create", "user/info")

    limits = [quotas.DAILY[f"cgi-bin/{name}"] for name in names]

    assert limits == [1000, 500_000, 100_000, 5_000_000]


def test_msgmenu_keeps_its_items_so_that_a_phone_can_tap_them() -> None:
    """wechat-oa.md §5.2."""
    world = a_world()
    li_writes(world)
    items = [{"id": "points", "content": "查积分"}, {"id": "card", "content": "会员卡"}]
    menu = {"head_content": "您想", "list": items, "tail_content": "点一下就好"}

    wechat(world, _SEND, {"touser": LI, "msgtype": "msgmenu", "msgmenu": menu})

    bubble = world.inboxes[LI][-1]
    assert bubble.text == "您想\n查积分\n会员卡\n点一下就好"
    assert bubble.facts == {"head": "您想", "choices": items, "tail": "点一下就好"}
