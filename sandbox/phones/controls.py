"""The page behind the orange strip: the clock, what shall go wrong next, and what has just
happened.
"""

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, get_args
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, Field
from starlette.responses import Response

from sandbox import moving_clock
from sandbox.mischief import Call, Carriage, Client
from sandbox.moving_clock import ClockStands
from sandbox.phones.rendering import page, world_of
from sandbox.push import Fault
from sandbox.state import Switch, World
from store import clock

router = APIRouter(tags=["phones"], include_in_schema=False)
_MOVES = {
    "10m": ("10 分钟", timedelta(minutes=10)),
    "1h": ("1 小时", timedelta(hours=1)),
    "1d": ("1 天", timedelta(days=1)),
    "7d": ("7 天", timedelta(days=7)),
    "30d": ("30 天", timedelta(days=30)),
}
_MORNING = "morning"
_CALLS = {
    "error": "拒绝（给一个错误码）",
    "slow": "过几秒才回答",
    "hang": "不回答，什么也没做",
    "drop": "做完了，回答丢了",
    "down": "网关 502",
    "expired_token": "令牌提前过期",
}
_CARRIAGES = {
    "late": "晚几秒到",
    "duplicate": "同一条来两次",
    "reorder": "让下一条先走",
    "lost": "丢了，不会到",
    "cut": "门口的回答丢了，微信重试",
}
_CLIENT = {
    "user_cancels": "侧边栏发送：导购点了取消",
    "client_refuses": "侧边栏发送：企业微信不让发",
}
_MISBEHAVED = {**_CALLS, **_CARRIAGES}
# What became of a callback that no door has answered well; one that was lost has no fault.
_OUTCOMES = {
    None: "没有送到",
    Fault.UNANSWERED: "产品没有按时回答",
    Fault.STATUS: "产品的回答，平台不收",
    Fault.MALFORMED: "产品的回答，平台不收",
}
assert set(_CALLS) == set(get_args(Call))
assert set(_CARRIAGES) == set(get_args(Carriage))
assert set(_CLIENT) == set(get_args(Client))
_LATEST = 30
_CHINA = ZoneInfo("Asia/Shanghai")


@router.get("/sandbox/controls")
async def controls(request: Request) -> Response:
    """All of it."""
    world, now = world_of(request), clock.now()
    return page(
        "controls.html",
        now=now.astimezone(_CHINA),
        can_move=moving_clock.can_move(),
        moves={name: label for name, (label, _by) in _MOVES.items()},
        accounts=_accounts(world),
        calls=_CALLS,
        carriages=_CARRIAGES,
        client=_CLIENT,
        waiting=[one for one in world.switches if one.left > 0],
        latest=_latest(world),
    )


def _accounts(world: World) -> dict[str, str]:
    official = {one.appid: one.name for one in world.wechat.accounts.values()}
    return {**official, **{one.owner: one.name for one in world.wecom.apps.values()}}


def _latest(world: World) -> list[dict[str, Any]]:
    """The newest calls and callbacks, in a line each."""
    entries = [one for one in world.journal.entries if one["kind"] in {"call", "push"}]
    return [_line(one) for one in reversed(entries[-_LATEST:])]


def _line(entry: dict[str, Any]) -> dict[str, Any]:
    moment, odd = datetime.fromisoformat(entry["at"]), _MISBEHAVED.get(entry["misbehaved"], "")
    time = f"{moment.astimezone(_CHINA):%H:%M:%S}"
    if entry["kind"] == "push":
        outcome = _OUTCOMES[entry["fault"]] if entry["problem"] else "好"
        what = f"回调 · {entry['tries']} 次 · {entry['millis']:.0f} ms"
        return {"time": time, "what": what, "outcome": outcome, "odd": odd}
    code = entry["answer"].get("errcode", 0)
    return {"time": time, "what": entry["path"], "outcome": code or "好", "odd": odd}


@router.post("/sandbox/clock")
async def move_clock(by: Annotated[str, Form()]) -> Response:
    """Move everybody's clock ahead; nothing happens when it cannot be moved."""
    length = moving_clock.until_morning(clock.now()) if by == _MORNING else _MOVES[by][1]
    try:
        moving_clock.move(length)
    except ClockStands:
        return Response("这个沙箱的钟不能拨。", 409, media_type="text/plain; charset=utf-8")
    return RedirectResponse("/sandbox/controls", 303)


class SwitchForm(BaseModel):
    """What shall go wrong, for whom, and how often."""

    how: Literal[Call, Carriage, Client]
    account: str = ""
    path: str = Field(default="*", max_length=80)
    code: int = -1
    seconds: float = Field(default=6, ge=0, le=60)
    times: int = Field(default=1, ge=1, le=1000)


@router.post("/sandbox/switch")
async def switch_on(request: Request, form: Annotated[SwitchForm, Form()]) -> Response:
    """Let the next calls, or callbacks, of an account go wrong."""
    platform = "wecom" if ":" in form.account else "wechat"
    server, path = platform, form.path.strip("/ ") or "*"
    if form.how in _CARRIAGES:
        server, path = "callback", "*"
    owner = form.account
    if form.how in _CLIENT:
        server, path, owner = "jssdk", "*", ""
    switch = Switch(server, path, form.how, form.times, form.code, form.seconds, owner)
    world_of(request).switches.append(switch)
    return RedirectResponse("/sandbox/controls", 303)


@router.post("/sandbox/switches/off")
async def switch_off(request: Request) -> Response:
    """End all misbehaviour."""
    world_of(request).switches.clear()
    return RedirectResponse("/sandbox/controls", 303)
