"""How often an account may call each endpoint in a day, and how it begins anew (wechat-oa.md §7.3).

Counters start again at midnight in China; the page does not name the zone.
"""

from datetime import datetime
from zoneinfo import ZoneInfo

from sandbox.gateway import Call
from sandbox.refusals import Answer, ApiError
from sandbox.state import Account, World

_CHINA = ZoneInfo("Asia/Shanghai")
# The limits of a new account.
DAILY = {
    "cgi-bin/menu/create": 1000,
    "cgi-bin/menu/get": 10_000,
    "cgi-bin/menu/delete": 1000,
    "cgi-bin/message/custom/send": 500_000,
    "cgi-bin/message/template/send": 100_000,
    "cgi-bin/qrcode/create": 100_000,
    "cgi-bin/user/info": 5_000_000,
}
_CLEARED_PER_MONTH = 10


def count(world: World, account: Account, what: str, *, limit: int | None, now: datetime) -> None:
    """Count one call; None means that no limit is known. Refuses 45009."""
    most = account.daily_limits.get(what, limit)
    key = (account.appid, what, _day(now))
    if most is not None and world.wechat.calls_per_day[key] >= most:
        raise ApiError(45009)
    world.wechat.calls_per_day[key] += 1


def _day(now: datetime) -> str:
    return now.astimezone(_CHINA).date().isoformat()


def clear(world: World, account: Account, call: Call) -> Answer:
    """`POST /cgi-bin/clear_quota`: all counters to zero, ten times a month. Refuses 48006."""
    if call.text("appid") != account.appid:
        raise ApiError(40013)
    month = (account.appid, "clear_quota", _day(call.now)[:7])
    if world.wechat.calls_per_day[month] >= _CLEARED_PER_MONTH:
        raise ApiError(48006)
    world.wechat.calls_per_day[month] += 1
    for key in [one for one in world.wechat.calls_per_day if one[0] == account.appid]:
        if key != month:
            del world.wechat.calls_per_day[key]
    return {"errcode": 0, "errmsg": "ok"}


def look(world: World, account: Account, call: Call) -> Answer:
    """`POST /cgi-bin/openapi/quota/get`: limit, use and rest of one path. Refuses 76021."""
    path = call.text("cgi_path").strip("/")
    limit = account.daily_limits.get(path, DAILY.get(path))
    if limit is None:
        raise ApiError(76021)
    used = world.wechat.calls_per_day[account.appid, path, _day(call.now)]
    quota = {"daily_limit": limit, "used": used, "remain": limit - used}
    return {"errcode": 0, "errmsg": "ok", "quota": quota}
