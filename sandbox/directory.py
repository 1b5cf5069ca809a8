"""The directory as a self-built app sees it (wecom.md §2.2): no mobiles, no faces."""

from typing import Any

from sandbox.contacts import guide_seen, sees
from sandbox.gateway import Call, Endpoint
from sandbox.refusals import Answer, ApiError
from sandbox.state import Guide, WecomApp, World

_ROOT = 1


def get_user(world: World, app: WecomApp, call: Call) -> Answer:
    """`GET user/get`: the few fields that newer self-built apps still see."""
    guide = world.wecom.guides[guide_seen(world, app, call.query.get("userid", ""))]
    return {
        **_short(guide),
        "main_department": guide.departments[0] if guide.departments else _ROOT,
        "is_leader_in_dept": [int(one in guide.leads) for one in guide.departments],
        "status": 1,
        "position": "",
    }


def list_users(world: World, app: WecomApp, call: Call) -> Answer:
    """`GET user/simplelist`: people of a department, and of all below it when asked."""
    number = _number(call)
    below = _below(world, number) if call.query.get("fetch_child") == "1" else {number}
    found = [
        _short(guide)
        for guide in world.wecom.guides.values()
        if sees(world, app, guide.userid) and below & set(guide.departments)
    ]
    return {"userlist": found}


def get_agent(_world: World, app: WecomApp, call: Call) -> Answer:
    """`GET agent/get`: the app itself and whom it may see."""
    if call.query.get("agentid") != str(app.agentid):
        raise ApiError(301002)
    users = [{"userid": userid} for userid in app.visible_userids]
    parties = [] if app.visible_userids else [_ROOT]
    return {
        "agentid": app.agentid,
        "name": app.name,
        "close": 0,
        "allow_userinfos": {"user": users},
        "allow_partys": {"partyid": parties},
        "allow_tags": {"tagid": []},
    }


def _short(guide: Guide) -> dict[str, Any]:
    return {"userid": guide.userid, "name": guide.name, "department": list(guide.departments)}


def _number(call: Call) -> int:
    text = call.query.get("department_id", "")
    if not text.isdecimal():
        raise ApiError(40058, "department_id")
    return int(text)


def _below(world: World, number: int) -> set[int]:
    """A department with all below it; the root is above those, too, that nobody has told of."""
    if number == _ROOT:
        guides = world.wecom.guides.values()
        return {_ROOT} | {one for guide in guides for one in guide.departments}
    found: set[int] = set()
    more = {number}
    while more:
        found |= more
        departments = world.wecom.corp.departments
        more = {key for key, one in departments.items() if one.parent in found} - found
    return found


ENDPOINTS: dict[str, Endpoint] = {
    "cgi-bin/user/get": Endpoint("GET", get_user),
    "cgi-bin/user/simplelist": Endpoint("GET", list_users),
    "cgi-bin/agent/get": Endpoint("GET", get_agent),
}
