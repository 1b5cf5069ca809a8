"""Contacts, codes, welcomes, tags, transfers and cards of the corp (wecom.md §1.4, §3, §4, §5)."""

import threading
from datetime import timedelta
from typing import Any

import pytest

from sandbox import broadcasts, transfers, wecom_acts
from sandbox.corp_state import Handing
from sandbox.refusals import ApiError
from sandbox.state import Guide, World
from sandbox.wecom_acts import Noted
from tests.sandbox.builders import (
    AGENT,
    CORPID,
    LI_EXTERNAL,
    NOON,
    OTHER_AGENT,
    ZHOU_EXTERNAL,
    a_card,
    a_world,
    wecom,
)
from tests.sandbox.conftest import Sandbox
from tests.sandbox.echo_door import Seen
from tests.waiting import until

NEW = "wmNew"
_WELCOME = "externalcontact/send_welcome_msg"
_MARK = "externalcontact/mark_tag"
_MENU = {"desc": "更多", "action_list": [{"text": "刷新", "key": "refresh"}]}


def _refusal(world: World, path: str, body: dict[str, Any] | None = None, **more: Any) -> int:
    with pytest.raises(ApiError) as refused:
        wecom(world, path, body, **more)
    return refused.value.code


def _changes(world: World) -> list[str]:
    """What the app's door has been told, one word each."""
    told = [push.xml for push in world.wecom.pushes]
    return [xml.split("<ChangeType><![CDATA[")[1].split("]]>")[0] for xml in told]


def _hello(code: str) -> dict[str, Any]:
    return {"welcome_code": code, "text": {"content": "您好"}}


def test_call_from_an_address_that_is_not_allowed_is_refused() -> None:
    """wecom.md §2.2, §2.3: 60020, switchable at run time."""
    world = a_world()
    app = world.wecom.apps[f"{CORPID}:{AGENT}"]

    app.allowed_ips = ["203.0.113.7"]
    refused = _refusal(world, "externalcontact/get_follow_user_list")
    app.allowed_ips = ["127.0.0.1"]

    assert refused == 60020
    assert wecom(world, "externalcontact/get_follow_user_list")["errcode"] == 0


def test_guide_without_customers_allowed_is_refused() -> None:
    """wecom.md §2.2: 84074, and not on the list of those who may."""
    world = a_world()
    world.wecom.guides["WangFang"].has_customers = False

    assert _refusal(world, "externalcontact/list", userid="WangFang") == 84074
    assert wecom(world, "externalcontact/get_follow_user_list")["follow_user"] == ["ZhaoLei"]


def test_new_contact_is_told_to_every_app_with_the_same_code() -> None:
    """wecom.md §1.4, §4.2: every entitled app receives one."""
    world = a_world()
    other = world.wecom.apps[f"{CORPID}:{OTHER_AGENT}"]
    other.door_url = "http://other.test"

    code = wecom_acts.add(world, "WangFang", NEW, state="g_1", now=NOON)

    assert len(world.wecom.pushes) == 2
    assert all(f"<![CDATA[{code}]]>" in push.xml for push in world.wecom.pushes)
    assert all("<State><![CDATA[g_1]]></State>" in push.xml for push in world.wecom.pushes)


def test_console_welcome_leaves_no_code_for_apps() -> None:
    """wecom.md §1.4: WelcomeCode absent."""
    world = a_world()
    world.wecom.guides["WangFang"].has_console_welcome = True

    assert wecom_acts.add(world, "WangFang", NEW, now=NOON) == ""
    assert "WelcomeCode" not in world.wecom.pushes[0].xml


@pytest.mark.parametrize(("seconds", "code"), [(20, 0), (21, 41050)])
def test_welcome_is_taken_for_twenty_seconds(seconds: int, code: int) -> None:
    """wecom.md §4.2."""
    world = a_world()
    welcome = wecom_acts.add(world, "WangFang", NEW, now=NOON)
    later = NOON + timedelta(seconds=seconds)

    if code:
        assert _refusal(world, _WELCOME, _hello(welcome), now=later) == code
    else:
        assert wecom(world, _WELCOME, _hello(welcome), now=later)["errcode"] == 0


def test_second_app_is_told_to_wait_and_then_to_stop() -> None:
    """wecom.md §4.2: 41096 while it is being sent, 41051 once delivered."""
    world = a_world()
    world.wecom.corp.welcome_seconds = 2
    code = wecom_acts.add(world, "WangFang", NEW, now=NOON)
    wecom(world, _WELCOME, _hello(code), now=NOON)
    soon, later = NOON + timedelta(seconds=1), NOON + timedelta(seconds=3)

    while_sent = _refusal(world, _WELCOME, _hello(code), agent=OTHER_AGENT, now=soon)
    once_sent = _refusal(world, _WELCOME, _hello(code), agent=OTHER_AGENT, now=later)

    assert (while_sent, once_sent) == (41096, 41051)
    assert len(world.inboxes[NEW]) == 1


def test_welcome_is_refused_once_the_two_have_chatted() -> None:
    """wecom.md §4.2: 41051."""
    world = a_world()
    code = wecom_acts.add(world, "WangFang", NEW, now=NOON)
    later = NOON + timedelta(seconds=5)
    world.wecom.customers[NEW].links["WangFang"].last_chat_at = later

    assert _refusal(world, _WELCOME, _hello(code), now=later) == 41051


def test_welcome_needs_a_code_and_something_to_say() -> None:
    """wecom.md §2.3: 41049, 40063, 45002."""
    world = a_world()
    code = wecom_acts.add(world, "WangFang", NEW, now=NOON)
    long = {"welcome_code": code, "text": {"content": "中" * 1334}}

    assert _refusal(world, _WELCOME, {"text": {"content": "您好"}}) == 41049
    assert _refusal(world, _WELCOME, {"welcome_code": code}) == 40063
    assert _refusal(world, _WELCOME, long) == 45002


def test_half_a_contact_is_refused_until_the_guide_agrees() -> None:
    """wecom.md §1.4 and §2.3: 84061."""
    world = a_world()
    wecom_acts.add(world, "WangFang", NEW, is_half=True, now=NOON)
    half = _refusal(world, "externalcontact/get", external_userid=NEW)

    wecom_acts.add(world, "WangFang", NEW, now=NOON)

    assert half == 84061
    found = wecom(world, "externalcontact/get", external_userid=NEW)
    assert [one["userid"] for one in found["follow_user"]] == ["WangFang"]
    assert _changes(world) == ["add_half_external_contact", "add_external_contact"]


def test_customer_who_deleted_the_guide_is_still_listed_and_receives_nothing() -> None:
    """wecom.md §2.3 (84061: one-way) and §5.3: status 2."""
    world = a_world()
    wecom_acts.leave(world, "WangFang", ZHOU_EXTERNAL, now=NOON)

    listed = wecom(world, "externalcontact/list", userid="WangFang")["external_userid"]
    sent = broadcasts.by_hand(world, "WangFang", [ZHOU_EXTERNAL], "您好", now=NOON)

    assert ZHOU_EXTERNAL in listed
    assert sent.tasks["WangFang"].recipients[ZHOU_EXTERNAL].status == broadcasts.NO_CONTACT
    assert _changes(world) == ["del_follow_user"]


def test_change_by_an_app_is_told_to_nobody() -> None:
    """wecom.md §1.1: changes made through the API produce no callback."""
    world = a_world()
    who = {"userid": "WangFang", "external_userid": ZHOU_EXTERNAL}
    made = wecom(
        world, "externalcontact/add_corp_tag", {"group_name": "家庭", "tag": [{"name": "猫"}]}
    )
    tag_id = made["tag_group"]["tag"][0]["id"]

    wecom(world, "externalcontact/remark", {**who, "remark": "周姐"})
    wecom(world, _MARK, {**who, "add_tag": [tag_id]})

    assert world.wecom.pushes == []


def test_change_by_a_guide_is_told_without_saying_what() -> None:
    """wecom.md §1.4: edit_external_contact has no more facts."""
    world = a_world()

    wecom_acts.edit(world, "WangFang", ZHOU_EXTERNAL, Noted("周姐"), now=NOON)

    assert _changes(world) == ["edit_external_contact"]
    assert "周姐" not in world.wecom.pushes[0].xml


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"type": 3}, 41035),
        ({"scene": 9}, 41037),
        ({"user": ["WangFang", "ZhaoLei"]}, 41041),
        ({"user": []}, 40063),
        ({"user": ["NoBody"]}, 60111),
        ({"state": "s" * 31}, 40058),
    ],
)
def test_contact_way_is_refused_when_a_field_is_wrong(change: dict[str, Any], code: int) -> None:
    """wecom.md §4.1 and §2.3."""
    body = {"type": 1, "scene": 2, "state": "g_1", "user": ["WangFang"], **change}

    assert _refusal(a_world(), "externalcontact/add_contact_way", body) == code


def test_contact_way_of_another_app_is_unknown() -> None:
    """wecom.md §2.3: 41044."""
    world = a_world()
    body = {"type": 1, "scene": 2, "user": ["WangFang"]}
    config_id = wecom(world, "externalcontact/add_contact_way", body)["config_id"]
    wanted = {"config_id": config_id}

    assert _refusal(world, "externalcontact/get_contact_way", wanted, agent=OTHER_AGENT) == 41044


def test_tag_is_changed_only_by_the_app_that_made_it() -> None:
    """wecom.md §4.3."""
    world = a_world()
    console = wecom_acts.make_tag(world, "口味", "爱喝茶", now=NOON)

    assert _refusal(world, "externalcontact/edit_corp_tag", {"id": console, "name": "茶"}) == 60011
    assert _refusal(world, "externalcontact/edit_corp_tag", {"id": "etX", "name": "茶"}) == 40068


def test_same_names_are_the_same_tag_and_the_last_takes_its_group_along() -> None:
    """wecom.md §4.3."""
    world = a_world()
    body = {"group_name": "家庭", "tag": [{"name": "猫"}, {"name": "猫"}]}

    first = wecom(world, "externalcontact/add_corp_tag", body)["tag_group"]
    again = wecom(world, "externalcontact/add_corp_tag", body)["tag_group"]
    wecom(world, "externalcontact/del_corp_tag", {"tag_id": [first["tag"][0]["id"]]})

    assert first == again
    assert len(first["tag"]) == 1
    assert wecom(world, "externalcontact/get_corp_tag_list", {})["tag_group"] == []


def _transfer(world: World, *customers: str, **more: Any) -> dict[str, int]:
    pair = {"handover_userid": "WangFang", "takeover_userid": "ZhaoLei"}
    body = {**pair, "external_userid": list(customers)}
    found = wecom(world, "externalcontact/transfer_customer", body, **more)["customer"]
    return {one["external_userid"]: one["errcode"] for one in found}


def test_transfer_is_over_after_a_day_and_told_to_both() -> None:
    """wecom.md §4.5: 24 hours; no add event where the taker had the customer already."""
    world = a_world()
    _transfer(world, ZHOU_EXTERNAL, LI_EXTERNAL)

    transfers.settle(world, NOON + timedelta(hours=23, minutes=59))
    early = _changes(world)
    transfers.settle(world, NOON + timedelta(hours=24))

    assert early == []
    assert sorted(_changes(world)) == [
        "add_external_contact",
        "del_external_contact",
        "del_external_contact",
    ]
    assert "DELETE_BY_TRANSFER" in world.wecom.pushes[0].xml


def test_customer_is_moved_twice_in_ninety_days() -> None:
    """wecom.md §4.5: 40128; again after the span."""
    world = a_world()
    for days in (80, 10):
        at = NOON - timedelta(days=days)
        done = Handing("ZhaoLei", "WangFang", ZHOU_EXTERNAL, False, at, at, transfers.DONE)
        world.wecom.corp.handings.append(done)

    assert _transfer(world, ZHOU_EXTERNAL) == {ZHOU_EXTERNAL: 40128}
    later = NOON + timedelta(days=11)
    assert _transfer(world, ZHOU_EXTERNAL, now=later) == {ZHOU_EXTERNAL: 0}


def test_each_customer_has_a_code_why_the_transfer_did_not_begin() -> None:
    """wecom.md §2.3: 40100, 40131, 40096."""
    world = a_world()
    wecom_acts.add(world, "ZhaoLei", NEW, now=NOON)
    _transfer(world, ZHOU_EXTERNAL)

    codes = _transfer(world, ZHOU_EXTERNAL, NEW, "wmNobody")

    assert codes == {ZHOU_EXTERNAL: 40100, NEW: 40131, "wmNobody": 40096}


def test_refused_and_full_transfers_tell_the_taker() -> None:
    """wecom.md §1.4: transfer_fail; status 3 and 4 in §4.5."""
    world = a_world()
    _transfer(world, ZHOU_EXTERNAL, LI_EXTERNAL)
    world.wecom.guides["ZhaoLei"].most_customers = 1
    transfers.refuse(world, ZHOU_EXTERNAL, NOON)
    transfers.settle(world, NOON + timedelta(hours=24))

    pair = {"handover_userid": "WangFang", "takeover_userid": "ZhaoLei"}
    found = wecom(world, "externalcontact/transfer_result", pair)["customer"]

    assert {one["external_userid"]: one["status"] for one in found} == {
        ZHOU_EXTERNAL: transfers.REFUSED,
        LI_EXTERNAL: transfers.FULL,
    }
    told = [push.xml for push in world.wecom.pushes]
    assert ["customer_refused" in xml or "customer_limit_exceed" in xml for xml in told] == [
        True,
        True,
    ]


def test_guide_who_left_a_year_ago_can_give_nothing_any_more() -> None:
    """wecom.md §4.5."""
    world = a_world()
    world.wecom.guides["Old"] = Guide("Old", "x", False, left_at=NOON - timedelta(days=366))
    body = {"handover_userid": "Old", "takeover_userid": "ZhaoLei", "external_userid": [NEW]}

    assert _refusal(world, "externalcontact/resigned/transfer_customer", body) == 40098


def _sent(world: World, task_id: str = "t-1") -> dict[str, Any]:
    card = a_card(task_id=task_id, action_menu=_MENU)
    message = {"touser": "WangFang|ZhaoLei", "msgtype": "template_card", "agentid": AGENT}
    return wecom(world, "message/send", {**message, "template_card": card})


def _change(code: str, *userids: str, **more: Any) -> dict[str, Any]:
    card = a_card(main_title={"title": "做完了"})
    body = {"userids": list(userids), "agentid": AGENT, "response_code": code}
    return {**body, "template_card": card, **more}


@pytest.mark.parametrize(("hours", "code"), [(72, 0), (73, 60140)])
def test_response_code_is_good_for_seventy_two_hours(hours: int, code: int) -> None:
    """wecom.md §3.3."""
    world = a_world()
    change = _change(_sent(world)["response_code"], "WangFang")
    later = NOON + timedelta(hours=hours)

    if code:
        assert _refusal(world, "message/update_template_card", change, now=later) == code
    else:
        assert wecom(world, "message/update_template_card", change, now=later)["errcode"] == 0


def test_response_code_is_good_once_and_for_its_own_app() -> None:
    """wecom.md §3.3: 60140, 42015; invaliduser is an array here."""
    world = a_world()
    change = _change(_sent(world)["response_code"], "WangFang", "NoBody")
    theirs = {**change, "agentid": OTHER_AGENT}

    other = _refusal(world, "message/update_template_card", theirs, agent=OTHER_AGENT)
    answer = wecom(world, "message/update_template_card", change)

    assert other == 42015
    assert answer["invaliduser"] == ["nobody"]
    assert _refusal(world, "message/update_template_card", change) == 60140
    assert [one.text for one in world.inboxes["WangFang"]] == ["做完了"]
    assert [one.text for one in world.inboxes["ZhaoLei"]] == ["今日护理任务"]


def test_card_is_changed_by_a_card_or_by_words_on_its_buttons() -> None:
    """wecom.md §3.3: either, not both."""
    world = a_world()
    both = _change(_sent(world)["response_code"], "WangFang", button={"replace_name": "完成"})

    assert _refusal(world, "message/update_template_card", both) == 40058


def test_message_of_another_app_is_not_recalled() -> None:
    """wecom.md §3.4: 40058."""
    world = a_world()
    msgid = {"msgid": _sent(world)["msgid"]}

    assert _refusal(world, "message/recall", msgid, agent=OTHER_AGENT) == 40058


def test_broadcasts_are_listed_for_a_month_at_most() -> None:
    """wecom.md §5.3."""
    world = a_world()
    broadcasts.by_hand(world, "WangFang", [ZHOU_EXTERNAL], "您好", now=NOON)
    now = int(NOON.timestamp())
    span = {"chat_type": "single", "start_time": now - 86400, "end_time": now}

    own = wecom(world, "externalcontact/get_groupmsg_list_v2", {**span, "filter_type": 1})
    corps = wecom(world, "externalcontact/get_groupmsg_list_v2", {**span, "filter_type": 0})
    long = {**span, "start_time": now - 32 * 86400}

    assert [one["creator"] for one in own["group_msg_list"]] == ["WangFang"]
    assert corps["group_msg_list"] == []
    assert _refusal(world, "externalcontact/get_groupmsg_list_v2", long) == 40058


def _token(sandbox: Sandbox) -> str:
    query = {"corpid": CORPID, "corpsecret": "care"}
    found = sandbox.http.get("/wecom/cgi-bin/gettoken", params=query).json()
    return str(found["access_token"])


def _two_at_once(sandbox: Sandbox, path: str, body: dict[str, Any]) -> list[int]:
    """The codes of two calls of which the second comes while the first is under way."""
    token, codes, path = _token(sandbox), [], f"cgi-bin/{path}"

    def call() -> None:
        answer = sandbox.http.post(f"/wecom/{path}", params={"access_token": token}, json=body)
        codes.append(answer.json()["errcode"])

    sandbox.post("misbehave", server="wecom", path=path, how="slow", seconds=2.0)
    first = threading.Thread(target=call)
    first.start()
    until(lambda: sandbox.world.wecom.corp.at_work[path] == 1)
    call()
    first.join()
    return sorted(codes)


def test_too_many_calls_at_once_are_refused(sandbox: Sandbox) -> None:
    """wecom.md §2.3: 45033, concurrent calls of one API by one corp."""
    sandbox.post("settings", most_at_once=1)

    codes = _two_at_once(sandbox, "externalcontact/get_corp_tag_list", {})

    assert codes == [0, 45033]


def test_two_changes_of_one_customers_tags_at_once_are_refused(sandbox: Sandbox) -> None:
    """wecom.md §2.3, §4.3: 45035."""
    tag_id = wecom_acts.make_tag(sandbox.world, "口味", "茶", now=NOON)
    sandbox.world.wecom.pushes.clear()
    who = {"userid": "WangFang", "external_userid": ZHOU_EXTERNAL}

    codes = _two_at_once(sandbox, _MARK, {**who, "add_tag": [tag_id]})

    assert codes == [0, 45035]


def test_people_are_moved_over_the_control_api(sandbox: Sandbox, seen: Seen) -> None:
    """wecom.md §1.4, end to end: each act is pushed before it answers."""
    pair = {"userid": "WangFang", "external_userid": NEW}

    added = sandbox.post("wecom/add", **pair, state="g_1")
    sandbox.post("wecom/edit", **pair, remark="新客")
    sandbox.post("wecom/end", **pair, by="customer")
    sandbox.post("wecom/resign", userid="ZhaoLei")

    assert added["pushed"] == 1
    assert len(added["welcome_code"]) > 20
    told = [xml.split("<Event><![CDATA[")[1].split("]]>")[0] for xml in seen.plaintexts]
    assert told == ["change_external_contact"] * 3 + ["unsubscribe"]
