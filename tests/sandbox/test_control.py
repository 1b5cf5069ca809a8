"""The control API, the phones and the login page over HTTP, as a demo driver uses them."""

import re
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from sandbox import ids
from tests.sandbox.builders import (
    AGENT,
    APPID,
    CORPID,
    LI,
    LI_EXTERNAL,
    LI_UNION,
    TEMPLATE,
    ZHOU_EXTERNAL,
    a_card,
    a_text,
)
from tests.sandbox.conftest import Sandbox
from tests.sandbox.echo_door import Seen

_LABEL = "沙箱 · 微信与企业微信的替身，不是真的微信"


def _wechat_token(sandbox: Sandbox) -> str:
    facts = {"grant_type": "client_credential", "appid": APPID, "secret": "s3cret"}
    answer = sandbox.http.post("/wechat/cgi-bin/stable_token", json=facts)
    return str(answer.json()["access_token"])


def _wecom(sandbox: Sandbox, path: str, body: dict[str, Any]) -> dict[str, Any]:
    query = {"corpid": CORPID, "corpsecret": "care"}
    token = sandbox.http.get("/wecom/cgi-bin/gettoken", params=query).json()["access_token"]
    url = f"/wecom/cgi-bin/{path}"
    answer: dict[str, Any] = sandbox.http.post(
        url, params={"access_token": token}, json=body
    ).json()
    return answer


def test_saying_something_gives_what_the_member_saw(sandbox: Sandbox) -> None:
    answer = sandbox.post("say", openid=LI, text="积分")

    assert (answer["reply"], answer["kind"], answer["tries"]) == ("echo: 积分", "text", 1)
    assert 0 < answer["millis"] < 5000
    inbox = sandbox.get(f"people/{LI_UNION}/inbox")
    assert inbox["ids"] == [LI, LI_EXTERNAL]
    assert [(one["from_me"], one["text"]) for one in inbox["messages"]] == [
        (True, "积分"),
        (False, "echo: 积分"),
    ]


def test_saying_something_opens_the_window_for_a_message(sandbox: Sandbox) -> None:
    """wechat-oa.md §5.1, over HTTP and with a body without a Content-Type."""
    url, query = (
        "/wechat/cgi-bin/message/custom/send",
        {"access_token": _wechat_token(sandbox)},
    )
    before = sandbox.http.post(url, params=query, json=a_text()).json()

    sandbox.post("say", openid=LI, text="在吗")
    after = sandbox.http.post(url, params=query, json=a_text()).json()

    assert (before["errcode"], after["errcode"]) == (45015, 0)
    assert before["errmsg"].startswith(
        "response out of time limit or subscription is canceled rid: "
    )
    receipts = sandbox.get("journal.json")["receipts"]
    assert [(one["to"], one["channel"]) for one in receipts] == [
        (LI, "wechat_reply"),
        (LI, "wechat_custom"),
    ]


def test_unfollowing_closes_the_window(sandbox: Sandbox, seen: Seen) -> None:
    """wechat-oa.md §5.1 and §2.3."""
    sandbox.post("say", openid=LI, text="在吗")
    sandbox.post("event", openid=LI, event="unsubscribe")
    url, query = (
        "/wechat/cgi-bin/message/custom/send",
        {"access_token": _wechat_token(sandbox)},
    )

    assert sandbox.http.post(url, params=query, json=a_text()).json()["errcode"] == 45015
    assert "<Event><![CDATA[unsubscribe]]></Event>" in seen.plaintexts[-1]


def test_accepting_a_notice_is_pushed_and_allows_one(sandbox: Sandbox, seen: Seen) -> None:
    """wechat-oa.md §6.2 and §2.5."""
    sandbox.post("accept_notice", openid=LI, template_id=TEMPLATE)
    body = {"touser": LI, "template_id": TEMPLATE, "data": {"thing1": {"value": "积分到期提醒"}}}
    url, query = (
        "/wechat/cgi-bin/message/subscribe/bizsend",
        {"access_token": _wechat_token(sandbox)},
    )

    codes = [sandbox.http.post(url, params=query, json=body).json()["errcode"] for _ in range(2)]

    assert codes == [0, 43101]
    assert "<SubscribeStatusString><![CDATA[accept]]>" in seen.plaintexts[0]


def test_guide_confirms_what_waits_for_them(sandbox: Sandbox) -> None:
    """wecom.md §5."""
    body = {"sender": "WangFang", "text": {"content": "会员日快乐"}}
    msgid = _wecom(sandbox, "externalcontact/add_msg_template", body)["msgid"]
    waiting = sandbox.get("guides/WangFang/inbox")["broadcasts"]

    done = sandbox.post("guides/WangFang/confirm", all=True)

    assert [(one["msgid"], one["customers"]) for one in waiting] == [
        (msgid, [LI_EXTERNAL, ZHOU_EXTERNAL])
    ]
    assert done["confirmed"] == [
        {"msgid": msgid, "unsent": 0, "sent": 2, "no_contact": 0, "quota_used_up": 0}
    ]
    receipts = sandbox.get("journal.json?kind=receipt")["receipts"]
    assert [one["to"] for one in receipts] == [LI_EXTERNAL, ZHOU_EXTERNAL]
    assert sandbox.get("guides/WangFang/inbox")["broadcasts"] == []


def test_guide_talks_to_the_app_and_taps_a_card(sandbox: Sandbox, seen: Seen) -> None:
    """wecom.md §1.4."""
    said = sandbox.post("guides/WangFang/say", text="我的任务")
    sandbox.post("guides/WangFang/tap", task_id="day-1", key="done")

    assert said["reply"] == "echo: 我的任务"
    assert "<EventKey><![CDATA[done]]></EventKey><TaskId><![CDATA[day-1]]>" in seen.plaintexts[1]


def test_doors_are_verified_as_the_consoles_do(sandbox: Sandbox) -> None:
    """wechat-oa.md §1.2 (plain echo) and wecom.md §1.1 (sealed echo)."""
    assert sandbox.post("doors/verify", appid=APPID) == {"ok": True}
    assert sandbox.post("doors/verify", agentid=AGENT) == {"ok": True}


def test_three_thousand_people_are_taken_in_one_call(sandbox: Sandbox) -> None:
    people = [
        {"openid": ids.openid(APPID, f"{number}"), "unionid": ids.unionid(f"{number}")}
        for number in range(3000)
    ]
    customers = [
        {"external_userid": ids.external_userid(CORPID, f"{number}")} for number in range(3000)
    ]

    counts = sandbox.post("people", followers=people, contacts={"WangFang": customers})

    assert counts == {"followers": 3000, "guides": 0, "contacts": 3000}
    assert len({one["openid"] for one in people}) == 3000
    assert {len(one["openid"]) for one in people} == {28}
    assert {len(one["external_userid"]) for one in customers} == {32}


def test_misbehaviour_lasts_for_the_calls_asked_for(sandbox: Sandbox) -> None:
    path = "/wechat/cgi-bin/getcallbackip"
    query = {"access_token": _wechat_token(sandbox)}
    url = {"server": "wechat", "path": "cgi-bin/getcallbackip"}
    sandbox.post("misbehave", **url, how="error", code=-1)
    sandbox.post("misbehave", **url, how="error", code=45009)
    sandbox.post("misbehave", **url, how="down")
    sandbox.post("misbehave", **url, how="expired_token")

    busy, over = (sandbox.http.get(path, params=query).json()["errcode"] for _ in range(2))
    down = sandbox.http.get(path, params=query)
    expired = [sandbox.http.get(path, params=query).json()["errcode"] for _ in range(2)]

    assert (busy, over, down.status_code) == (-1, 45009, 502)
    assert expired == [42001, 42001]


def test_dropped_call_has_happened_although_its_answer_is_lost(sandbox: Sandbox) -> None:
    """wechat-oa.md §12: a time-out on custom/send is ambiguous."""
    sandbox.post("say", openid=LI, text="在吗")
    query = {"access_token": _wechat_token(sandbox)}
    sandbox.post("misbehave", server="wechat", path="cgi-bin/message/custom/send", how="drop")

    with pytest.raises(httpx.RemoteProtocolError):
        sandbox.http.post("/wechat/cgi-bin/message/custom/send", params=query, json=a_text())

    channels = [one["channel"] for one in sandbox.get("journal.json")["receipts"]]
    assert channels == ["wechat_reply", "wechat_custom"]


def test_slow_call_is_answered_late(sandbox: Sandbox) -> None:
    path = "cgi-bin/getcallbackip"
    sandbox.post("misbehave", server="wechat", path=path, how="slow", seconds=0.4)
    query = {"access_token": _wechat_token(sandbox)}

    answer = sandbox.http.get(f"/wechat/{path}", params=query)

    assert answer.elapsed.total_seconds() >= 0.4
    assert answer.json() == {"ip_list": ["127.0.0.1"]}


def test_journal_holds_no_secret(sandbox: Sandbox) -> None:
    token = _wechat_token(sandbox)
    sandbox.http.get("/wechat/cgi-bin/getcallbackip", params={"access_token": token})

    journal = sandbox.http.get("/sandbox/journal.json").text

    assert '"path":"cgi-bin/stable_token"' in journal
    assert token not in journal
    assert "s3cret" not in journal


def test_unknown_person_is_refused_with_a_sentence(sandbox: Sandbox) -> None:
    answer = sandbox.http.post("/sandbox/say", json={"openid": "oNobody", "text": "hi"})

    assert answer.status_code == 404
    assert answer.json() == {"error": "The sandbox knows no follower 'oNobody'; register it first."}


def test_browser_becomes_a_person_and_passes_the_login_page(sandbox: Sandbox) -> None:
    """wechat-oa.md §9: 302 back with code and state."""
    account = sandbox.world.wechat.accounts[APPID]
    query = {"appid": APPID, "redirect_uri": account.door_url, "scope": "snsapi_base"}
    page = "/oauth/connect/oauth2/authorize"

    asked = sandbox.http.get(page, params=query)
    sandbox.http.get("/sandbox/be", params={"who": LI, "next": "/"})
    passed = sandbox.http.get(page, params={**query, "state": "abc"})
    wrong = sandbox.http.get(page, params={**query, "redirect_uri": "http://evil.test/"})

    assert (asked.status_code, passed.status_code, wrong.status_code) == (401, 302, 400)
    assert "用谁的身份登录" in asked.text
    assert parse_qs(urlsplit(passed.headers["location"]).query)["state"] == ["abc"]
    assert "10003" in wrong.text


def test_every_page_says_that_it_is_a_stand_in(sandbox: Sandbox) -> None:
    pages = ["/", f"/phone/member/{LI}", "/phone/guide/WangFang"]

    assert [_LABEL in sandbox.http.get(page).text for page in pages] == [True, True, True]


def test_member_phone_shows_what_was_said_and_opens_links_as_the_member(
    sandbox: Sandbox,
) -> None:
    form = {"text": "看看 <b>https://shop.test/m/card?x=1</b> <a href='javascript:x'>点</a>"}

    posted = sandbox.http.post(f"/phone/member/{LI}/say", data=form)
    log = sandbox.http.get(f"/phone/member/{LI}/live").json()["log"]

    back = f"/phone/member/{LI}?chat=brand&keys=1"
    assert (posted.status_code, posted.headers["location"]) == (303, back)
    href = f"/sandbox/be?who={LI}&amp;next=https%3A%2F%2Fshop.test%2Fm%2Fcard%3Fx%3D1"
    assert log.count(f'href="{href}"') == 2
    assert "<b>" not in log
    assert "javascript:" not in log
    assert "<script" not in log


def test_guide_phone_opens_the_workbench_inside_as_its_owner(sandbox: Sandbox) -> None:
    phone = sandbox.http.get("/phone/guide/WangFang?bench=true").text

    frame = unescape(phone.split('class="bench" src="')[1].split('"')[0])

    assert frame.startswith("/sandbox/be?who=WangFang&next=http")
    assert frame.endswith("%2Fguide")


def test_guide_phone_shows_cards_and_confirms_broadcasts(sandbox: Sandbox) -> None:
    card = {"touser": "WangFang", "msgtype": "template_card", "agentid": AGENT}
    _wecom(sandbox, "message/send", {**card, "template_card": a_card()})
    body = {"sender": "WangFang", "text": {"content": "会员日快乐"}}
    msgid = _wecom(sandbox, "externalcontact/add_msg_template", body)["msgid"]

    log = sandbox.http.get("/phone/guide/WangFang/log").text
    sandbox.http.post("/phone/guide/WangFang/confirm", data={"msgid": msgid})

    assert "/sandbox/be?who=WangFang&amp;next=https%3A%2F%2Fshop.test%2Fguide" in log
    assert "今日护理任务" in log
    assert "2 位客户：李、周" in log
    assert "确认发送" in log
    assert len(sandbox.get("journal.json")["receipts"]) == 2


def test_reference_of_the_control_api_asks_nobody_else_for_anything(sandbox: Sandbox) -> None:
    page = sandbox.http.get("/docs").text

    for path in sandbox.http.get("/openapi.json").json()["paths"]:
        assert f"<code>{path}</code>" in page
    assert "accounts[].aes_key" in page
    assert "error or slow or hang" in page
    assert re.findall(r'(?:src|href)="(?!/|data:)[^"]*"', page) == []


def test_clock_refuses_to_move_further_than_it_can(sandbox: Sandbox) -> None:
    assert sandbox.http.post("/sandbox/clock/move", json={"seconds": 10**15}).status_code == 422
