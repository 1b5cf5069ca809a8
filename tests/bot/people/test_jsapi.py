"""Tickets and signatures of pages, against the sandbox and the client that looks at them."""

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bot.calls import ApiError, NoToken
from bot.wecom.client import WeComApi
from bot.wecom.jsapi import TicketKind, sign
from sandbox import jsapi
from sandbox.gateway import Call
from sandbox.jsapi import Seat
from sandbox.refusals import ApiError as Refused
from sandbox.state import Switch
from store import clock
from tests.bot.people.corp import House
from tests.sandbox.builders import AGENT, CORPID, LI_EXTERNAL, OTHER_AGENT

PAGE = "http://shop.test:8000/guide/sidebar"
SEAT = Seat("WangFang", PAGE, LI_EXTERNAL)
_APIS = ["getCurExternalContact", "sendChatMessage"]


def _shown(api: WeComApi, kind: TicketKind, url: str = PAGE) -> dict[str, Any]:
    """A signature as a page shows it."""
    found = api.tickets.sign(kind, url, now=clock.now())
    return {
        "timestamp": found.timestamp,
        "nonceStr": found.nonce,
        "signature": found.signature,
    }


def _registration(api: WeComApi, **more: Any) -> dict[str, Any]:
    asked = {"corpId": CORPID, "agentId": AGENT, "jsApiList": _APIS}
    corp, agent = _shown(api, TicketKind.CORP), _shown(api, TicketKind.AGENT)
    return {**asked, "config": corp, "agentConfig": agent, **more}


def _ask(house: House, name: str, said: dict[str, Any], *, seat: Seat = SEAT) -> dict[str, Any]:
    return jsapi.ask(house.world, seat, name, said, clock.now())


def _register(house: House, said: dict[str, Any]) -> tuple[str, int]:
    found = _ask(house, "register", said)
    return found["errMsg"].removeprefix("register:"), found["errCode"]


def test_signature_is_that_of_the_known_answer() -> None:
    """wecom.md §1.3; what follows the # is no part of the page."""
    ticket = (
        "sM4AOVdWfPE4DxkXGEs8VMCPGGVi4C3VM0P37wVUCFvkVAy_90u5h9nbSlYy3-Sl-HhTdfl2fzFy1AOcHKP7qg"
    )
    nonce, at = "Wm3WZYTPz0wzccnW", 1414587457

    for url in ("http://mp.weixin.qq.com?params=value", "http://mp.weixin.qq.com?params=value#x"):
        assert (
            sign(ticket, nonce=nonce, timestamp=at, url=url)
            == "0f9de62fce790f9a083d5c99e95740ceb90c27ed"
        )


def test_client_takes_a_page_with_both_signatures(house: House) -> None:
    assert _register(house, _registration(house.api)) == ("ok", 0)
    assert _ask(house, "getCurExternalContact", {})["userId"] == LI_EXTERNAL


@pytest.mark.parametrize(
    ("change", "code"),
    [
        # A timestamp in milliseconds, a page with its fragment, and the ticket of the other kind.
        (lambda api: {"config": _in_milliseconds(api)}, 40093),
        (lambda api: {"agentConfig": _with_fragment(api)}, 40093),
        (lambda api: {"agentConfig": _shown(api, TicketKind.CORP)}, 42012),
    ],
)
def test_client_refuses_what_is_signed_wrong(
    house: House, change: Callable[[WeComApi], dict[str, Any]], code: int
) -> None:
    assert _register(house, _registration(house.api, **change(house.api)))[1] == code
    # A page that was not taken may ask for nothing.
    assert _ask(house, "getCurExternalContact", {})["errMsg"].endswith(":fail no permission")


def _in_milliseconds(api: WeComApi) -> dict[str, Any]:
    ticket = api.tickets._tickets[TicketKind.CORP].current()
    at = int(clock.now().timestamp() * 1000)
    signature = sign(ticket, nonce="n", timestamp=at, url=PAGE)
    return {"timestamp": at, "nonceStr": "n", "signature": signature}


def _with_fragment(api: WeComApi) -> dict[str, Any]:
    ticket = api.tickets._tickets[TicketKind.AGENT].current()
    at = int(clock.now().timestamp())
    words = f"jsapi_ticket={ticket}&noncestr=n&timestamp={at}&url={PAGE}#chat"
    signature = hashlib.sha1(words.encode()).hexdigest()  # noqa: S324 -- WeCom's signature
    return {"timestamp": at, "nonceStr": "n", "signature": signature}


def _other_app(house: House) -> WeComApi:
    account = replace(house.api._account, agent_id=OTHER_AGENT, secret="other")
    return WeComApi(account, base_url=house.clients.base_url, redis=house.clients.redis)


def test_apps_of_one_corp_keep_their_tickets_apart(house: House) -> None:
    """wecom.md §9.2: a ticket of the other app would be refused with 42012."""
    own, other = house.api, _other_app(house)
    _shown(own, TicketKind.AGENT)

    assert _register(house, _registration(own)) == ("ok", 0)
    assert _register(house, _registration(own, agentConfig=_shown(other, TicketKind.AGENT)))[1] == (
        42012
    )
    taken = _registration(own, agentConfig=_shown(other, TicketKind.AGENT), agentId=OTHER_AGENT)
    assert _register(house, taken) == ("ok", 0)


def test_ticket_is_fetched_once_by_all_who_sign(house: House) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(
            pool.map(
                lambda _: house.api.tickets.sign(TicketKind.CORP, PAGE, now=clock.now()), range(8)
            )
        )

    calls = [one for one in house.world.journal.entries if one["kind"] == "call"]
    assert [one["path"] for one in calls].count("cgi-bin/get_jsapi_ticket") == 1


def test_refused_ticket_is_no_signature(house: House) -> None:
    house.world.switches.append(Switch("wecom", "cgi-bin/ticket/get", "error", 1, code=-1))

    with pytest.raises(NoToken) as raised:
        _shown(house.api, TicketKind.AGENT)
    assert raised.value.code == -1


def test_no_more_tickets_are_asked_for_than_the_platform_gives(house: House) -> None:
    """wecom.md §2.4: 100 an hour for an app; the product stops before it is refused."""
    for _ in range(100):
        house.api.get("get_jsapi_ticket")

    with pytest.raises(ApiError) as raised:
        house.api.get("get_jsapi_ticket")
    assert raised.value.code is None


def test_platform_gives_a_hundred_tickets_an_hour_to_an_app(house: House) -> None:
    now = clock.now()
    app = house.world.wecom.apps[f"{CORPID}:{AGENT}"]
    call = Call("GET", "cgi-bin/get_jsapi_ticket", {}, {}, "127.0.0.1", now)
    given = {jsapi.corp_ticket(house.world, app, call)["ticket"] for _ in range(100)}

    assert len(given) == 1
    with pytest.raises(Refused, match="45009"):
        jsapi.corp_ticket(house.world, app, call)
    later = Call("GET", call.path, {}, {}, call.ip, now + timedelta(hours=1))
    assert jsapi.corp_ticket(house.world, app, later)["ticket"] in given
