"""What the WeChat stand-in takes for its followers: customer-service messages, notices, template
messages.

Sources: wechat-oa.md §5 (customer service), §6.1 (template messages), §6.2 (subscription
notices).
"""

from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from sandbox import grants
from sandbox.data_rules import check_data
from sandbox.gateway import Call
from sandbox.inboxes import show
from sandbox.markup import event_xml, leaf, node, wrap
from sandbox.refusals import Answer, ApiError
from sandbox.state import Account, Bubble, Follower, Push, World

# Nowhere documented for texts, but 45002 is what every sender has met above it (§4, §5).
TEXT_BYTES = 2048
_CLIENT_MSG_ID_LIFE = timedelta(minutes=10)
# How fresh an act of the person must be, and how long "is typing" stays (§5.3).
_TYPING_AFTER, _TYPING_FOR = timedelta(seconds=30), timedelta(seconds=15)
# Needs an uploaded medium, and the sandbox has no uploads: every id is unknown.
_MEDIA_TYPES = frozenset({"image", "voice", "video", "music", "mpnews", "miniprogrampage"})


def follower_of(world: World, account: Account, openid: str) -> Follower:
    """The follower behind an openid of this account. Refuses 40003."""
    follower = world.wechat.followers.get(openid)
    if follower is None or follower.appid != account.appid:
        raise ApiError(40003)
    return follower


def custom_send(world: World, account: Account, call: Call) -> Answer:
    """`POST /cgi-bin/message/custom/send`: inside a window only. The answer holds no message id."""
    follower = follower_of(world, account, call.text("touser"))
    kind = call.text("msgtype")
    text, facts = _custom_content(kind, call.part(kind))
    is_ai = call.part("aimsgcontext").get("is_ai_msg") == 1
    grants.spend(follower, now=call.now)
    facts = {**facts, "is_ai": True} if is_ai else facts
    follower.typing_until = None
    show(world, follower.openid, Bubble(call.now, "wechat_custom", False, kind, text, facts))
    return {"errcode": 0, "errmsg": "ok"}


def custom_typing(world: World, account: Account, call: Call) -> Answer:
    """`POST /cgi-bin/message/custom/typing`: shows or hides "is typing" (§5.3)."""
    follower = follower_of(world, account, call.text("touser"))
    command = call.text("command")
    if command not in {"Typing", "CancelTyping"}:
        raise ApiError(45072)
    if command == "CancelTyping":
        follower.typing_until = None
        return {"errcode": 0, "errmsg": "ok"}
    if follower.acted_at is None or call.now - follower.acted_at > _TYPING_AFTER:
        raise ApiError(45080)
    if follower.typing_until is not None and follower.typing_until > call.now:
        raise ApiError(45081)
    follower.typing_until = call.now + _TYPING_FOR
    return {"errcode": 0, "errmsg": "ok"}


def _custom_content(kind: str, content: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    if kind == "text":
        return _text(content), {}
    if kind == "news":
        return _article(content)
    if kind == "msgmenu":
        return _menu(content)
    raise ApiError(40007 if kind in _MEDIA_TYPES else 40008)


def _text(content: dict[str, Any]) -> str:
    text = content.get("content")
    if not isinstance(text, str) or not text:
        raise ApiError(44004)
    if len(text.encode()) > TEXT_BYTES:
        raise ApiError(45002)
    return text


def _article(content: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    articles = content.get("articles")
    if not isinstance(articles, list) or len(articles) != 1:
        raise ApiError(45008)
    article = articles[0]
    return str(article.get("title", "")), {
        "description": article.get("description", ""),
        "url": article.get("url", ""),
        "picurl": article.get("picurl", ""),
    }


def _menu(content: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The menu as plain lines, and its parts for a phone that lets them be tapped."""
    items = [
        {"id": str(item.get("id", "")), "content": str(item.get("content", ""))}
        for item in content.get("list") or []
    ]
    if not items or not all(item["id"] and item["content"] for item in items):
        raise ApiError(44004)
    head, tail = (str(content.get(f"{end}_content") or "") for end in ("head", "tail"))
    lines = [head, *(item["content"] for item in items), tail]
    facts = {"head": head, "choices": items, "tail": tail}
    return "\n".join(line for line in lines if line), facts


def notice_send(world: World, account: Account, call: Call) -> Answer:
    """`POST /cgi-bin/message/subscribe/bizsend`: one message for one acceptance; a report is
    pushed.
    """
    follower = follower_of(world, account, call.text("touser"))
    template = _template(account, call)
    _check_page(call.text("page"))
    check_data(call.body.get("data"), fields=account.templates.get(template, []))
    if follower.acceptances[template] <= 0:
        raise ApiError(43101)
    follower.acceptances[template] -= 1
    number = next(world.wechat.numbers)
    facts = {"template_id": template, "url": call.text("page"), "msgid": number}
    text = _lines(call.part("data"))
    show(world, follower.openid, Bubble(call.now, "wechat_notice", False, "notice", text, facts))
    item = node(
        "List",
        leaf("TemplateId", template),
        leaf("MsgID", number),
        leaf("ErrorCode", 0),
        leaf("ErrorStatus", "success"),
    )
    report = node("SubscribeMsgSentEvent", item)
    _push(world, account, follower, event_xml("subscribe_msg_sent_event", report), call)
    return {"errcode": 0, "errmsg": "ok"}


def template_send(world: World, account: Account, call: Call) -> Answer:
    """`POST /cgi-bin/message/template/send`: to followers only; a report is pushed."""
    follower = follower_of(world, account, call.text("touser"))
    template = _template(account, call)
    if not follower.is_subscribed:
        raise ApiError(43004)
    check_data(call.body.get("data"), fields=account.templates.get(template, []), may_be_old=True)
    before = _sent_before(world, follower, call)
    if before is not None:
        return {"errcode": 0, "errmsg": "ok", "msgid": before}
    number = next(world.wechat.numbers)
    world.wechat.client_msg_ids[follower.openid, call.text("client_msg_id")] = (call.now, number)
    if not follower.has_blocked_templates:
        facts = {"template_id": template, "url": call.text("url"), "msgid": number}
        text = _lines(call.part("data"))
        show(
            world,
            follower.openid,
            Bubble(call.now, "wechat_template", False, "template", text, facts),
        )
    status = "failed:user block" if follower.has_blocked_templates else "success"
    report = leaf("MsgID", number) + leaf("Status", status)
    _push(world, account, follower, event_xml("TEMPLATESENDJOBFINISH", report), call)
    return {"errcode": 0, "errmsg": "ok", "msgid": number}


def _sent_before(world: World, follower: Follower, call: Call) -> int | None:
    """The number of the message with this client id, for ten minutes; what a repeat answers is
    not documented.
    """
    wanted = call.text("client_msg_id")
    at, number = world.wechat.client_msg_ids.get((follower.openid, wanted), (None, 0))
    return number if wanted and at and call.now - at < _CLIENT_MSG_ID_LIFE else None


def _template(account: Account, call: Call) -> str:
    template = call.text("template_id")
    if not template or (account.templates and template not in account.templates):
        raise ApiError(40037)
    return template


def _check_page(page: str) -> None:
    if page and urlsplit(page).scheme not in {"http", "https"}:
        raise ApiError(41030)


def _lines(data: dict[str, Any]) -> str:
    return "\n".join(str(holder["value"]) for holder in data.values())


def _push(world: World, account: Account, follower: Follower, body: str, call: Call) -> None:
    xml = wrap(body, to=account.original_id, sender=follower.openid, at=call.now)
    world.wechat.pushes.append(Push(account.door, follower.openid, xml))
