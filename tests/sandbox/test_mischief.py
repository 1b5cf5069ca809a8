"""The misbehaviour that can be asked for (wechat-oa.md §3, §12, §14)."""

import re
import threading
import time

import httpx
import pytest

from tests.sandbox.builders import AGENT, APPID, CORPID, LI, a_text
from tests.sandbox.conftest import Sandbox
from tests.sandbox.echo_door import Seen
from tests.waiting import until

_SEND = "cgi-bin/message/custom/send"


def _contents(seen: Seen) -> list[str]:
    return [one.split("<Content><![CDATA[")[1].split("]]>")[0] for one in seen.plaintexts]


def _bubbles(sandbox: Sandbox) -> list[str]:
    """The texts on Li's phone, top to bottom."""
    page = sandbox.http.get(f"/phone/member/{LI}").text
    return re.findall(r'<div class="bubble">(.*?)</div>', page)


def _token(sandbox: Sandbox) -> str:
    facts = {"grant_type": "client_credential", "appid": APPID, "secret": "s3cret"}
    answer = sandbox.http.post("/wechat/cgi-bin/stable_token", json=facts)
    return str(answer.json()["access_token"])


def test_duplicated_callback_comes_twice_with_the_same_id(sandbox: Sandbox, seen: Seen) -> None:
    """wechat-oa.md §3: the dedupe key is the MsgId."""
    sandbox.post("misbehave", server="callback", how="duplicate")

    answer = sandbox.post("say", openid=LI, text="积分")

    assert answer["reply"] == "echo: 积分"
    assert len(seen.plaintexts) == 2
    assert len(set(seen.plaintexts)) == 1


def test_door_that_answers_a_duplicate_twice_is_seen_to(sandbox: Sandbox) -> None:
    """wechat-oa.md §3: the echo door keeps no ids, so the person gets two answers."""
    sandbox.post("misbehave", server="callback", how="duplicate")

    sandbox.post("say", openid=LI, text="积分")

    assert _bubbles(sandbox) == ["积分", "echo: 积分", "echo: 积分"]


def test_lost_callback_never_arrives_and_the_next_does(sandbox: Sandbox, seen: Seen) -> None:
    """wechat-oa.md §3 promises three tries, not arrival."""
    sandbox.post("misbehave", server="callback", how="lost")

    lost, next_one = (sandbox.post("say", openid=LI, text=text) for text in ("一", "二"))

    assert (lost["reply"], lost["notice"], lost["tries"]) == (None, None, 0)
    assert next_one["reply"] == "echo: 二"
    assert _contents(seen) == ["二"]


def test_reordered_callback_lets_the_next_one_pass(sandbox: Sandbox, seen: Seen) -> None:
    """wechat-oa.md §14: nothing promises an order."""
    sandbox.post("misbehave", server="callback", how="reorder")
    first = threading.Thread(
        target=sandbox.post, args=("say",), kwargs={"openid": LI, "text": "一"}
    )

    first.start()
    until(lambda: sandbox.world.switches[0].left == 0)
    sandbox.post("say", openid=LI, text="二")
    first.join()

    assert _contents(seen) == ["二", "一"]


def test_answers_lie_on_the_phone_in_the_order_in_which_they_came(sandbox: Sandbox) -> None:
    """wechat-oa.md §14: who was overtaken is answered last, and a person sees just that."""
    sandbox.post("misbehave", server="callback", how="reorder")
    first = threading.Thread(
        target=sandbox.post, args=("say",), kwargs={"openid": LI, "text": "一"}
    )

    first.start()
    time.sleep(0.2)
    sandbox.post("say", openid=LI, text="二")
    first.join()

    assert _bubbles(sandbox) == ["一", "二", "echo: 二", "echo: 一"]


def test_message_that_was_slow_lies_below_what_was_written_meanwhile(sandbox: Sandbox) -> None:
    """wechat-oa.md §14: it shows when it arrives, not when it was sent off."""
    sandbox.post("say", openid=LI, text="在吗")
    query = {"access_token": _token(sandbox)}
    sandbox.post("misbehave", server="wechat", path=_SEND, how="slow", seconds=0.5)
    url = f"/wechat/{_SEND}"
    slow = threading.Thread(
        target=sandbox.http.post, args=(url,), kwargs={"params": query, "json": a_text("来晚了")}
    )

    slow.start()
    time.sleep(0.2)
    sandbox.post("say", openid=LI, text="还在吗")
    slow.join()

    assert _bubbles(sandbox)[-3:] == ["还在吗", "echo: 还在吗", "来晚了"]


def test_late_callback_comes_after_its_delay(sandbox: Sandbox) -> None:
    """wechat-oa.md §14."""
    sandbox.post("misbehave", server="callback", how="late", seconds=0.3)
    began = time.monotonic()

    answer = sandbox.post("say", openid=LI, text="积分")

    assert answer["reply"] == "echo: 积分"
    assert time.monotonic() - began >= 0.3


def test_callback_is_tried_again_when_its_answer_was_lost(sandbox: Sandbox, seen: Seen) -> None:
    """wechat-oa.md §3: the door has done the work, and gets the same message once more."""
    sandbox.post("misbehave", server="callback", how="cut")

    answer = sandbox.post("say", openid=LI, text="积分")

    assert (answer["reply"], answer["tries"]) == ("echo: 积分", 2)
    assert len(set(seen.plaintexts)) == 1


def test_misbehaviour_is_for_the_account_that_it_names(sandbox: Sandbox, seen: Seen) -> None:
    sandbox.post("misbehave", server="callback", how="duplicate", account=f"{CORPID}:{AGENT}")

    sandbox.post("say", openid=LI, text="积分")
    assert len(seen.plaintexts) == 1
    sandbox.post("guides/WangFang/say", text="我的任务")
    assert len(seen.plaintexts) == 3


def test_call_that_hangs_does_nothing_and_breaks_off(sandbox: Sandbox) -> None:
    """wechat-oa.md §12: a time-out is ambiguous; this is the half where nothing was done."""
    sandbox.post("say", openid=LI, text="在吗")
    query = {"access_token": _token(sandbox)}
    where = {"server": "wechat", "path": _SEND, "account": APPID}
    sandbox.post("misbehave", **where, how="hang", seconds=5)
    url = f"/wechat/{_SEND}"

    with pytest.raises(httpx.ReadTimeout):
        sandbox.http.post(url, params=query, json=a_text(), timeout=0.3)

    assert [one["channel"] for one in sandbox.get("journal.json")["receipts"]] == ["wechat_reply"]
    assert sandbox.http.post(url, params=query, json=a_text()).json()["errcode"] == 0


def test_code_of_a_ticket_is_shown_as_a_picture(sandbox: Sandbox) -> None:
    """wechat-oa.md §8: no token needed; 404 for a ticket that nobody was given."""
    body = {"action_name": "QR_LIMIT_STR_SCENE", "action_info": {"scene": {"scene_str": "shop.1"}}}
    query = {"access_token": _token(sandbox)}
    made = sandbox.http.post("/wechat/cgi-bin/qrcode/create", params=query, json=body).json()

    shown = sandbox.http.get("/mp/cgi-bin/showqrcode", params={"ticket": made["ticket"]})
    unknown = sandbox.http.get("/mp/cgi-bin/showqrcode", params={"ticket": "nothing"})

    assert shown.content.startswith(b"\x89PNG")
    assert (shown.status_code, unknown.status_code) == (200, 404)


def test_menu_with_escaped_characters_is_refused(sandbox: Sandbox) -> None:
    """wechat-oa.md §10.1: 40033."""
    query = {"access_token": _token(sandbox)}
    body = b'{"button": [{"type": "click", "name": "\\u79ef", "key": "points"}]}'

    answer = sandbox.http.post("/wechat/cgi-bin/menu/create", params=query, content=body).json()

    assert answer["errcode"] == 40033
