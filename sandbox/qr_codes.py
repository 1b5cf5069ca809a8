"""Parametric QR codes and short keys of an official account (wechat-oa.md §8).

Which code a wrong body gets is not documented there; 40053 is what the global list offers.
"""

import io
import secrets
import string
from datetime import timedelta
from typing import Any

import segno

from sandbox.belongings import Scene, Short
from sandbox.gateway import Call
from sandbox.refusals import Answer, ApiError
from sandbox.state import Account, World

_LONGEST_SECONDS = 2_592_000
# Nowhere documented for certain: 30 or 60 seconds when a temporary code names none.
_DEFAULT_SECONDS = 60
_SCENE_CHARACTERS = 64
_PERMANENT_NUMBERS, _NUMBERS = 100_000, 2**32 - 1
_PERMANENT_CODES = 100_000
_SHORT_BYTES, _SHORT_CHARACTERS = 4096, 15
_LETTERS = string.ascii_letters + string.digits
_TEMPORARY = frozenset({"QR_SCENE", "QR_STR_SCENE"})
_BY_TEXT = frozenset({"QR_STR_SCENE", "QR_LIMIT_STR_SCENE"})
_ACTIONS = _TEMPORARY | _BY_TEXT | {"QR_LIMIT_SCENE"}


def create(world: World, account: Account, call: Call) -> Answer:
    """`POST /cgi-bin/qrcode/create`: a ticket, and the address that the picture holds."""
    del world
    action = call.text("action_name")
    if action not in _ACTIONS:
        raise ApiError(40053)
    value = _scene(call, action)
    seconds = _seconds(call) if action in _TEMPORARY else None
    kept = account.belongings.scenes
    if seconds is None and sum(one.until is None for one in kept.values()) >= _PERMANENT_CODES:
        raise ApiError(45029)
    until = None if seconds is None else call.now + timedelta(seconds=seconds)
    ticket, url = secrets.token_urlsafe(66), f"http://weixin.qq.com/q/{secrets.token_urlsafe(16)}"
    kept[ticket] = Scene(ticket, value, url, call.now, until)
    life = {} if seconds is None else {"expire_seconds": seconds}
    return {"ticket": ticket, **life, "url": url}


def _scene(call: Call, action: str) -> str:
    info = call.part("action_info").get("scene")
    scene: dict[str, Any] = info if isinstance(info, dict) else {}
    if action in _BY_TEXT:
        text = scene.get("scene_str")
        if isinstance(text, str) and 1 <= len(text) <= _SCENE_CHARACTERS:
            return text
        raise ApiError(40053)
    number, most = scene.get("scene_id"), _NUMBERS if action in _TEMPORARY else _PERMANENT_NUMBERS
    if isinstance(number, int) and 1 <= number <= most:
        return str(number)
    raise ApiError(40053)


def _seconds(call: Call) -> int:
    seconds = call.body.get("expire_seconds", _DEFAULT_SECONDS)
    if not isinstance(seconds, int) or not 1 <= seconds <= _LONGEST_SECONDS:
        raise ApiError(40053)
    return seconds


def picture(world: World, ticket: str) -> bytes | None:
    """The code of a ticket as PNG (WeChat gives a JPEG); None for a ticket nobody was given."""
    for account in world.wechat.accounts.values():
        if found := account.belongings.scenes.get(ticket):
            out = io.BytesIO()
            segno.make(found.url, micro=False).save(out, kind="png", scale=8, border=4)
            return out.getvalue()
    return None


def shorten(world: World, account: Account, call: Call) -> Answer:
    """`POST /cgi-bin/shorten/gen`: fifteen letters for up to 4 KB."""
    del world
    data = call.text("long_data")
    if not data:
        raise ApiError(44002)
    if len(data.encode()) > _SHORT_BYTES:
        raise ApiError(9410010)
    seconds = call.body.get("expire_seconds", _LONGEST_SECONDS)
    if not isinstance(seconds, int) or not 1 <= seconds <= _LONGEST_SECONDS:
        raise ApiError(9410011)
    key = "".join(secrets.choice(_LETTERS) for _ in range(_SHORT_CHARACTERS))
    account.belongings.shorts[key] = Short(data, call.now, call.now + timedelta(seconds=seconds))
    return {"errcode": 0, "errmsg": "ok", "short_key": key}


def lengthen(world: World, account: Account, call: Call) -> Answer:
    """`POST /cgi-bin/shorten/fetch`: what a key of this account stands for, while it lives."""
    del world
    short = account.belongings.shorts.get(call.text("short_key"))
    if short is None or short.until <= call.now:
        raise ApiError(9410012)
    return {
        "errcode": 0,
        "errmsg": "ok",
        "long_data": short.long_data,
        "create_time": int(short.made_at.timestamp()),
        "expire_seconds": int((short.until - call.now).total_seconds()),
    }
