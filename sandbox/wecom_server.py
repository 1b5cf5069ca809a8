"""A stand-in for `qyapi.weixin.qq.com`: tokens, members, and app messages to guides (wecom.md
§2, §3, §6.1).

Customers stand in `sandbox/contacts.py`, their codes, tags and transfers beside them, broadcasts
in `sandbox/broadcasts.py`. One corp, several apps. It is not WeCom and only refuses what is
documented.
"""

import hashlib
import json
import secrets
from datetime import timedelta
from typing import Any

from sandbox import (
    broadcasts,
    card_changes,
    contact_ways,
    contacts,
    corp_tags,
    directory,
    jsapi,
    transfers,
)
from sandbox.cards import check_card, is_interactive
from sandbox.corp_state import ResponseCode, SentMessage
from sandbox.gateway import Call, Endpoint
from sandbox.inboxes import show
from sandbox.refusals import Answer, ApiError, wecom_refusal
from sandbox.state import Bubble, Code, Push, WecomApp, World
from sandbox.tokens import LIFETIME, TokenBook

# Limits of app messages (wecom.md §2.4, §3.1).
_PER_MINUTE = 30
_PER_HOUR = 1000
_MOST_USERS = 1000
_MOST_PARTIES = 100
_TEXT_BYTES = 2048
_TITLE_CHARACTERS = 128
_DESCRIPTION_CHARACTERS = 512
_URL_BYTES = 2048
_DUPLICATE_SECONDS = 1800
_MOST_DUPLICATE_SECONDS = 4 * 3600


class WecomServer:
    """Answers the calls of all apps of the corp."""

    name = "wecom"

    def __init__(self, world: World) -> None:
        self.world = world
        self.state = world.wecom

    @property
    def tokens(self) -> TokenBook:
        """Its access tokens."""
        return self.state.tokens

    def answer(self, call: Call) -> Answer:
        """Answer one call under the lock. Refuses with `ApiError`."""
        endpoint = ENDPOINTS.get(call.path)
        if endpoint is None:
            raise ApiError(40066)
        if call.method != endpoint.method:
            raise ApiError(43001 if endpoint.method == "GET" else 43002)
        with self.state.lock:
            if not endpoint.needs_token:
                return endpoint.act(self.world, call)
            owner = self.tokens.owner_of(call.query.get("access_token"), now=call.now)
            app = self.state.apps[owner]
            if app.allowed_ips and call.ip not in app.allowed_ips:
                raise ApiError(60020)
            transfers.settle(self.world, call.now)
            if call.path.startswith("cgi-bin/externalcontact/") and not app.has_contact_permission:
                raise ApiError(48002)
            return {"errcode": 0, "errmsg": "ok", **endpoint.act(self.world, app, call)}

    def begin(self, call: Call) -> ApiError | None:
        """Count a call as under way; too many of one API at once are refused (§2.3)."""
        with self.state.lock:
            corp = self.state.corp
            for name in _names(call):
                corp.at_work[name] += 1
            if corp.most_at_once is not None and corp.at_work[call.path] > corp.most_at_once:
                return ApiError(45033)
            is_same = any(corp.at_work[name] > 1 for name in _names(call) if name != call.path)
            return ApiError(45035) if is_same else None

    def end(self, call: Call) -> None:
        """The call is over."""
        with self.state.lock:
            self.state.corp.at_work.subtract(_names(call))

    def refusal(self, error: ApiError, call: Call) -> Answer:
        """A refusal in WeCom's words."""
        return wecom_refusal(error, ip=call.ip, is_bad_json=call.is_bad_json)

    def take_pushes(self) -> list[Push]:
        """Callbacks caused since the last time."""
        with self.state.lock:
            pushes, self.state.pushes = self.state.pushes, []
        return pushes


def _names(call: Call) -> list[str]:
    """What a call keeps busy: its API, and the record that only one may change at a time."""
    if call.path.endswith("/mark_tag"):
        return [call.path, f"mark {call.text('userid')} {call.text('external_userid')}"]
    if call.path.endswith("resigned/transfer_customer"):
        return [call.path, f"resigned {call.text('handover_userid')}"]
    return [call.path]


def get_token(world: World, call: Call) -> Answer:
    """`GET /cgi-bin/gettoken`: a token per corp and secret, good for that one app (§2.1)."""
    corpid, secret = call.query.get("corpid"), call.query.get("corpsecret")
    if not corpid:
        raise ApiError(41002)
    if not secret:
        raise ApiError(41004)
    apps = [app for app in world.wecom.apps.values() if app.corpid == corpid]
    if not apps:
        raise ApiError(40013)
    app = next((app for app in apps if app.secret == secret), None)
    if app is None:
        raise ApiError(40001)
    # A new token each time, older ones stay good: whether the real one repeats itself is not known.
    token = world.wecom.tokens.issue(app.owner, kind="app", now=call.now)
    ends = int(LIFETIME.total_seconds())
    return {"errcode": 0, "errmsg": "ok", "access_token": token.value, "expires_in": ends}


def who_is(world: World, app: WecomApp, call: Call) -> Answer:
    """`GET /cgi-bin/auth/getuserinfo`: a member's userid, or an outsider's openid (§6.1)."""
    code = _spend_code(world, app, call)
    if code.person in world.wecom.guides:
        return {"userid": code.person}
    outsider = {"openid": code.person}
    for customer in world.wecom.customers.values():
        follower = world.wechat.followers.get(code.person)
        if follower and follower.unionid and follower.unionid == customer.unionid:
            outsider["external_userid"] = customer.external_userid
    return outsider


def _spend_code(world: World, app: WecomApp, call: Call) -> Code:
    if not call.query.get("code"):
        raise ApiError(41008)
    code = world.wecom.codes.get(call.query["code"])
    if code is None or code.owner != app.corpid:
        raise ApiError(40029)
    if code.is_used:
        raise ApiError(42022)
    if code.expires_at <= call.now:
        raise ApiError(42003)
    code.is_used = True
    return code


def send_message(world: World, app: WecomApp, call: Call) -> Answer:
    """`POST /cgi-bin/message/send`: one message to many guides; partly wrong recipients are no
    failure.
    """
    if call.body.get("agentid") != app.agentid:
        raise ApiError(301002)
    good, bad = _recipients(world, app, call)
    answer: Answer = {"invaliduser": "|".join(bad).lower(), "invalidparty": call.text("toparty")}
    answer |= {"invalidtag": call.text("totag"), "unlicenseduser": ""}
    before = _duplicate(world, app, call)
    if before is not None:
        return {**answer, "msgid": before}
    kind = call.text("msgtype")
    bubble = Bubble(call.now, "wecom", False, kind, *_content(world, app, kind, call.part(kind)))
    msgid = secrets.token_urlsafe(64)
    _remember_duplicate(world, app, call, msgid)
    if kind == "template_card" and is_interactive(call.part(kind)):
        answer["response_code"] = _response_code(world, app, call, msgid)
    world.wecom.corp.messages[msgid] = SentMessage(msgid, app.owner, call.now, good)
    for userid in good:
        _bring(world, app, userid, bubble, msgid)
    return {**answer, "msgid": msgid}


def _recipients(world: World, app: WecomApp, call: Call) -> tuple[list[str], list[str]]:
    wanted = [userid for userid in call.text("touser").split("|") if userid]
    parties, tags = call.text("toparty").split("|"), call.text("totag").split("|")
    if not wanted and parties == [""] and tags == [""]:
        raise ApiError(82001)
    if len(wanted) > _MOST_USERS:
        raise ApiError(40058, "touser has more than 1000 users")
    if len(parties) > _MOST_PARTIES or len(tags) > _MOST_PARTIES:
        raise ApiError(82002 if len(parties) > _MOST_PARTIES else 82003)
    # The sandbox has no departments and no member tags, so every one of them is invalid.
    if wanted == ["@all"]:
        wanted = [guide.userid for guide in world.wecom.guides.values()]
    good = [userid for userid in wanted if contacts.sees(world, app, userid)]
    if not good:
        raise ApiError(81013)
    return good, [userid for userid in wanted if userid not in good]


def _content(
    world: World, app: WecomApp, kind: str, content: dict[str, Any]
) -> tuple[str, dict[str, Any]]:
    if kind == "text":
        return _cut(content.get("content"), "text.content"), {}
    if kind == "textcard":
        return _textcard(content)
    if kind == "template_card":
        check_card(content)
        if is_interactive(content) and not app.door_url:
            raise ApiError(43012)
        _claim_task_id(world, app, content.get("task_id"))
        title = content.get("main_title", {}).get("title") or content.get("sub_title_text", "")
        url = content.get("card_action", {}).get("url", "")
        return title, {"url": url, "task_id": content.get("task_id"), "card": content}
    raise ApiError(40008)


def _cut(text: object, field: str) -> str:
    """Text is cut at 2048 bytes without a word, not refused."""
    if not isinstance(text, str) or not text:
        raise ApiError(40063, field)
    return text.encode()[:_TEXT_BYTES].decode(errors="ignore")


def _textcard(content: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    for name in ("title", "description", "url"):
        if not content.get(name):
            raise ApiError(40063, f"textcard.{name}")
    if len(str(content["url"]).encode()) > _URL_BYTES:
        raise ApiError(42028)
    description = str(content["description"])[:_DESCRIPTION_CHARACTERS]
    facts = {
        "url": content["url"],
        "description": description,
        "btntxt": content.get("btntxt", "详情"),
    }
    return str(content["title"])[:_TITLE_CHARACTERS], facts


def _claim_task_id(world: World, app: WecomApp, task_id: object) -> None:
    if task_id is None:
        return
    key = (app.owner, str(task_id))
    if key in world.wecom.task_ids:
        raise ApiError(42014)
    world.wecom.task_ids.add(key)


def _fingerprint(app: WecomApp, call: Call) -> str:
    body = json.dumps(call.body, sort_keys=True)
    return hashlib.sha256(f"{app.owner} {body}".encode()).hexdigest()


def _duplicate(world: World, app: WecomApp, call: Call) -> str | None:
    """The message id of the same request inside its interval; what a repeat answers is not
    known.
    """
    seconds = int(call.body.get("duplicate_check_interval", _DUPLICATE_SECONDS))
    at, msgid = world.wecom.duplicates.get(_fingerprint(app, call), (None, ""))
    span = timedelta(seconds=min(seconds, _MOST_DUPLICATE_SECONDS))
    return msgid if at is not None and call.now - at < span else None


def _remember_duplicate(world: World, app: WecomApp, call: Call, msgid: str) -> None:
    if call.body.get("enable_duplicate_check") == 1:
        world.wecom.duplicates[_fingerprint(app, call)] = (call.now, msgid)


def _response_code(world: World, app: WecomApp, call: Call, msgid: str) -> str:
    code = secrets.token_urlsafe(48)
    task_id = str(call.part("template_card").get("task_id"))
    world.wecom.corp.response_codes[code] = ResponseCode(app.owner, call.now, task_id, msgid)
    return code


def _bring(world: World, app: WecomApp, userid: str, bubble: Bubble, msgid: str) -> None:
    """Show the message, or drop it without a word above 30 a minute or 1000 an hour (§2.4)."""
    sent = world.wecom.sent_at[app.owner, userid]
    sent[:] = [at for at in sent if bubble.at - at < timedelta(hours=1)]
    in_minute = sum(bubble.at - at < timedelta(minutes=1) for at in sent)
    is_dropped = in_minute >= _PER_MINUTE or len(sent) >= _PER_HOUR
    kind = "guide_message_dropped" if is_dropped else "guide_message"
    world.journal.note(
        kind, now=bubble.at, to=userid, message=bubble.kind, text=bubble.text, msgid=msgid
    )
    if not is_dropped:
        sent.append(bubble.at)
        facts = {**bubble.facts, "msgid": msgid, "agentid": app.agentid}
        show(world, userid, Bubble(bubble.at, "wecom", False, bubble.kind, bubble.text, facts))


ENDPOINTS: dict[str, Endpoint] = {
    "cgi-bin/gettoken": Endpoint("GET", get_token, needs_token=False),
    "cgi-bin/auth/getuserinfo": Endpoint("GET", who_is),
    "cgi-bin/message/send": Endpoint("POST", send_message),
    **card_changes.ENDPOINTS,
    **directory.ENDPOINTS,
    **contacts.ENDPOINTS,
    **contact_ways.ENDPOINTS,
    **corp_tags.ENDPOINTS,
    **transfers.ENDPOINTS,
    **broadcasts.ENDPOINTS,
    **jsapi.ENDPOINTS,
}
