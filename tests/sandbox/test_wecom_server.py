"""WeCom's tokens, app messages and cards (wecom.md §2, §3)."""

from datetime import timedelta
from typing import Any

import pytest

from sandbox.refusals import ApiError, wecom_refusal
from sandbox.state import World
from tests.sandbox.builders import (
    AGENT,
    CORPID,
    NOON,
    OTHER_AGENT,
    a_card,
    a_world,
    wecom,
)


def _refusal(world: World, path: str, body: dict[str, Any] | None = None, **more: Any) -> int:
    with pytest.raises(ApiError) as refused:
        wecom(world, path, body, **more)
    return refused.value.code


def _text(**more: Any) -> dict[str, Any]:
    text = {"content": "您今天有 12 个任务"}
    return {"touser": "WangFang", "msgtype": "text", "agentid": AGENT, "text": text, **more}


def _card(card: dict[str, Any], **more: Any) -> dict[str, Any]:
    message = {"touser": "WangFang", "msgtype": "template_card", "agentid": AGENT}
    return {**message, "template_card": card, **more}


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"corpid": CORPID, "corpsecret": "wrong"}, 40001),
        ({"corpid": "wwnobody", "corpsecret": "care"}, 40013),
        ({"corpsecret": "care"}, 41002),
        ({"corpid": CORPID}, 41004),
    ],
)
def test_token_is_refused_when_a_credential_is_wrong(query: dict[str, str], code: int) -> None:
    """wecom.md §2.1 and §2.3."""
    assert _refusal(a_world(), "gettoken", None, **query) == code


def test_token_of_one_app_is_refused_with_the_agentid_of_another() -> None:
    """wecom.md §2.3: 301002."""
    world = a_world()

    assert _refusal(world, "message/send", _text(), agent=OTHER_AGENT) == 301002


@pytest.mark.parametrize(("token", "code"), [("", 41001), ("made-up", 40014)])
def test_call_is_refused_without_a_good_token(token: str, code: int) -> None:
    """wecom.md §2.3; a token in the body does not count."""
    body = _text(access_token="in the body")

    assert _refusal(a_world(), "message/send", body, access_token=token) == code


def test_token_expires_after_two_hours() -> None:
    """wecom.md §2.3: 42001."""
    world = a_world()
    token = wecom(world, "gettoken", corpid=CORPID, corpsecret="care")["access_token"]

    later = NOON + timedelta(hours=2)

    assert _refusal(world, "message/send", _text(), access_token=token, now=later) == 42001


def test_refusal_tells_hint_address_and_page() -> None:
    """wecom.md §0: the shape of an errmsg."""
    text = wecom_refusal(ApiError(42001), ip="127.0.0.1", is_bad_json=False)["errmsg"]

    assert text.startswith("access_token expired, hint: [")
    assert text.endswith(
        "from ip: 127.0.0.1, more info at https://open.work.weixin.qq.com/devtool/query?e=42001"
    )


def test_message_names_wrong_users_in_lower_case_and_reaches_the_others() -> None:
    """wecom.md §3.1: partial failure is errcode 0, invaliduser joined and lower-cased."""
    world = a_world()

    answer = wecom(world, "message/send", _text(touser="WangFang|NoBody|GoneToo"))

    assert (answer["errcode"], answer["invaliduser"]) == (0, "nobody|gonetoo")
    assert [bubble.text for bubble in world.inboxes["WangFang"]] == ["您今天有 12 个任务"]


def test_message_is_refused_only_when_every_user_is_wrong() -> None:
    """wecom.md §3.1: 81013 and 82001."""
    world = a_world()

    assert _refusal(world, "message/send", _text(touser="NoBody|GoneToo")) == 81013
    assert _refusal(world, "message/send", _text(touser="")) == 82001


def test_message_text_is_cut_at_2048_bytes() -> None:
    """wecom.md §3.1: truncated, not refused."""
    world = a_world()

    wecom(world, "message/send", _text(text={"content": "中" * 700}))

    assert world.inboxes["WangFang"][0].text == "中" * 682


def test_messages_above_thirty_a_minute_vanish_without_an_error() -> None:
    """wecom.md §2.4: the excess is silently dropped."""
    world = a_world()

    codes = {wecom(world, "message/send", _text())["errcode"] for _ in range(31)}
    wecom(world, "message/send", _text(), now=NOON + timedelta(minutes=1))

    assert codes == {0}
    assert len(world.inboxes["WangFang"]) == 31
    dropped = [one for one in world.journal.entries if one["kind"] == "guide_message_dropped"]
    assert len(dropped) == 1


def test_repeated_message_is_suppressed_inside_the_duplicate_window() -> None:
    """wecom.md §3.1: enable_duplicate_check, 1800 s unless said otherwise."""
    world = a_world()
    body = _text(enable_duplicate_check=1)

    first = wecom(world, "message/send", body)
    again = wecom(world, "message/send", body, now=NOON + timedelta(minutes=29))
    wecom(world, "message/send", body, now=NOON + timedelta(minutes=31))

    assert first["msgid"] == again["msgid"]
    assert len(world.inboxes["WangFang"]) == 2


def test_card_gives_a_response_code_only_when_it_can_be_updated() -> None:
    """wecom.md §3.3."""
    world = a_world()
    menu = {"desc": "更多", "action_list": [{"text": "今天不再提醒", "key": "mute"}]}

    plain = wecom(world, "message/send", _card(a_card()))
    updatable = wecom(world, "message/send", _card(a_card(action_menu=menu, task_id="day-1")))

    assert "response_code" not in plain
    assert len(updatable["response_code"]) > 20


def test_task_id_is_unique_per_app() -> None:
    """wecom.md §3.2: 42014 is the nearest documented code for a repeat."""
    world = a_world()
    card = a_card(task_id="daily-20260302_WangFang")
    wecom(world, "message/send", _card(card))
    other = _card(card, agentid=OTHER_AGENT)

    assert _refusal(world, "message/send", _card(card)) == 42014
    assert wecom(world, "message/send", other, agent=OTHER_AGENT)["errcode"] == 0


def test_interactive_card_needs_an_app_with_a_callback() -> None:
    """wecom.md §3.2: 43012."""
    world = a_world()
    button = {"text": "完成", "key": "done"}
    card = {"card_type": "button_interaction", "main_title": {"title": "回访"}, "task_id": "t1"}
    body = _card({**card, "button_list": [button]}, agentid=OTHER_AGENT)

    assert _refusal(world, "message/send", body, agent=OTHER_AGENT) == 43012


_ROW = {"keyname": "截止", "value": "今天 18:00"}
_BUTTONS = [{"text": "完成", "key": "done"}, {"type": 1, "text": "去发送", "url": "https://a.test"}]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"card_type": "poem"}, 42031),
        ({"main_title": {}}, 42033),
        ({"card_action": {"type": 0}}, 42045),
        ({"card_action": {"type": 1}}, 42028),
        ({"card_action": {"type": 2}}, 42030),
        ({"horizontal_content_list": [_ROW] * 7}, 42035),
        ({"horizontal_content_list": [{"value": "x"}]}, 42027),
        ({"horizontal_content_list": [{**_ROW, "type": 1}]}, 42028),
        ({"jump_list": [{"title": "a"}] * 4}, 42042),
        ({"action_menu": {"action_list": []}}, 42051),
        ({"action_menu": {"action_list": [{"text": "x", "key": "k"}]}}, 42014),
        ({"task_id": "有空格 和中文"}, 42014),
    ],
)
def test_text_notice_is_refused_when_a_field_is_wrong(change: dict[str, Any], code: int) -> None:
    """wecom.md §3.2 and the 4202x to 4205x codes of §2.3."""
    world = a_world()

    assert _refusal(world, "message/send", _card(a_card(**change))) == code
    assert world.inboxes == {}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"main_title": {"desc": "no title"}}, 42033),
        ({"task_id": None}, 42014),
        ({"button_list": []}, 40058),
        ({"button_list": [{"key": "done"}]}, 42038),
        ({"button_list": [{"text": "完成"}]}, 42039),
        ({"button_list": [_BUTTONS[0], _BUTTONS[0]]}, 42039),
        ({"button_list": [{"type": 1, "text": "打开"}]}, 42028),
        ({"button_selection": {"option_list": []}}, 42043),
        ({"button_selection": {"question_key": "q", "option_list": []}}, 42037),
        ({"button_selection": {"question_key": "q", "option_list": [{"text": "a"}]}}, 42040),
        ({"button_selection": {"question_key": "q", "option_list": [{"id": "a"}]}}, 42041),
    ],
)
def test_button_card_is_refused_when_a_field_is_wrong(change: dict[str, Any], code: int) -> None:
    """wecom.md §3.2."""
    card = {"card_type": "button_interaction", "main_title": {"title": "回访"}, "task_id": "t1"}

    body = _card({**card, "button_list": _BUTTONS, **change})

    assert _refusal(a_world(), "message/send", body) == code


def test_user_is_told_by_name_and_refused_when_unknown() -> None:
    """wecom.md §2.3: 60111."""
    world = a_world()

    assert wecom(world, "user/get", userid="WangFang")["name"] == "王芳"
    assert _refusal(world, "user/get", userid="NoBody") == 60111
