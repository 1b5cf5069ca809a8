"""Tickets of pages, and what the WeCom client does for a page that shows one (wecom.md §6.2).

The client is the guide's phone: it takes a page's calls, looks whether the page may make them, and
acts in the chat that is open. It has no receipt and tells no app what was sent.
"""

import hashlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sandbox import chatting, contacts
from sandbox.corp_state import PageTicket
from sandbox.gateway import Call, Endpoint
from sandbox.refusals import WECOM_TEXTS, Answer, ApiError
from sandbox.state import WecomApp, World
from sandbox.tokens import LIFETIME

CORP, AGENT = "corp", "agent"
_PER_CORP, _PER_APP = 400, 100
_HOUR = timedelta(hours=1)
# A timestamp of ten digits is one of seconds; the client refuses one of milliseconds.
_SECONDS_DIGITS = 10
_TOOLBAR = "single_chat_tools"
_CANCELLED = "user_cancels"


def corp_ticket(world: World, app: WecomApp, call: Call) -> Answer:
    """`GET get_jsapi_ticket`: the corp's, the same until it ends."""
    _count(world, app, call)
    return _given(world, (CORP, app.corpid), call.now)


def agent_ticket(world: World, app: WecomApp, call: Call) -> Answer:
    """`GET ticket/get?type=agent_config`: the app's own."""
    if call.query.get("type") != "agent_config":
        raise ApiError(40058, "type")
    _count(world, app, call)
    return _given(world, (AGENT, app.owner), call.now)


def _count(world: World, app: WecomApp, call: Call) -> None:
    calls = world.wecom.corp.ticket_calls
    for name, most in ((app.corpid, _PER_CORP), (app.owner, _PER_APP)):
        recent = [at for at in calls[call.path, name] if call.now - at < _HOUR]
        if len(recent) >= most:
            raise ApiError(45009)
        calls[call.path, name] = [*recent, call.now]


def _given(world: World, key: tuple[str, str], now: datetime) -> Answer:
    ticket = world.wecom.corp.tickets.get(key)
    if ticket is None or ticket.expires_at <= now:
        ticket = PageTicket(secrets.token_urlsafe(64), now + LIFETIME)
        world.wecom.corp.tickets[key] = ticket
    left = int((ticket.expires_at - now).total_seconds())
    return {"ticket": ticket.value, "expires_in": left}


@dataclass(frozen=True)
class Seat:
    """Where a page is open: whose phone, which page, and the customer of the chat, if any."""

    userid: str
    page: str
    external_userid: str = ""


def ask(world: World, seat: Seat, name: str, said: Mapping[str, Any], now: datetime) -> Answer:
    """One call of a page: `errMsg` says `<name>:ok`, `:cancel` or `:fail <why>`, as the client."""
    act = _ACTS.get(name)
    if act is None:
        return _failed(name, "the api does not exist")
    try:
        return {"errMsg": f"{name}:ok", "errCode": 0, **act(world, seat, said, now)}
    except Refused as refusal:
        return _failed(name, refusal.why, refusal.code)
    except Cancelled:
        return {"errMsg": f"{name}:cancel", "errCode": 1}


class Refused(Exception):  # noqa: N818 -- an everyday answer of the client
    """The client refuses, in its own words."""

    def __init__(self, why: str, code: int = -1) -> None:
        self.why, self.code = why, code
        super().__init__(why)


class Cancelled(Exception):  # noqa: N818 -- an everyday answer of the client
    """The guide does not want to after all."""


def _failed(name: str, why: str, code: int = -1) -> Answer:
    return {"errMsg": f"{name}:fail {why}", "errCode": code}


def _register(world: World, seat: Seat, said: Mapping[str, Any], now: datetime) -> Answer:
    """Both signatures are looked at, each with the ticket of whom it claims to be from."""
    app = world.wecom.apps.get(f"{said.get('corpId')}:{said.get('agentId')}")
    if app is None:
        raise Refused("invalid corpId or agentId", 40013)
    _check(world, seat, said.get("config") or {}, (CORP, app.corpid), now)
    _check(world, seat, said.get("agentConfig") or {}, (AGENT, app.owner), now)
    if not contacts.sees(world, app, seat.userid):
        raise Refused("user not in allow list")
    apis = {str(one) for one in said.get("jsApiList") or []}
    world.wecom.corp.pages[seat.userid, seat.page] = apis
    return {}


def _check(
    world: World, seat: Seat, shown: Mapping[str, Any], own: tuple[str, str], now: datetime
) -> None:
    tickets = world.wecom.corp.tickets
    fitting = {
        key
        for key, one in tickets.items()
        if _signature(one, shown, seat.page) == shown.get("signature")
    }
    is_seconds = len(str(shown.get("timestamp"))) == _SECONDS_DIGITS
    if not fitting or not is_seconds:
        raise Refused(WECOM_TEXTS[40093], 40093)
    if own not in fitting or tickets[own].expires_at <= now:
        raise Refused(WECOM_TEXTS[42012], 42012)


def _signature(ticket: PageTicket, shown: Mapping[str, Any], page: str) -> str:
    fields = {
        "jsapi_ticket": ticket.value,
        "noncestr": shown.get("nonceStr"),
        "timestamp": shown.get("timestamp"),
        "url": page,
    }
    text = "&".join(f"{name}={value}" for name, value in fields.items())
    return hashlib.sha1(text.encode()).hexdigest()  # noqa: S324 -- WeCom's signature


def _context(world: World, seat: Seat, said: Mapping[str, Any], now: datetime) -> Answer:
    del said, now
    _need_right(world, seat, "getContext")
    return {"entry": _TOOLBAR if seat.external_userid else "normal"}


def _customer(world: World, seat: Seat, said: Mapping[str, Any], now: datetime) -> Answer:
    del said, now
    _need_right(world, seat, "getCurExternalContact")
    _need_chat(world, seat)
    return {"userId": seat.external_userid}


def _send(world: World, seat: Seat, said: Mapping[str, Any], now: datetime) -> Answer:
    """One message into the chat that is open; the phone may be told to misbehave."""
    _need_right(world, seat, "sendChatMessage")
    _need_chat(world, seat)
    text = (said.get("text") or {}).get("content")
    if said.get("msgtype") != "text" or not text:
        raise Refused("invalid parameter: the sandbox sends text only")
    switch = world.take_switch("jssdk", "sendChatMessage")
    if switch is not None:
        raise Cancelled if switch.how == _CANCELLED else Refused("no permission")
    chatting.guide_writes(world, seat.userid, seat.external_userid, str(text), now=now)
    return {}


def _need_right(world: World, seat: Seat, name: str) -> None:
    if name not in world.wecom.corp.pages.get((seat.userid, seat.page), set()):
        raise Refused("no permission")


def _need_chat(world: World, seat: Seat) -> None:
    customer = world.wecom.customers.get(seat.external_userid)
    if customer is None or seat.userid not in customer.links:
        raise Refused("without context of external contact")
    if not world.wecom.guides[seat.userid].has_customers:
        raise Refused("no permission")


_ACTS: dict[str, Callable[[World, Seat, Mapping[str, Any], datetime], Answer]] = {
    "register": _register,
    "getContext": _context,
    "getCurExternalContact": _customer,
    "sendChatMessage": _send,
}
ENDPOINTS: dict[str, Endpoint] = {
    "cgi-bin/get_jsapi_ticket": Endpoint("GET", corp_ticket),
    "cgi-bin/ticket/get": Endpoint("GET", agent_ticket),
}
