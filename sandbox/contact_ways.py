"""Codes of guides and the welcome of who comes by them (wecom.md §4.1, §4.2)."""

import secrets
from datetime import datetime, timedelta
from typing import Any

from sandbox.contacts import cursor_of, customers_allowed, words_to_customers
from sandbox.corp_state import ContactWay, WelcomeCode
from sandbox.gateway import Call, Endpoint
from sandbox.inboxes import show
from sandbox.refusals import Answer, ApiError
from sandbox.state import Bubble, WecomApp, World

_SINGLE, _SEVERAL = 1, 2
_QR_CODE = 2
_STATE, _REMARK = 30, 30
_MOST_GUIDES = 100
_PAGE_MOST = 1000
_WELCOME_LIFE = timedelta(seconds=20)


def add(world: World, app: WecomApp, call: Call) -> Answer:
    """`POST add_contact_way`: for one guide (type 1) or several (type 2)."""
    kind, scene = call.body.get("type"), call.body.get("scene")
    if kind not in {_SINGLE, _SEVERAL}:
        raise ApiError(41035)
    if scene not in {1, _QR_CODE}:
        raise ApiError(41037)
    userids = _guides(world, app, call, kind)
    _check_words(call)
    config_id = secrets.token_hex(16)
    qr_code = f"https://wework.qpic.test/wwpic/{secrets.token_urlsafe(24)}/0"
    world.wecom.corp.ways[config_id] = ContactWay(
        config_id,
        app.owner,
        kind,
        userids,
        call.text("state"),
        call.text("remark"),
        qr_code,
        call.now,
    )
    return {"config_id": config_id} | ({"qr_code": qr_code} if scene == _QR_CODE else {})


def get(world: World, app: WecomApp, call: Call) -> Answer:
    """`POST get_contact_way`."""
    return {"contact_way": _as_told(_own(world, app, call))}


def list_all(world: World, app: WecomApp, call: Call) -> Answer:
    """`POST list_contact_way`: ids only, in pages."""
    mine = [one for one in world.wecom.corp.ways.values() if one.owner == app.owner]
    start, limit = cursor_of(call.text("cursor")), call.body.get("limit")
    size = limit if isinstance(limit, int) and 1 <= limit <= _PAGE_MOST else _PAGE_MOST
    following = str(start + size) if start + size < len(mine) else ""
    page = [{"config_id": one.config_id} for one in mine[start : start + size]]
    return {"contact_way": page, "next_cursor": following}


def update(world: World, app: WecomApp, call: Call) -> Answer:
    """`POST update_contact_way`: the list of guides takes the old one's place."""
    way = _own(world, app, call)
    _check_words(call)
    if "user" in call.body:
        way.userids = _guides(world, app, call, way.kind)
    way.state = call.text("state") if "state" in call.body else way.state
    way.remark = call.text("remark") if "remark" in call.body else way.remark
    return {}


def remove(world: World, app: WecomApp, call: Call) -> Answer:
    """`POST del_contact_way`."""
    del world.wecom.corp.ways[_own(world, app, call).config_id]
    return {}


def send_welcome(world: World, app: WecomApp, call: Call) -> Answer:
    """`POST send_welcome_msg`: the first within 20 s; others are told to wait, then to stop."""
    del app
    if not call.text("welcome_code"):
        raise ApiError(41049)
    text, attachments = words_to_customers(call)
    code = world.wecom.corp.welcome_codes.get(call.text("welcome_code"))
    if code is None or call.now - code.made_at > _WELCOME_LIFE:
        raise ApiError(41050)
    _check_first(world, code, call.now)
    code.taken_at = call.now
    facts = {"userid": code.userid, "attachments": attachments}
    bubble = Bubble(call.now, "wecom_welcome", False, "text", text, facts)
    show(world, code.external_userid, bubble)
    return {}


def _check_first(world: World, code: WelcomeCode, now: datetime) -> None:
    customer = world.wecom.customers[code.external_userid]
    link = customer.links.get(code.userid)
    has_begun = link is not None and link.last_chat_at > code.made_at
    being_sent = timedelta(seconds=world.wecom.corp.welcome_seconds)
    if code.taken_at is not None and now - code.taken_at < being_sent:
        raise ApiError(41096)
    if code.taken_at is not None or has_begun:
        raise ApiError(41051)


def _guides(world: World, app: WecomApp, call: Call, kind: int) -> list[str]:
    userids = call.body.get("user")
    if not isinstance(userids, list) or not userids:
        raise ApiError(40063, "user")
    if (kind == _SINGLE and len(userids) != 1) or len(userids) > _MOST_GUIDES:
        raise ApiError(41041)
    return [customers_allowed(world, app, str(userid)) for userid in userids]


def _check_words(call: Call) -> None:
    if len(call.text("state")) > _STATE or len(call.text("remark")) > _REMARK:
        raise ApiError(40058, "state or remark is too long")


def _own(world: World, app: WecomApp, call: Call) -> ContactWay:
    if not call.text("config_id"):
        raise ApiError(41043)
    way = world.wecom.corp.ways.get(call.text("config_id"))
    if way is None or way.owner != app.owner:
        raise ApiError(41044)
    return way


def _as_told(way: ContactWay) -> dict[str, Any]:
    return {
        "config_id": way.config_id,
        "type": way.kind,
        "scene": _QR_CODE,
        "state": way.state,
        "remark": way.remark,
        "qr_code": way.qr_code,
        "user": list(way.userids),
        "skip_verify": True,
    }


ENDPOINTS: dict[str, Endpoint] = {
    "cgi-bin/externalcontact/add_contact_way": Endpoint("POST", add),
    "cgi-bin/externalcontact/get_contact_way": Endpoint("POST", get),
    "cgi-bin/externalcontact/list_contact_way": Endpoint("POST", list_all),
    "cgi-bin/externalcontact/update_contact_way": Endpoint("POST", update),
    "cgi-bin/externalcontact/del_contact_way": Endpoint("POST", remove),
    "cgi-bin/externalcontact/send_welcome_msg": Endpoint("POST", send_welcome),
}
