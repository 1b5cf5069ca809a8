"""Customers of the corp as WeCom tells them to an app (客户联系, wecom.md §4)."""

from itertools import islice
from typing import Any

from sandbox.gateway import Call, Endpoint
from sandbox.refusals import Answer, ApiError
from sandbox.state import Customer, Link, WecomApp, World

_MOST_USERIDS = 100
_MOST_PER_PAGE = 100
_USUAL_PER_PAGE = 50
_MOST_FOLLOWERS = 500
_REMARK, _DESCRIPTION = 20, 150
_TEXT_BYTES, _MOST_ATTACHMENTS = 4000, 9
_CORP_TAG, _PERSONAL_TAG = 1, 2


def sees(world: World, app: WecomApp, userid: str) -> bool:
    """The guide exists, is active, and stands in the visible range of the app."""
    guide = world.wecom.guides.get(userid)
    is_in_range = not app.visible_userids or userid in app.visible_userids
    return guide is not None and guide.is_active and is_in_range


def guide_seen(world: World, app: WecomApp, userid: str) -> str:
    """The userid, if the app sees this guide. Refuses 60111."""
    if not sees(world, app, userid):
        raise ApiError(60111)
    return userid


def customers_allowed(world: World, app: WecomApp, userid: str) -> str:
    """The userid, if the guide may have customers, too. Refuses 60111 and 84074."""
    if not world.wecom.guides[guide_seen(world, app, userid)].has_customers:
        raise ApiError(84074)
    return userid


def words_to_customers(call: Call) -> tuple[str, list[Any]]:
    """Text and attachments of what customers are to get (wecom.md §4.2, §5)."""
    text = str(call.part("text").get("content") or "")
    attachments = call.body.get("attachments") or []
    if not text and not attachments:
        raise ApiError(40063, "text and attachments")
    if len(text.encode()) > _TEXT_BYTES:
        raise ApiError(45002)
    if len(attachments) > _MOST_ATTACHMENTS:
        raise ApiError(41064)
    return text, attachments


def link_of(world: World, app: WecomApp, userid: str, external_userid: str) -> Link:
    """How a guide has a customer. Refuses 60111, 40096 and 84061."""
    customers_allowed(world, app, userid)
    customer = world.wecom.customers.get(external_userid)
    if customer is None:
        raise ApiError(40096)
    link = customer.links.get(userid)
    if link is None or link.is_half:
        raise ApiError(84061)
    return link


def follow_users(world: World, app: WecomApp, _call: Call) -> Answer:
    """`GET get_follow_user_list`: the guides who may have customers, within the visible range."""
    guides = world.wecom.guides.values()
    able = [one.userid for one in guides if one.has_customers and sees(world, app, one.userid)]
    return {"follow_user": able}


def list_customers(world: World, app: WecomApp, call: Call) -> Answer:
    """`GET list`: the customers of one guide; none gives an empty list (the real answer is not
    known).
    """
    userid = customers_allowed(world, app, call.query.get("userid", ""))
    return {"external_userid": _whole(world, userid)}


def get_customer(world: World, app: WecomApp, call: Call) -> Answer:
    """`GET get`: one customer with all guides the app sees. Refuses 40096 and 84061."""
    customer = world.wecom.customers.get(call.query.get("external_userid", ""))
    if customer is None:
        raise ApiError(40096)
    links = {
        userid: link
        for userid, link in customer.links.items()
        if sees(world, app, userid) and not link.is_half
    }
    if not links:
        raise ApiError(84061)
    start = cursor_of(call.query.get("cursor", ""))
    page = dict(islice(links.items(), start, start + _MOST_FOLLOWERS))
    answer: Answer = {"external_contact": _profile(customer)}
    answer["follow_user"] = [
        {**_follow(userid, link), "tags": _tags(world, link)} for userid, link in page.items()
    ]
    if start + _MOST_FOLLOWERS < len(links):
        answer["next_cursor"] = str(start + _MOST_FOLLOWERS)
    return answer


def customers_of_guides(world: World, app: WecomApp, call: Call) -> Answer:
    """`POST batch/get_by_user`: customers of up to 100 guides in pages; `follow_info` is one
    object.
    """
    userids = call.body.get("userid_list")
    if not isinstance(userids, list) or not userids:
        raise ApiError(40063, "userid_list")
    if len(userids) > _MOST_USERIDS:
        raise ApiError(40058, "userid_list has more than 100 users")
    pairs = [
        (userid, external_userid)
        for userid in userids
        for external_userid in _whole(world, customers_allowed(world, app, str(userid)))
    ]
    start = cursor_of(call.text("cursor"))
    limit = _limit(call.body.get("limit"))
    page = [_entry(world, userid, external) for userid, external in pairs[start : start + limit]]
    following = str(start + limit) if start + limit < len(pairs) else ""
    return {"external_contact_list": page, "next_cursor": following}


def remark(world: World, app: WecomApp, call: Call) -> Answer:
    """`POST remark`: what a guide calls a customer; the mobiles take the place of all before."""
    link = link_of(world, app, call.text("userid"), call.text("external_userid"))
    names = ("remark", "description", "remark_company", "remark_mobiles", "remark_pic_mediaid")
    if not any(name in call.body for name in names):
        raise ApiError(40063, "remark and the others")
    if len(call.text("remark")) > _REMARK or len(call.text("description")) > _DESCRIPTION:
        raise ApiError(40058, "remark or description is too long")
    link.remark = call.text("remark") if "remark" in call.body else link.remark
    link.description = call.text("description") or link.description
    if "remark_mobiles" in call.body:
        link.mobiles = [str(one) for one in call.body["remark_mobiles"] if one]
    return {}


def _whole(world: World, userid: str) -> list[str]:
    """The customers of a guide, without those whom the guide has not agreed to yet."""
    customers = world.wecom.customers
    mine = world.wecom.contacts_of[userid]
    return [one for one in mine if not customers[one].links[userid].is_half]


def _entry(world: World, userid: str, external_userid: str) -> dict[str, Any]:
    customer = world.wecom.customers[external_userid]
    link = customer.links[userid]
    ids = [one for one in link.tags if one in world.wecom.corp.tags]
    follow = {**_follow(userid, link), "tag_id": ids}
    return {"external_contact": _profile(customer), "follow_info": follow}


def _tags(world: World, link: Link) -> list[dict[str, Any]]:
    """Corp tags with their names; what stands for none is a tag of the guide's own, without id."""
    told: list[dict[str, Any]] = []
    for one in link.tags:
        group = world.wecom.corp.group_of(one)
        if group is None:
            told.append({"group_name": "", "tag_name": one, "type": _PERSONAL_TAG})
        else:
            name = group.tags[one].name
            facts = {"group_name": group.name, "tag_name": name, "tag_id": one}
            told.append({**facts, "type": _CORP_TAG})
    return told


def _profile(customer: Customer) -> dict[str, Any]:
    profile = {
        "external_userid": customer.external_userid,
        "name": customer.name,
        "avatar": "",
        "type": 1,
        "gender": 0,
    }
    return {**profile, "unionid": customer.unionid} if customer.unionid else profile


def _follow(userid: str, link: Link) -> dict[str, Any]:
    return {
        "userid": userid,
        "remark": link.remark,
        "description": link.description,
        "createtime": int(link.created_at.timestamp()),
        "remark_mobiles": list(link.mobiles),
        "add_way": 1,
        "state": link.state,
    }


def cursor_of(text: str) -> int:
    """The place a cursor of ours stands for. Refuses 40058."""
    if not text:
        return 0
    if not text.isdecimal():
        raise ApiError(40058, "cursor")
    return int(text)


def _limit(limit: object) -> int:
    return limit if isinstance(limit, int) and 1 <= limit <= _MOST_PER_PAGE else _USUAL_PER_PAGE


ENDPOINTS: dict[str, Endpoint] = {
    "cgi-bin/externalcontact/get_follow_user_list": Endpoint("GET", follow_users),
    "cgi-bin/externalcontact/list": Endpoint("GET", list_customers),
    "cgi-bin/externalcontact/get": Endpoint("GET", get_customer),
    "cgi-bin/externalcontact/batch/get_by_user": Endpoint("POST", customers_of_guides),
    "cgi-bin/externalcontact/remark": Endpoint("POST", remark),
}
