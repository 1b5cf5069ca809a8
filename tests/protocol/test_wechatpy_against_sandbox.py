"""wechatpy's real clients against the sandbox, over HTTP, as the product uses them."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
import requests
import wechatpy
import wechatpy.work
from requests.adapters import HTTPAdapter
from wechatpy.crypto import WeChatCrypto
from wechatpy.exceptions import APILimitedException, WeChatClientException
from wechatpy.work.crypto import WeChatCrypto as WorkCrypto

from sandbox import grants
from sandbox.app import create_sandbox_app
from sandbox.grants import Trigger
from sandbox.push import decode, encode
from sandbox.state import Switch, World
from store import clock
from tests.sandbox.builders import (
    AGENT,
    APPID,
    CORPID,
    LI,
    LI_EXTERNAL,
    LI_UNION,
    a_card,
    a_world,
    receipts,
)
from tests.sandbox.serving import serving


class Detour(HTTPAdapter):
    """Sends what is meant for a real host to the sandbox: wechatpy writes hosts into its code."""

    def __init__(self, base: str) -> None:
        super().__init__()
        self.base = base

    def send(self, request: requests.PreparedRequest, *args: Any, **more: Any) -> requests.Response:
        """Put the sandbox's address in front of the path."""
        parts = urlsplit(request.url or "")
        target = urlsplit(self.base)
        path = target.path + str(parts.path)
        moved = (target.scheme, target.netloc, path, str(parts.query), "")
        request.url = urlunsplit(moved)
        return super().send(request, *args, **more)


@pytest.fixture
def world() -> World:
    """The memory of the sandbox under test."""
    return a_world()


@pytest.fixture
def url(world: World) -> Iterator[str]:
    """The address of the sandbox under test."""
    with serving(create_sandbox_app(world)) as address:
        yield address


@pytest.fixture
def account(url: str) -> Iterator[wechatpy.WeChatClient]:
    """An official account's client."""
    client = wechatpy.WeChatClient(APPID, "s3cret", auto_retry=False, timeout=5)
    client._http.mount("https://api.weixin.qq.com", Detour(f"{url}/wechat"))
    yield client
    client._http.close()


@pytest.fixture
def app(url: str) -> Iterator[wechatpy.work.WeChatClient]:
    """A WeCom app's client."""
    client = wechatpy.work.WeChatClient(CORPID, "care", auto_retry=False, timeout=5)
    client._http.mount("https://qyapi.weixin.qq.com", Detour(f"{url}/wecom"))
    yield client
    client._http.close()


def test_client_sends_a_text_inside_the_window(account: Any, world: World) -> None:
    grants.open_window(world.wechat.followers[LI], Trigger.MESSAGE, now=clock.now())

    answer = account.message.send_text(LI, "您好，李女士")

    assert answer["errcode"] == 0
    assert receipts(world) == [(LI, "wechat_custom", "您好，李女士")]


def test_client_raises_the_refusal_outside_the_window(account: Any) -> None:
    with pytest.raises(WeChatClientException) as refused:
        account.message.send_text(LI, "您好")

    assert refused.value.errcode == 45015


def test_client_reads_a_follower(account: Any) -> None:
    assert account.user.get(LI)["unionid"] == LI_UNION


def test_client_raises_the_limit_as_its_own_kind(account: Any, world: World) -> None:
    world.switches.append(Switch("wechat", "cgi-bin/user/info", "error", 1, 45009))

    with pytest.raises(APILimitedException):
        account.user.get(LI)


def test_client_fetches_a_stable_token(account: Any) -> None:
    body = {"grant_type": "client_credential", "appid": APPID, "secret": "s3cret"}

    tokens = {account.post("stable_token", data=body)["access_token"] for _ in range(2)}

    assert len(tokens) == 1


def test_work_client_sends_a_card_to_a_guide(app: Any, world: World) -> None:
    message = {"msgtype": "template_card", "template_card": a_card()}

    answer = app.message.send(AGENT, "WangFang|NoBody", msg=message)

    assert (answer["errcode"], answer["invaliduser"]) == (0, "nobody")
    assert [bubble.text for bubble in world.inboxes["WangFang"]] == ["今日护理任务"]


def test_work_client_makes_a_broadcast_and_polls_it(app: Any) -> None:
    made = app.external_contact.add_msg_template(
        {"sender": "WangFang", "external_userid": [LI_EXTERNAL], "text": {"content": "您好"}}
    )

    tasks = app.post("externalcontact/get_groupmsg_task", data={"msgid": made["msgid"]})

    assert made["fail_list"] == []
    assert tasks["task_list"] == [{"userid": "WangFang", "status": 0}]


def test_work_client_reads_customers(app: Any) -> None:
    assert app.external_contact.list("ZhaoLei")["external_userid"] == [LI_EXTERNAL]
    assert app.external_contact.get(LI_EXTERNAL)["external_contact"]["name"] == "李"


def test_library_opens_what_the_sandbox_pushes_and_the_sandbox_its_reply(world: World) -> None:
    door = world.wechat.accounts[APPID].door
    query, body = encode(door, sender=LI, xml="<xml><Content>积分</Content></xml>")
    crypto = WeChatCrypto(door.token, door.aes_key, APPID)

    opened = crypto.decrypt_message(
        body.decode(), query["msg_signature"], query["timestamp"], query["nonce"]
    )
    reply = crypto.encrypt_message("<xml><Content>您有 120 分</Content></xml>", query["nonce"])

    assert opened == "<xml><Content>积分</Content></xml>"
    assert decode(door, reply) == "<xml><Content>您有 120 分</Content></xml>"


def test_work_library_opens_what_the_sandbox_pushes(world: World) -> None:
    door = world.wecom.apps[f"{CORPID}:{AGENT}"].door
    query, body = encode(door, sender="WangFang", xml="<xml><Content>任务</Content></xml>")
    crypto = WorkCrypto(door.token, door.aes_key, CORPID)

    opened = crypto.decrypt_message(
        body.decode(), query["msg_signature"], query["timestamp"], query["nonce"]
    )

    assert opened == "<xml><Content>任务</Content></xml>"
