"""Every push of the platform's books is read, and any other is kept by its name."""

import logging

import pytest

from bot.fields import BadCallback
from bot.messages import (
    Follow,
    Leaving,
    Menu,
    Message,
    NoticeAnswer,
    Other,
    Place,
    Report,
    Scan,
    Text,
    is_spoken,
)
from bot.wechat.parsing import read
from tests.bot.builders import LI, event_xml, text_xml

_LIST = "<TemplateId>t-1</TemplateId><SubscribeStatusString>{}</SubscribeStatusString>"


def _message(kind: str, **fields: str) -> Message:
    more = "".join(f"<{name}><![CDATA[{value}]]></{name}>" for name, value in fields.items())
    xml = text_xml("").replace("[text]", f"[{kind}]").replace("<Content><![CDATA[]]></Content>", "")
    return read(xml.replace("</xml>", f"{more}</xml>").encode()).message


def _event(event: str, key: str = "", more: str = "", sender: str = LI) -> Message:
    return read(event_xml(event, key=key, more=more, sender=sender).encode()).message


@pytest.mark.parametrize(
    ("message", "meant"),
    [
        (_message("text", Content=" 积分 "), Text(" 积分 ")),
        (_message("text", Content="积分", MsgDataId="1_1", Idx="1"), Text("积分")),
        (_message("text", Content="积分", bizmsgmenuid="points"), Menu("points")),
        (_message("voice", MediaId="m", Format="amr"), Other("voice")),
        (_message("voice", MediaId="m", Recognition="我的积分。"), Text("我的积分。")),
        (_message("image", PicUrl="http://x", MediaId="m"), Other("image")),
        (_message("video", MediaId="m", ThumbMediaId="t"), Other("video")),
        (_message("shortvideo", MediaId="m", ThumbMediaId="t"), Other("shortvideo")),
        (_message("link", Title="t", Description="d", Url="u"), Other("link")),
        (
            _message("miniprogrampage", Title="t", AppId="wx", PagePath="p"),
            Other("miniprogrampage"),
        ),
        (
            _message("location", Location_X="31.2304", Location_Y="121.47", Label="人民广场"),
            Place(31.2304, 121.47, "人民广场"),
        ),
        (_message("location", Location_X="nan", Location_Y="1e999"), Other("location")),
        (_message("something_new", Thing="x"), Other("something_new")),
    ],
)
def test_message_means(message: Message, meant: Message) -> None:
    assert message == meant
    assert is_spoken(message) is not isinstance(message, Menu)


@pytest.mark.parametrize(
    ("message", "meant"),
    [
        (_event("subscribe"), Follow()),
        (_event("subscribe", "qrscene_shop-1", "<Ticket>x</Ticket>"), Follow("shop-1")),
        (_event("SCAN", "shop-1", "<Ticket>x</Ticket>"), Scan("shop-1")),
        (_event("CLICK", "points"), Menu("points")),
        (
            _event("scancode_push", "6", "<ScanCodeInfo><ScanType>qr</ScanType></ScanCodeInfo>"),
            Menu("6"),
        ),
        (_event("scancode_waitmsg", "6"), Menu("6")),
        (_event("unsubscribe"), Leaving(LI, "unsubscribe")),
        (
            _event("user_authorization_revoke", more=f"<OpenID>{LI}</OpenID>", sender="gh_1"),
            Leaving(LI, "user_authorization_revoke"),
        ),
        (
            _event("user_authorization_cancellation", more=f"<OpenID>{LI}</OpenID>", sender="gh_1"),
            Leaving(LI, "user_authorization_cancellation"),
        ),
        (
            _event(
                "subscribe_msg_popup_event",
                more="<SubscribeMsgPopupEvent><List>"
                + _LIST.format("accept")
                + "</List><List>"
                + _LIST.format("reject")
                + "</List></SubscribeMsgPopupEvent>",
            ),
            NoticeAnswer(("t-1",), ("t-1",)),
        ),
        (
            _event(
                "subscribe_msg_change_event",
                more="<SubscribeMsgChangeEvent><List>"
                + _LIST.format("reject")
                + "</List></SubscribeMsgChangeEvent>",
            ),
            NoticeAnswer((), ("t-1",)),
        ),
    ],
)
def test_event_means(message: Message, meant: Message) -> None:
    assert message == meant


_SENT = (
    "<SubscribeMsgSentEvent><List><TemplateId>t-1</TemplateId><MsgID>1700827132819554304</MsgID>"
    "<ErrorCode>0</ErrorCode><ErrorStatus>success</ErrorStatus></List></SubscribeMsgSentEvent>"
)
_MASS = (
    "<MsgID>1000001625</MsgID><Status>err(30003)</Status><TotalCount>0</TotalCount>"
    "<FilterCount>0</FilterCount><SentCount>0</SentCount><ErrorCount>0</ErrorCount>"
    "<CopyrightCheckResult><Count>2</Count><ResultList><item><ArticleIdx>1</ArticleIdx></item>"
    "<item><ArticleIdx>2</ArticleIdx></item></ResultList></CopyrightCheckResult>"
)
_BLOCKED = "<MsgID>200163836</MsgID><Status>failed: user block</Status>"
_CARD = "<CardId>pZ</CardId><UserCardCode>226009850808</UserCardCode>"
_CARD_FACTS = {"CardId": "pZ", "UserCardCode": "226009850808"}


@pytest.mark.parametrize(
    ("event", "more", "facts"),
    [
        ("LOCATION", "<Latitude>23.1</Latitude><Longitude>113.3</Longitude>", {}),
        ("VIEW", "<MenuId>1</MenuId>", {"EventKey": "k", "MenuId": "1"}),
        ("view_miniprogram", "<MenuId>1</MenuId>", {"EventKey": "k", "MenuId": "1"}),
        ("pic_sysphoto", "<SendPicsInfo><Count>1</Count></SendPicsInfo>", {"EventKey": "k"}),
        ("pic_photo_or_album", "", {"EventKey": "k"}),
        ("pic_weixin", "", {"EventKey": "k"}),
        (
            "location_select",
            "<SendLocationInfo><Scale>1</Scale></SendLocationInfo>",
            {"EventKey": "k"},
        ),
        ("TEMPLATESENDJOBFINISH", _BLOCKED, {"MsgID": "200163836", "Status": "failed:userblock"}),
        (
            "MASSSENDJOBFINISH",
            _MASS,
            {"MsgID": "1000001625", "Status": "err(30003)", "TotalCount": "0"}
            | {"FilterCount": "0", "SentCount": "0", "ErrorCount": "0"},
        ),
        (
            "subscribe_msg_sent_event",
            _SENT,
            {"TemplateId": "t-1", "MsgID": "1700827132819554304"}
            | {"ErrorCode": "0", "ErrorStatus": "success"},
        ),
        ("subscribe_msg_sent_event", "", {}),
        ("kf_create_session", "<KfAccount>a@b</KfAccount>", {"KfAccount": "a@b"}),
        ("kf_close_session", "<KfAccount>a@b</KfAccount>", {"KfAccount": "a@b"}),
        (
            "kf_switch_session",
            "<FromKfAccount>a@b</FromKfAccount><ToKfAccount>c@b</ToKfAccount>",
            {"FromKfAccount": "a@b", "ToKfAccount": "c@b"},
        ),
        ("user_info_modified", f"<OpenID>{LI}</OpenID><RevokeInfo>205</RevokeInfo>", {}),
        ("qualification_verify_success", "<ExpiredTime>1</ExpiredTime>", {"ExpiredTime": "1"}),
        ("naming_verify_success", "<ExpiredTime>1</ExpiredTime>", {"ExpiredTime": "1"}),
        ("annual_renew", "<ExpiredTime>1</ExpiredTime>", {"ExpiredTime": "1"}),
        ("card_pass_check", "<CardId>pZ</CardId>", {"CardId": "pZ"}),
        ("card_not_pass_check", "<CardId>pZ</CardId>", {"CardId": "pZ"}),
        ("user_get_card", _CARD, _CARD_FACTS),
        ("user_gifting_card", _CARD, _CARD_FACTS),
        ("user_del_card", _CARD, _CARD_FACTS),
        ("user_consume_card", _CARD, _CARD_FACTS),
        ("user_pay_from_pay_cell", _CARD, _CARD_FACTS),
        ("user_view_card", _CARD, _CARD_FACTS),
        ("user_enter_session_from_card", _CARD, _CARD_FACTS),
        ("update_member_card", _CARD, _CARD_FACTS),
        (
            "card_sku_remind",
            "<CardId>pZ</CardId><Detail>100</Detail>",
            {"CardId": "pZ", "Detail": "100"},
        ),
        ("card_pay_order", "<OrderId>1</OrderId>", {}),
        ("submit_membercard_user_info", _CARD, _CARD_FACTS),
    ],
)
def test_report_keeps_its_facts_in_silence(
    event: str, more: str, facts: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    assert _event(event, "k", more) == Report(event.lower(), facts)
    assert caplog.text == ""


@pytest.mark.parametrize(
    "event", ["qualification_verify_fail", "naming_verify_fail", "verify_expired"]
)
def test_account_in_danger_is_told_in_the_log(event: str, caplog: pytest.LogCaptureFixture) -> None:
    assert _event(event, more="<FailReason>x</FailReason>") != Report("")
    assert event in caplog.text


def test_event_that_nobody_knows_is_logged_by_its_name_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)

    message = _event("brand_new\nevent", "18812345678", "<Phone>18812345678</Phone>")

    assert message == Report("brand_new\nevent")
    assert "brand_new\\nevent" in caplog.text
    assert "18812345678" not in caplog.text


def test_place_of_an_id_holds_no_essay() -> None:
    for xml in (event_xml("e" * 65), text_xml("x", sender="o" * 65)):
        with pytest.raises(BadCallback, match="too long"):
            read(xml.encode())
