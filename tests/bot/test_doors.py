"""The callback doors: one answer for three tries, and nothing but `BadCallback` for the rest."""

import threading
from datetime import datetime, timedelta

import pytest
from sqlmodel import Session, col, select

from bot.fields import BadCallback
from bot.inbox import Busy, Desk
from bot.wechat import inbound as wechat
from bot.wecom import inbound as wecom
from sandbox.crypto import seal, sign
from store import erasure, inbound, members
from store.accounts import Account, UnknownAccount
from store.grants import Grant
from store.inbound import Heard, InboundMessage, InboundState
from store.members import Member
from store.touches import Channel
from tests.bot.builders import (
    APP_ID,
    CORP_ID,
    LI,
    ORIGINAL_ID,
    SECRET_KEY,
    TOKEN,
    ZHAO,
    a_push,
    event_xml,
    opened_reply,
    text_xml,
)
from tests.bot.conftest import Phone

_POPUP = (
    "<SubscribeMsgPopupEvent>"
    "<List><TemplateId>t-1</TemplateId><SubscribeStatusString>accept</SubscribeStatusString>"
    "<PopupScene>1</PopupScene></List>"
    "<List><TemplateId>t-2</TemplateId><SubscribeStatusString>reject</SubscribeStatusString>"
    "<PopupScene>1</PopupScene></List></SubscribeMsgPopupEvent>"
)


def _inbound(desk: Desk) -> list[InboundMessage]:
    with desk.database.transaction() as session:
        return list(session.exec(select(InboundMessage).order_by(col(InboundMessage.id))).all())


def _grants(desk: Desk) -> list[tuple[Channel, int, str, datetime | None]]:
    with desk.database.transaction() as session:
        found = session.exec(select(Grant).order_by(col(Grant.id))).all()
        return [(one.channel, one.allowance, one.template_id, one.expires_at) for one in found]


def test_message_is_written_down_and_answered(li: Phone) -> None:
    reply = li.say("你好")

    row = _inbound(li.desk)[0]
    assert "积分" in reply
    assert (row.outside_id, row.state, row.kind) == (LI, InboundState.ANSWERED, "text")
    assert row.payload == {"content": "你好"}
    assert row.member_id == li.member_id
    assert row.handled_ms is not None


def test_three_tries_run_one_handler_and_get_one_reply(li: Phone) -> None:
    replies = [li.say("你好", number=7) for _ in range(3)]

    plain = {str(opened_reply(answer)) for answer in li.answers}
    assert len(set(replies)) == len(plain) == 1
    assert len(_inbound(li.desk)) == 1


def test_repeat_gets_the_reply_of_the_first_try_even_later(li: Phone) -> None:
    li.say("你好", number=7)
    li.now += timedelta(seconds=10)
    li.say("你好", number=7)

    assert opened_reply(li.answers[0]) == opened_reply(li.answers[1])


def test_same_message_id_of_two_people_is_two_messages(li: Phone, desk: Desk) -> None:
    zhao = Phone(desk, li.now, openid=ZHAO)

    li.say("你好", number=7)
    zhao.say("积分", number=7)

    assert [row.outside_id for row in _inbound(desk)] == [LI, ZHAO]
    assert li.member_id != zhao.member_id


def test_two_events_in_one_second_are_two(li: Phone) -> None:
    one = event_xml("CLICK", key="points")
    other = one.replace("points", "coupons")

    for xml in (one, other, one):
        push = a_push(xml, now=li.now)
        wechat.receive(li.desk, "brand", push.query, push.body, now=li.now)

    assert [row.payload["key"] for row in _inbound(li.desk)] == ["points", "coupons"]


@pytest.mark.race
def test_tries_at_the_same_time_run_one_handler(li: Phone) -> None:
    push = a_push(text_xml("你好"), now=li.now)
    barrier, answers = threading.Barrier(4), []

    def knock() -> None:
        barrier.wait()
        answers.append(wechat.receive(li.desk, "brand", push.query, push.body, now=li.now))

    threads = [threading.Thread(target=knock) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len({str(opened_reply(answer)) for answer in answers}) == 1
    assert len(_inbound(li.desk)) == 1
    assert len(_grants(li.desk)) == 1


@pytest.mark.race
def test_repeat_is_not_told_that_all_is_well_while_the_first_try_may_still_fail(li: Phone) -> None:
    with Session(li.desk.database.engine) as first_try:
        account_id = first_try.exec(select(Account.id).where(Account.code == "brand")).one()
        inbound.hear(first_try, Heard(account_id, f"7:{LI}", LI, "text", {}), now=li.now)

        with pytest.raises(Busy):
            li.say("你好", number=7)

    assert "积分" in li.say("你好", number=7)


@pytest.mark.race
def test_person_who_is_locked_elsewhere_is_asked_to_come_again(li: Phone) -> None:
    li.say("你好")
    with li.desk.database.transaction() as launch:
        launch.exec(select(Member).with_for_update()).one()

        with pytest.raises(Busy):
            li.say("积分", number=8)

    assert "积分" in li.say("积分", number=8)
    assert len(_inbound(li.desk)) == 2


@pytest.mark.race
@pytest.mark.parametrize("mobile", [None, "13800138000"])
def test_who_was_forgotten_while_a_message_waits_is_answered_as_a_stranger(
    li: Phone, monkeypatch: pytest.MonkeyPatch, *, mobile: str | None
) -> None:
    """A visitor is erased, a member loses only the openid: neither is there to be locked."""
    li.say("你好")
    before, lock = li.member_id, members.lock
    with li.desk.database.transaction() as session:
        session.get_one(Member, before).mobile = mobile

    def forgotten_first(session: Session, member_id: int) -> Member:
        monkeypatch.setattr(members, "lock", lock)
        with li.desk.database.transaction() as other:
            erasure.forget_wechat(
                other, app_id=APP_ID, openid=LI, secret_key=SECRET_KEY, now=li.now
            )
        return lock(session, member_id)

    monkeypatch.setattr(members, "lock", forgotten_first)

    assert "积分" in li.say("积分")
    assert li.member_id != before


@pytest.mark.race
def test_two_first_messages_at_once_make_one_visitor(li: Phone) -> None:
    barrier, answers = threading.Barrier(3), []

    def write(number: int) -> None:
        phone = Phone(li.desk, li.now)
        barrier.wait()
        answers.append(phone.say("你好", number=number))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    with li.desk.database.transaction() as session:
        assert len(session.exec(select(Member)).all()) == 1
    assert len(answers) == 3
    assert len(_inbound(li.desk)) == 3


def test_message_opens_five_for_two_days(li: Phone) -> None:
    li.say("你好")

    assert _grants(li.desk) == [(Channel.WECHAT_SERVICE, 5, "", li.now + timedelta(hours=48))]


@pytest.mark.parametrize("event", ["CLICK", "subscribe", "SCAN", "scancode_push"])
def test_tap_follow_and_scan_open_three_for_a_minute(li: Phone, event: str) -> None:
    li.do(event, key="points")

    assert _grants(li.desk) == [(Channel.WECHAT_SERVICE, 3, "", li.now + timedelta(minutes=1))]


def test_tap_on_a_menu_in_the_chat_is_a_tap_not_a_message(li: Phone) -> None:
    menu = "<bizmsgmenuid>points</bizmsgmenuid></xml>"
    push = a_push(text_xml("查积分").replace("</xml>", menu), now=li.now)

    wechat.receive(li.desk, "brand", push.query, push.body, now=li.now)

    assert _grants(li.desk) == [(Channel.WECHAT_SERVICE, 3, "", li.now + timedelta(minutes=1))]


def test_allowed_notice_opens_one_without_an_end(li: Phone) -> None:
    reply = li.do("subscribe_msg_popup_event", more=_POPUP)

    assert reply == ""
    assert _grants(li.desk) == [(Channel.WECHAT_NOTICE, 1, "t-1", None)]


@pytest.mark.parametrize("event", ["VIEW", "LOCATION", "TEMPLATESENDJOBFINISH", "some_new_event"])
def test_event_that_asks_nothing_is_taken_in_silence(li: Phone, event: str) -> None:
    assert li.do(event) == ""

    assert li.answers == ["success"]
    assert _grants(li.desk) == []


@pytest.mark.parametrize(
    ("event", "more"),
    [
        ("unsubscribe", ""),
        ("user_authorization_revoke", f"<OpenID>{LI}</OpenID><RevokeInfo>301</RevokeInfo>"),
        ("user_authorization_cancellation", f"<OpenID>{LI}</OpenID><RevokeInfo>1</RevokeInfo>"),
    ],
)
def test_who_leaves_is_forgotten_and_may_come_back(li: Phone, event: str, more: str) -> None:
    li.do("subscribe", key="qrscene_shop-1")
    li.say("你好")
    before = li.member_id
    sender = LI if event == "unsubscribe" else ORIGINAL_ID

    for _ in range(2):
        push = a_push(event_xml(event, sender=sender, more=more), now=li.now)
        assert wechat.receive(li.desk, "brand", push.query, push.body, now=li.now) == "success"
    left = [(row.outside_id, row.payload, row.member_id) for row in _inbound(li.desk)[2:]]
    told = [(row.outside_id, row.payload) for row in _inbound(li.desk)[:2]]
    grants = _grants(li.desk)
    li.do("subscribe")

    assert left == [("", {}, None)] * 2
    assert told == [("", {})] * 2
    assert grants == []
    assert li.member_id != before


def test_only_who_leaves_is_forgotten(li: Phone, desk: Desk) -> None:
    zhao = Phone(desk, li.now, openid=ZHAO)
    li.say("你好")
    zhao.say("你好")

    zhao.do("unsubscribe")

    assert [row.outside_id for row in _inbound(desk)] == [LI, "", ""]
    assert "积分" in li.say("积分")


def test_reply_with_markup_in_it_stays_one_reply(li: Phone) -> None:
    push = a_push(text_xml("x").replace("[x]", "[]]]]><![CDATA[>]"), now=li.now)

    answer = wechat.receive(li.desk, "brand", push.query, push.body, now=li.now)

    assert set(opened_reply(answer)) == {
        "ToUserName",
        "FromUserName",
        "CreateTime",
        "MsgType",
        "Content",
    }


@pytest.mark.parametrize(
    "xml",
    [
        "{}",
        "<xml/>",
        text_xml("x").replace("MsgType", "Kind"),
        text_xml("x").replace("FromUserName", "From"),
        text_xml("x").replace("<MsgId>", "<MsgId>x"),
        text_xml("x").replace("<MsgId>", "<MsgId>²"),
        text_xml("x").replace("</xml>", "<Content>y</Content></xml>"),
        text_xml("x", sender="o" * 80),
        event_xml("x").replace("Event", "Evt"),
    ],
)
def test_signed_push_that_is_no_message_is_refused_and_leaves_no_trace(li: Phone, xml: str) -> None:
    push = a_push(xml, now=li.now)

    with pytest.raises(BadCallback):
        wechat.receive(li.desk, "brand", push.query, push.body, now=li.now)

    assert _inbound(li.desk) == []


def test_door_without_an_account_is_refused(desk: Desk, now: datetime) -> None:
    push = a_push(text_xml("x"), now=now)

    for receive, code in ((wechat.receive, "nobody"), (wechat.receive, "guides")):
        with pytest.raises(UnknownAccount):
            receive(desk, code, push.query, push.body, now=now)
    with pytest.raises(UnknownAccount):
        wecom.receive(desk, "brand", push.query, push.body, now=now)


def test_wechat_door_proves_itself(desk: Desk, now: datetime) -> None:
    timestamp = str(int(now.timestamp()))
    query = {"signature": sign(TOKEN, timestamp, "1"), "timestamp": timestamp, "nonce": "1"}

    assert wechat.verify(desk, "brand", query | {"echostr": "42"}, now=now) == "42"


def test_wecom_door_proves_itself(desk: Desk, now: datetime) -> None:
    timestamp = str(int(now.timestamp()))
    sealed = seal("42", aes_key="abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG", receiver=CORP_ID)
    query = {
        "msg_signature": sign(TOKEN, timestamp, "1", sealed),
        "timestamp": timestamp,
        "nonce": "1",
        "echostr": sealed,
    }

    assert wecom.verify(desk, "guides", query, now=now) == "42"


def _to_wecom(desk: Desk, xml: str, now: datetime) -> str:
    push = a_push(xml, now=now, app_id=CORP_ID)
    return wecom.receive(desk, "guides", push.query, push.body, now=now)


def _contact_xml(change: str, *, guide: str = "wang") -> str:
    more = (
        f"<ChangeType>{change}</ChangeType><UserID>{guide}</UserID>"
        "<ExternalUserID>wm-li</ExternalUserID>"
    )
    return event_xml("change_external_contact", sender="sys", more=more)


def test_contact_event_is_written_down_once_for_a_job(desk: Desk, now: datetime) -> None:
    xml = _contact_xml("add_external_contact")

    answers = {_to_wecom(desk, xml, now) for _ in range(3)}

    row = _inbound(desk)[0]
    assert answers == {""}
    assert len(_inbound(desk)) == 1
    assert (row.state, row.answered_at) == (InboundState.RECEIVED, None)
    assert (row.payload["userid"], row.payload["external_userid"]) == ("wang", "wm-li")


def test_guide_who_writes_is_shown_the_workbench(desk: Desk, now: datetime) -> None:
    answer = _to_wecom(desk, text_xml("任务", sender="wang"), now)

    assert "https://x.example/guide" in opened_reply(answer, app_id=CORP_ID)["Content"]


@pytest.mark.parametrize("event", ["enter_agent", "template_card_event", "view"])
def test_event_of_a_guide_is_written_down_in_silence(desk: Desk, now: datetime, event: str) -> None:
    more = "<TaskId>t-1</TaskId>"

    answer = _to_wecom(desk, event_xml(event, sender="wang", key="done", more=more), now)

    row = _inbound(desk)[0]
    assert answer == ""
    assert (row.kind, row.outside_id, row.payload["task_id"]) == (event, "wang", "t-1")
