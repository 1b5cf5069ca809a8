"""The menu of an official account (wechat-oa.md §10.1): checked, kept, and shown on the phones."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.gateway import Call
from sandbox.refusals import Answer, ApiError
from sandbox.state import Account, World

_TOP_BUTTONS, _SUB_BUTTONS = 3, 5
_TOP_BYTES, _SUB_BYTES = 16, 60
_KEY_BYTES, _URL_BYTES = 128, 1024
_KEYED = frozenset(
    {"click", "scancode_push", "scancode_waitmsg", "pic_sysphoto", "pic_photo_or_album"}
    | {"pic_weixin", "location_select"}
)
_OTHERS = frozenset(
    {"view", "miniprogram", "media_id", "article_id", "article_view_limited", "view_limited"}
)
# What is wrong with a button: the code at the top, and in a sub-menu.
_NUMBER, _KIND, _NAME = (40016, 40023), (40017, 40024), (40018, 40025)
_KEY, _URL = (40019, 40026), (40020, 40027)


def create(world: World, account: Account, call: Call) -> Answer:
    """`POST /cgi-bin/menu/create`: replaces the whole menu. Refuses 40016 to 40027, 40033."""
    del world
    if call.is_escaped:
        raise ApiError(40033)
    buttons = call.body.get("button")
    _check_all(buttons, depth=0)
    assert isinstance(buttons, list)
    account.belongings.menu = buttons
    return {"errcode": 0, "errmsg": "ok"}


def get(world: World, account: Account, call: Call) -> Answer:
    """`GET /cgi-bin/menu/get`: the menu made through the API. Refuses 46003 without one."""
    del world, call
    if not account.belongings.menu:
        raise ApiError(46003)
    return {"menu": {"button": account.belongings.menu}}


def delete(world: World, account: Account, call: Call) -> Answer:
    """`GET /cgi-bin/menu/delete`: no menu any more."""
    del world, call
    account.belongings.menu, account.menu = [], []
    return {"errcode": 0, "errmsg": "ok"}


def shown(account: Account) -> list[dict[str, Any]]:
    """What a phone shows: the menu of the API, else the one set up in the console."""
    return account.belongings.menu or account.menu


@dataclass(frozen=True)
class Button:
    """A button on a phone: its path in the menu, and those below it."""

    path: str
    name: str
    below: list["Button"]


def buttons(account: Account) -> list[Button]:
    """The menu for a phone."""
    return _buttons(shown(account), "")


def _buttons(found: list[dict[str, Any]], above: str) -> list[Button]:
    return [
        Button(
            f"{above}{place}",
            str(one.get("name", "")),
            _buttons(one.get("sub_button") or [], f"{above}{place}."),
        )
        for place, one in enumerate(found)
    ]


def _check_all(buttons: object, *, depth: int) -> None:
    most = _SUB_BUTTONS if depth else _TOP_BUTTONS
    if not isinstance(buttons, list) or not 1 <= len(buttons) <= most:
        raise ApiError(_NUMBER[depth])
    for button in buttons:
        _check(button if isinstance(button, dict) else {}, depth=depth)


def _check(button: Mapping[str, Any], *, depth: int) -> None:
    _check_length(button.get("name"), _SUB_BYTES if depth else _TOP_BYTES, _NAME[depth])
    if "sub_button" in button and not depth and button["sub_button"]:
        _check_all(button["sub_button"], depth=1)
    elif button.get("type") in _KEYED:
        _check_length(button.get("key"), _KEY_BYTES, _KEY[depth])
    elif button.get("type") not in _OTHERS:
        raise ApiError(_KIND[depth])
    elif button["type"] in {"view", "miniprogram"}:
        _check_length(button.get("url"), _URL_BYTES, _URL[depth])


def _check_length(value: object, most: int, code: int) -> None:
    if not isinstance(value, str) or not 1 <= len(value.encode()) <= most:
        raise ApiError(code)
