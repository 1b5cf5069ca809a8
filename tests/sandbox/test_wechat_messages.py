"""Customer-service messages, notices and template messages (wechat-oa.md §5, §6)."""

from datetime import timedelta
from typing import Any

import pytest

from sandbox import grants
from sandbox.grants import Trigger
from sandbox.refusals import ApiError, wechat_refusal
from sandbox.state import World
from tests.sandbox.builders import (
    LI,
    NOON,
    TEMPLATE,
    a_text,
    a_world,
    li_writes,
    receipts,
    wechat,
)

_SEND = "cgi-bin/message/custom/send"
_NOTICE = "cgi-bin/message/subscribe/bizsend"
_TEMPLATE = "cgi-bin/message/template/send"


def _refusal(world: World, path: str, body: dict[str, Any], *, hours: float = 0) -> int:
    with pytest.raises(ApiError) as refused:
        wechat(world, path, body, now=NOON + timedelta(hours=hours))
    return refused.value.code


def test_custom_message_is_refused_when_the_person_never_acted() -> None:
    """wechat-oa.md §5.1: 45015 without a live window."""
    world = a_world()

    assert _refusal(world, _SEND, a_text()) == 45015
    assert receipts(world) == []


def test_custom_message_window_holds_five_messages_after_a_message() -> None:
    """wechat-oa.md §5.1: five in 48 hours, then 45047."""
    world = a_world()
    li_writes(world)

    for number in range(5):
        wechat(world, _SEND, a_text(f"{number}"))

    assert _refusal(world, _SEND, a_text("6")) == 45047
    assert receipts(world) == [(LI, "wechat_custom", f"{number}") for number in range(5)]


def test_custom_message_window_ends_after_48_hours() -> None:
    """wechat-oa.md §5.1."""
    world = a_world()
    li_writes(world)

    assert wechat(world, _SEND, a_text(), now=NOON + timedelta(hours=47.9))["errcode"] == 0
    assert _refusal(world, _SEND, a_text(), hours=48) == 45015


def test_menu_tap_opens_three_messages_for_one_minute() -> None:
    """wechat-oa.md §5.1; the window that ends first is debited first."""
    world = a_world()
    grants.open_window(world.wechat.followers[LI], Trigger.MENU, now=NOON)

    for _ in range(3):
        wechat(world, _SEND, a_text())

    assert _refusal(world, _SEND, a_text()) == 45047
    assert _refusal(world, _SEND, a_text(), hours=1 / 60) == 45015


def test_new_message_fills_the_window_up_without_adding() -> None:
    """wechat-oa.md §5.1: quotas are not added up."""
    world = a_world()
    li_writes(world)
    wechat(world, _SEND, a_text())
    li_writes(world)

    for _ in range(5):
        wechat(world, _SEND, a_text())

    assert _refusal(world, _SEND, a_text()) == 45047


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({**a_text(), "touser": "o" + "x" * 27}, 40003),
        (a_text("中" * 683), 45002),
        (a_text(""), 44004),
        ({"touser": LI, "msgtype": "news", "news": {"articles": [{}, {}]}}, 45008),
        ({"touser": LI, "msgtype": "image", "image": {"media_id": "gone"}}, 40007),
        ({"touser": LI, "msgtype": "miniprogrampage", "miniprogrampage": {"title": "茶"}}, 40007),
        ({"touser": LI, "msgtype": "poem"}, 40008),
    ],
)
def test_custom_message_is_refused_when_its_content_is_wrong(
    body: dict[str, Any], code: int
) -> None:
    """wechat-oa.md §5.2 and §5.4; a refused message uses nothing up."""
    world = a_world()
    li_writes(world)

    assert _refusal(world, _SEND, body) == code
    assert world.wechat.followers[LI].grants[Trigger.MESSAGE].left == 5


def test_custom_message_of_2048_bytes_is_taken() -> None:
    """wechat-oa.md §4: bytes, not characters."""
    world = a_world()
    li_writes(world)

    assert wechat(world, _SEND, a_text("中" * 682 + "ab"))["errcode"] == 0


def _notice(value: str = "积分兑换礼品", **more: Any) -> dict[str, Any]:
    data = {"thing1": {"value": value}, "amount2": {"value": "¥128.50"}}
    return {"touser": LI, "template_id": TEMPLATE, "data": data, **more}


def test_notice_needs_one_acceptance_for_each_message() -> None:
    """wechat-oa.md §6.2: 43101 without an acceptance left; following is not required."""
    world = a_world()
    li = world.wechat.followers[LI]
    li.acceptances[TEMPLATE], li.is_subscribed = 1, False

    assert wechat(world, _NOTICE, _notice()) == {"errcode": 0, "errmsg": "ok"}
    assert _refusal(world, _NOTICE, _notice()) == 43101
    assert receipts(world) == [(LI, "wechat_notice", "积分兑换礼品\n¥128.50")]
    assert [push.sender for push in world.wechat.pushes] == [LI]
    assert "subscribe_msg_sent_event" in world.wechat.pushes[0].xml


def test_notice_is_refused_with_the_field_when_a_value_breaks_its_rule() -> None:
    """wechat-oa.md §6.3: 47003 names the field; the acceptance is kept."""
    world = a_world()
    world.wechat.followers[LI].acceptances[TEMPLATE] = 1

    with pytest.raises(ApiError) as refused:
        wechat(world, _NOTICE, _notice("二十一个字的内容超过了平台允许的长度所以不行了啊"))

    assert "argument invalid! data.thing1.value invalid" in wechat_refusal(refused.value)["errmsg"]
    assert world.wechat.followers[LI].acceptances[TEMPLATE] == 1


@pytest.mark.parametrize(
    ("name", "value", "is_taken"),
    [
        ("time5", "2019年10月1日 15:01", True),
        ("time5", "2026-03-02 15:01~16:00", True),
        ("time5", "明天下午", False),
        ("time5", " ", False),
        ("date5", " ~ ", False),
        ("phrase1", "已发货", True),
        ("phrase1", "六个字太长了", False),
        ("number3", "12a", False),
        ("character_string4", "NO-2026 01", False),
        ("name2", "王小明", True),
        ("shape1", "round", False),
    ],
)
def test_notice_value_follows_the_rule_of_its_type(
    name: str, value: str, *, is_taken: bool
) -> None:
    """wechat-oa.md §6.3."""
    world = a_world()
    world.wechat.followers[LI].acceptances[TEMPLATE] = 1
    body = {**_notice(), "data": {name: {"value": value}}}

    if is_taken:
        assert wechat(world, _NOTICE, body)["errcode"] == 0
    else:
        assert _refusal(world, _NOTICE, body) == 47003


def test_notice_is_refused_when_the_account_has_no_such_template() -> None:
    """wechat-oa.md §6.2: 40037."""
    world = a_world(templates={"another": ["thing1"]})

    assert _refusal(world, _NOTICE, _notice()) == 40037


def test_template_message_reaches_followers_only() -> None:
    """wechat-oa.md §6.1: 43004 when not following; a report is pushed after a send."""
    world = a_world()

    sent = wechat(world, _TEMPLATE, _notice())
    world.wechat.followers[LI].is_subscribed = False

    assert _refusal(world, _TEMPLATE, _notice()) == 43004
    assert (
        f"<MsgID>{sent['msgid']}</MsgID><Status><![CDATA[success]]>" in world.wechat.pushes[0].xml
    )


def test_template_message_with_a_repeated_client_id_is_dropped_for_ten_minutes() -> None:
    """wechat-oa.md §6.1."""
    world = a_world()
    body = _notice(client_msg_id="touch-7")

    first = wechat(world, _TEMPLATE, body)
    again = wechat(world, _TEMPLATE, body, now=NOON + timedelta(minutes=9))
    later = wechat(world, _TEMPLATE, body, now=NOON + timedelta(minutes=11))

    assert first["msgid"] == again["msgid"] != later["msgid"]
    assert len(receipts(world)) == 2


def test_template_message_reports_a_block_when_the_person_refuses_them() -> None:
    """wechat-oa.md §2.3: TEMPLATESENDJOBFINISH with failed:user block."""
    world = a_world()
    world.wechat.followers[LI].has_blocked_templates = True

    assert wechat(world, _TEMPLATE, _notice())["errcode"] == 0
    assert receipts(world) == []
    assert "failed:user block" in world.wechat.pushes[0].xml


def test_user_info_tells_little_without_a_follow() -> None:
    """wechat-oa.md §9: subscribe 0 leaves openid and unionid; nickname is empty since 2021."""
    world = a_world()
    path = "cgi-bin/user/info"

    followed = wechat(world, path, openid=LI)
    world.wechat.followers[LI].is_subscribed = False

    assert (followed["subscribe"], followed["nickname"]) == (1, "")
    assert wechat(world, path, openid=LI) == {
        "subscribe": 0,
        "openid": LI,
        "unionid": followed["unionid"],
    }
