"""A guide's chats with customers: both sides, the toolbar's client, and how it misbehaves."""

import hashlib
from typing import Any

import pytest

from sandbox import jsapi
from sandbox.gateway import Call
from sandbox.state import Switch
from store import clock
from tests.sandbox.builders import AGENT, CORPID, LI, LI_EXTERNAL, ZHOU_EXTERNAL, receipts
from tests.sandbox.conftest import Sandbox

_PAGE = "http://shop.test:8000/guide/sidebar"
_CHAT = f"/phone/guide/WangFang/chat/{LI_EXTERNAL}"


def _signed(sandbox: Sandbox, act: Any, query: dict[str, str]) -> dict[str, Any]:
    """A signature as WeCom's own client expects it."""
    at = clock.now()
    app = sandbox.world.wecom.apps[f"{CORPID}:{AGENT}"]
    path = "cgi-bin/ticket"
    ticket = act(sandbox.world, app, Call("GET", path, query, {}, "127.0.0.1", at))["ticket"]
    seconds = int(at.timestamp())
    words = f"jsapi_ticket={ticket}&noncestr=n&timestamp={seconds}&url={_PAGE}"
    signature = hashlib.sha1(words.encode()).hexdigest()  # noqa: S324 -- WeCom's signature
    return {"timestamp": seconds, "nonceStr": "n", "signature": signature}


def _call(sandbox: Sandbox, name: str, said: dict[str, Any], *, chat: str = _CHAT) -> Any:
    form = {"name": name, "page": _PAGE, "said": said}
    return sandbox.http.post(f"{chat}/jsapi", json=form).json()


def _say(sandbox: Sandbox, text: str = "周末来坐坐") -> str:
    """What the client answers to a page that wants to send."""
    said = {"msgtype": "text", "text": {"content": text}}
    return str(_call(sandbox, "sendChatMessage", said)["errMsg"])


@pytest.fixture
def page(sandbox: Sandbox) -> Sandbox:
    """A sandbox whose client has taken the page in the toolbar of Wang's chat with Li."""
    said = {
        "corpId": CORPID,
        "agentId": AGENT,
        "jsApiList": ["getContext", "getCurExternalContact", "sendChatMessage"],
        "config": _signed(sandbox, jsapi.corp_ticket, {}),
        "agentConfig": _signed(sandbox, jsapi.agent_ticket, {"type": "agent_config"}),
    }
    assert _call(sandbox, "register", said)["errMsg"] == "register:ok"
    return sandbox


def test_both_sides_of_a_chat_stand_on_both_phones(sandbox: Sandbox) -> None:
    sandbox.http.post(f"{_CHAT}/say", data={"text": "周末来坐坐"})
    sandbox.http.post(f"/phone/member/{LI}/say", data={"text": "好呀", "chat": "guide-WangFang"})

    guides = sandbox.http.get(f"{_CHAT}/log").text
    consumers = sandbox.http.get(f"/phone/member/{LI}", params={"chat": "guide-WangFang"}).text

    for shown in (guides, consumers):
        assert "周末来坐坐" in shown
        assert "好呀" in shown
    assert "好呀" in sandbox.http.get("/phone/guide/WangFang/chats").text
    # Another guide's chat with the same person is another one.
    other = f"/phone/guide/ZhaoLei/chat/{LI_EXTERNAL}"
    assert "好呀" not in sandbox.http.get(f"{other}/log").text


def test_guide_has_no_chat_with_a_strangers_customer(sandbox: Sandbox) -> None:
    chat = f"/phone/guide/ZhaoLei/chat/{ZHOU_EXTERNAL}"

    assert sandbox.http.get(chat).status_code == 404
    assert sandbox.http.post(f"{chat}/say", data={"text": "x"}).status_code == 404


def test_toolbar_opens_the_page_of_the_product_as_the_guide(sandbox: Sandbox) -> None:
    shown = sandbox.http.get(_CHAT, params={"tools": "true"}).text

    assert "/sandbox/be?who=WangFang" in shown
    assert "%2Fguide%2Fsidebar" in shown


def test_page_learns_the_friend_and_sends_one_message(page: Sandbox) -> None:
    assert _call(page, "getContext", {})["entry"] == "single_chat_tools"
    assert _call(page, "getCurExternalContact", {})["userId"] == LI_EXTERNAL
    assert _say(page) == "sendChatMessage:ok"
    assert receipts(page.world) == [(LI_EXTERNAL, "wecom_chat", "周末来坐坐")]


@pytest.mark.parametrize(
    ("how", "answer"),
    [
        ("user_cancels", "sendChatMessage:cancel"),
        ("client_refuses", "sendChatMessage:fail no permission"),
    ],
)
def test_client_misbehaves_when_it_is_told_to_and_sends_nothing(
    page: Sandbox, how: str, answer: str
) -> None:
    page.post("misbehave", server="jssdk", path="sendChatMessage", how=how)

    assert _say(page) == answer
    assert receipts(page.world) == []
    assert _say(page) == "sendChatMessage:ok"


def test_controls_offer_the_clients_misbehaviour(sandbox: Sandbox) -> None:
    sandbox.http.post("/sandbox/switch", data={"how": "user_cancels"})

    assert sandbox.world.switches == [Switch("jssdk", "*", "user_cancels", 1, -1, 6)]
    assert "导购点了取消" in sandbox.http.get("/sandbox/controls").text


def test_client_refuses_whom_it_may_not_serve(page: Sandbox) -> None:
    unsigned = f"/phone/guide/ZhaoLei/chat/{LI_EXTERNAL}"
    assert _call(page, "getCurExternalContact", {}, chat=unsigned)["errMsg"].endswith(
        "no permission"
    )
    page.world.wecom.customers[LI_EXTERNAL].links.pop("WangFang")
    assert _say(page) == "sendChatMessage:fail without context of external contact"
    page.world.wecom.apps[f"{CORPID}:{AGENT}"].visible_userids = ["ZhaoLei"]
    again = {
        "corpId": CORPID,
        "agentId": AGENT,
        "config": _signed(page, jsapi.corp_ticket, {}),
        "agentConfig": _signed(page, jsapi.agent_ticket, {"type": "agent_config"}),
    }
    assert _call(page, "register", again)["errMsg"] == "register:fail user not in allow list"
