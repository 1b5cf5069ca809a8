"""The consumer's phone over HTTP: what each tap pushes to the door, and what the phone shows."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox import moving_clock
from sandbox.inboxes import show
from sandbox.state import Bubble
from store import clock
from tests.sandbox.builders import APPID, LI, TEMPLATE, ZHOU_EXTERNAL, a_text
from tests.sandbox.conftest import Sandbox
from tests.sandbox.echo_door import Seen

_SEND = "/wechat/cgi-bin/message/custom/send"
_MENU: list[dict[str, Any]] = [
    {"type": "click", "name": "会员卡", "key": "card"},
    {
        "name": "优惠",
        "sub_button": [{"type": "view", "name": "商城", "url": "https://shop.test/m/points/shop"}],
    },
]
_LINK = "https://shop.test/m/gift/abc"


def _tap(sandbox: Sandbox, what: str, who: str = LI, **fields: Any) -> Any:
    return sandbox.http.post(f"/phone/member/{who}/{what}", data=fields)


def _log(sandbox: Sandbox, who: str = LI, chat: str = "brand") -> str:
    query = {"chat": chat, "have": "nothing"}
    return str(sandbox.http.get(f"/phone/member/{who}/live", params=query).json()["log"])


def _page(sandbox: Sandbox, what: str = "", who: str = LI) -> str:
    return sandbox.http.get(f"/phone/member/{who}{what}").text


def _receive(sandbox: Sandbox, body: dict[str, Any]) -> None:
    token = sandbox.world.wechat.tokens.issue(APPID, kind="test", now=clock.now()).value
    answer = sandbox.http.post(_SEND, params={"access_token": token}, json=body).json()
    assert answer["errcode"] == 0


def _new_phone(sandbox: Sandbox, name: str) -> str:
    made = sandbox.http.post("/phone/new", data={"name": name})
    return str(made.headers["location"]).split("/")[3]


@pytest.fixture
def with_menu(sandbox: Sandbox) -> Sandbox:
    """A sandbox whose account has a menu."""
    sandbox.world.wechat.accounts[APPID].menu = _MENU
    return sandbox


def test_tap_on_a_choice_comes_back_as_text_with_its_id(sandbox: Sandbox, seen: Seen) -> None:
    """wechat-oa.md §2.2: `bizmsgmenuid`; §5.1: it opens the window of a menu, not of a message."""
    _tap(sandbox, "say", text="在吗")
    items = [{"id": "points", "content": "查积分"}]
    menu = {"head_content": "您想", "list": items, "tail_content": ""}
    _receive(sandbox, {"touser": LI, "msgtype": "msgmenu", "msgmenu": menu})
    assert 'name="menu_id" value="points"' in _log(sandbox)

    _tap(sandbox, "say", text="查积分", menu_id="points")

    assert "<Content><![CDATA[查积分]]></Content>" in seen.plaintexts[-1]
    assert "<bizmsgmenuid><![CDATA[points]]></bizmsgmenuid>" in seen.plaintexts[-1]
    assert sandbox.world.wechat.followers[LI].grants["menu"].left == 3


def test_link_in_a_text_can_be_a_choice(sandbox: Sandbox) -> None:
    """wechat-oa.md §5.2: weixin://bizmsgmenu."""
    _tap(sandbox, "say", text="在吗")
    link = "weixin://bizmsgmenu?msgmenucontent=查积分&msgmenuid=points"
    _receive(sandbox, a_text(f'<a href="{link}">看看积分</a>'))

    log = _log(sandbox)

    assert 'name="menu_id" value="points"' in log
    assert ">看看积分</button>" in log


def test_click_button_pushes_its_key(with_menu: Sandbox, seen: Seen) -> None:
    """wechat-oa.md §2.3 and §10.1."""
    _tap(with_menu, "menu", button="0")

    assert "<Event><![CDATA[CLICK]]></Event><EventKey><![CDATA[card]]>" in seen.plaintexts[-1]
    assert "您点了菜单“会员卡”" in _log(with_menu)


def test_view_button_pushes_its_address_and_opens_the_page(with_menu: Sandbox, seen: Seen) -> None:
    """wechat-oa.md §2.3: VIEW with MenuId; §5.1: it opens no window."""
    opened = _tap(with_menu, "menu", button="1.0")

    assert opened.headers["location"].startswith(f"/sandbox/be?who={LI}&next=https%3A%2F%2Fshop")
    assert "<Event><![CDATA[VIEW]]></Event>" in seen.plaintexts[-1]
    assert "<MenuId>1</MenuId>" in seen.plaintexts[-1]
    assert with_menu.world.wechat.followers[LI].grants == {}


def test_button_that_is_gone_does_nothing(with_menu: Sandbox, seen: Seen) -> None:
    """wechat-oa.md §10.1: clients keep a menu for five minutes."""
    for path in ("2", "1.7", "x", ""):
        assert _tap(with_menu, "menu", button=path or "9").status_code == 303

    assert seen.plaintexts == []


def test_picture_voice_and_place_are_pushed_as_documented(sandbox: Sandbox, seen: Seen) -> None:
    """wechat-oa.md §2.2."""
    _tap(sandbox, "picture", name="tea")
    _tap(sandbox, "voice", text="我有多少积分")
    _tap(sandbox, "voice", text="")
    _tap(sandbox, "place", name="杭州", latitude=30.25, longitude=120.16)

    picture, voice, unheard, place = seen.plaintexts
    url = re.search(r"<PicUrl><!\[CDATA\[(.+?)\]\]>", picture)
    assert url
    assert sandbox.http.get(url[1]).text.startswith("<svg")
    assert "<MsgType><![CDATA[image]]></MsgType>" in picture
    assert "<Recognition><![CDATA[我有多少积分]]></Recognition>" in voice
    assert "<Format><![CDATA[amr]]></Format>" in unheard
    assert "<Recognition>" not in unheard
    assert "<Location_X>30.25</Location_X><Location_Y>120.16</Location_Y>" in place
    assert "<Label><![CDATA[杭州]]></Label>" in place


def test_stranger_follows_by_scanning_and_a_follower_scans(sandbox: Sandbox, seen: Seen) -> None:
    """wechat-oa.md §2.3: `qrscene_` only with the follow; both have a ticket."""
    who = _new_phone(sandbox, "林晓")
    assert "关注公众号" in _page(sandbox, "/about", who)

    _tap(sandbox, "scan", who, code="shop.367")
    _tap(sandbox, "scan", who, code="shop.367")

    follow, scan = seen.plaintexts
    assert "<Event><![CDATA[subscribe]]></Event><EventKey><![CDATA[qrscene_shop.367]]>" in follow
    assert "<Event><![CDATA[SCAN]]></Event><EventKey><![CDATA[shop.367]]>" in scan
    assert "<Ticket>" in follow
    assert "<Ticket>" in scan
    assert sandbox.world.wechat.followers[who].scene == "shop.367"


def test_scanned_address_of_a_page_opens_it_and_an_expired_code_says_so(
    sandbox: Sandbox, seen: Seen
) -> None:
    """wechat-oa.md §8."""
    token = sandbox.world.wechat.tokens.issue(APPID, kind="test", now=clock.now()).value
    info = {"scene": {"scene_str": "guide.7"}}
    body = {"action_name": "QR_STR_SCENE", "action_info": info, "expire_seconds": 60}
    url = "/wechat/cgi-bin/qrcode/create"
    made = sandbox.http.post(url, params={"access_token": token}, json=body).json()
    assert "guide.7" in _page(sandbox, "/scan")
    scenes = sandbox.world.wechat.accounts[APPID].belongings.scenes
    scene = scenes[made["ticket"]]
    scenes[made["ticket"]] = type(scene)(
        scene.ticket, scene.value, scene.url, scene.made_at, scene.made_at
    )

    page = _tap(sandbox, "scan", code=_LINK)
    _tap(sandbox, "scan", code=made["url"])

    assert "shop.test%2Fm%2Fgift" in page.headers["location"]
    assert "这个二维码已经过期" in _log(sandbox)
    assert "guide.7" not in _page(sandbox, "/scan")
    assert seen.plaintexts == []


def test_leaving_is_pushed_and_ends_the_writing(sandbox: Sandbox, seen: Seen) -> None:
    """wechat-oa.md §2.3."""
    assert 'aria-label="发消息"' in _page(sandbox)

    _tap(sandbox, "unfollow")

    assert "<Event><![CDATA[unsubscribe]]></Event>" in seen.plaintexts[-1]
    assert 'aria-label="发消息"' not in _page(sandbox)
    assert "关注公众号" in _page(sandbox, "/about")


def test_who_has_left_can_say_nothing_from_a_page_still_open(
    with_menu: Sandbox, seen: Seen
) -> None:
    """wechat-oa.md §5.1: only who follows writes; an old choice or button must open no window."""
    _tap(with_menu, "unfollow")

    _tap(with_menu, "say", text="确认")
    _tap(with_menu, "say", text="查积分", menu_id="points")
    _tap(with_menu, "menu", button="0")
    _tap(with_menu, "picture", name="tea")
    _tap(with_menu, "voice", text="积分")
    _tap(with_menu, "place", name="杭州", latitude=30.25, longitude=120.16)

    assert len(seen.plaintexts) == 1
    assert with_menu.world.wechat.followers[LI].grants == {}
    assert _log(with_menu).count("没有发出去") == 6


def test_second_tap_on_follow_or_leave_changes_nothing(sandbox: Sandbox, seen: Seen) -> None:
    """wechat-oa.md §2.3: one act, one event; a second welcome would be a double message."""
    for what in ("unfollow", "unfollow", "follow", "follow"):
        _tap(sandbox, what)

    events = [re.findall(r"<Event><!\[CDATA\[(.+?)\]\]>", one)[0] for one in seen.plaintexts]
    assert events == ["unsubscribe", "subscribe"]


def test_message_is_passed_on_with_its_link_and_is_no_receipt(sandbox: Sandbox) -> None:
    friend = _new_phone(sandbox, "周舟")
    _tap(sandbox, "say", text=f"送你 {_LINK}")
    own = f"{LI}:0"
    before = sandbox.get("journal.json")["receipts"]

    passed = _tap(sandbox, "forward", friend=friend, key=own)

    assert passed.headers["location"] == f"/phone/member/{LI}?chat=friend-{friend}"
    href = f"/sandbox/be?who={friend}&amp;next=https%3A%2F%2Fshop.test%2Fm%2Fgift%2Fabc"
    assert href in _log(sandbox, friend, f"friend-{LI}")
    assert "送你" in _log(sandbox, LI, f"friend-{friend}")
    assert sandbox.get("journal.json")["receipts"] == before


def test_page_is_passed_on_as_a_card(sandbox: Sandbox) -> None:
    friend = _new_phone(sandbox, "周舟")

    _tap(sandbox, "forward", friend=friend, url=_LINK, title="送你一张券")
    _tap(sandbox, "forward", friend=friend, url="javascript:alert(1)", title="坏")

    log = _log(sandbox, friend, f"friend-{LI}")
    assert log.count("送你一张券") == 2
    assert "javascript" not in log


def test_text_message_shows_as_a_banner_until_it_is_read(sandbox: Sandbox) -> None:
    who = _new_phone(sandbox, "林晓")
    number = sandbox.world.wechat.followers[who].mobile
    show(sandbox.world, number, Bubble(clock.now(), "sms", False, "text", "【知味】验证码 384921"))

    seen = sandbox.http.get(f"/phone/member/{who}/live").json()
    _log(sandbox, who, "sms")
    after = sandbox.http.get(f"/phone/member/{who}/live").json()

    assert (seen["news"]["title"], seen["unread"]) == ("短信", 1)
    assert "384921" in seen["news"]["text"]
    assert (after["news"], after["unread"]) == (None, 0)


def test_live_view_repeats_the_chat_only_when_it_has_changed(sandbox: Sandbox) -> None:
    url = f"/phone/member/{LI}/live"
    version = sandbox.http.get(url).json()["version"]

    same = sandbox.http.get(url, params={"have": version}).json()
    _tap(sandbox, "say", text="积分")
    changed = sandbox.http.get(url, params={"have": version}).json()

    assert "log" not in same
    assert "echo: 积分" in changed["log"]


def test_typing_shows_above_the_chat(sandbox: Sandbox) -> None:
    """wechat-oa.md §5.3."""
    _tap(sandbox, "say", text="积分")
    token = sandbox.world.wechat.tokens.issue(APPID, kind="test", now=clock.now()).value
    url, body = "/wechat/cgi-bin/message/custom/typing", {"touser": LI, "command": "Typing"}
    assert sandbox.http.post(url, params={"access_token": token}, json=body).json()["errcode"] == 0

    assert "对方正在输入…" in _page(sandbox)


def test_notice_is_accepted_on_the_phone(sandbox: Sandbox, seen: Seen) -> None:
    """wechat-oa.md §6.2."""
    sandbox.world.wechat.accounts[APPID].templates = {TEMPLATE: ["thing1"]}

    _tap(sandbox, "notices", template=TEMPLATE)
    _tap(sandbox, "notices", template=TEMPLATE, status="reject")

    assert "<![CDATA[accept]]>" in seen.plaintexts[0]
    assert "<![CDATA[reject]]>" in seen.plaintexts[1]
    assert "现在还能发 1 条" in _page(sandbox, "/about")


def test_customer_without_the_account_has_a_phone_to_answer_on(sandbox: Sandbox) -> None:
    facts = {"userid": "WangFang", "attachments": []}
    bubble = Bubble(clock.now(), "wecom_chat", False, "text", "周末来坐坐", facts)
    show(sandbox.world, ZHOU_EXTERNAL, bubble)

    page = _page(sandbox, "", ZHOU_EXTERNAL)

    assert "王芳 @企业微信" in page
    assert "周末来坐坐" in page
    assert 'aria-label="发消息"' in page
    assert 'aria-label="语音"' not in page


def test_phone_that_the_sandbox_has_forgotten_says_where_the_others_are(sandbox: Sandbox) -> None:
    gone = sandbox.http.get("/phone/member/nobody")
    live = sandbox.http.get("/phone/member/nobody/live")

    assert (gone.status_code, live.status_code) == (404, 404)
    assert "沙箱里没有这部手机" in gone.text
    assert '<a href="/">' in gone.text


def test_clock_of_all_processes_moves_ahead_and_never_back(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sandbox.http.post("/sandbox/clock", data={"by": "1h"}).status_code == 409
    monkeypatch.setenv(clock.SHIFT_FILE, "")
    moving_clock.keep_in(tmp_path / "clock", 60)
    before = clock.now()

    sandbox.http.post("/sandbox/clock", data={"by": "1d"})
    refused = sandbox.http.post("/sandbox/clock/move", json={"seconds": -5})

    assert clock.shift() == 60 + 86_400
    assert timedelta(days=1) <= clock.now() - before < timedelta(days=1, minutes=10)
    assert refused.status_code == 422


def test_controls_say_in_chinese_what_has_just_gone_wrong(sandbox: Sandbox) -> None:
    for how in ("lost", "cut"):
        sandbox.http.post("/sandbox/switch", data={"how": how, "account": APPID})
        _tap(sandbox, "say", text="积分")
    account = sandbox.world.wechat.accounts[APPID]
    account.door_url = account.door_url.replace("echo", "500")
    _tap(sandbox, "say", text="积分")
    sandbox.http.post("/wechat/cgi-bin/message/custom/send", json=a_text())

    rows = re.findall(r"<tr>(.*?)</tr>", sandbox.http.get("/sandbox/controls").text)
    cells = [re.findall(r"<td.*?>(.*?)</td>", row)[2:] for row in rows]
    assert cells[:4] == [
        ["41001", ""],
        ["产品的回答，平台不收", ""],
        ["好", "门口的回答丢了，微信重试"],
        ["没有送到", "丢了，不会到"],
    ]


def test_controls_switch_misbehaviour_on_and_off(sandbox: Sandbox) -> None:
    form = {"how": "lost", "account": APPID, "times": 2}

    sandbox.http.post("/sandbox/switch", data=form)
    shown = sandbox.http.get("/sandbox/controls").text
    lost = sandbox.post("say", openid=LI, text="积分")
    sandbox.http.post("/sandbox/switches/off")

    assert "还有 2 次" in shown
    assert lost["reply"] is None
    assert sandbox.post("say", openid=LI, text="积分")["reply"] == "echo: 积分"
