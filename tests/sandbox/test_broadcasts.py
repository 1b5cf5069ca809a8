"""Customers and broadcasts of guides (wecom.md §4, §5)."""

from datetime import timedelta
from typing import Any

import pytest

from sandbox import broadcasts
from sandbox.forms import ContactForm, PeopleForm
from sandbox.refusals import ApiError
from sandbox.register import add_people, unlink
from sandbox.state import World
from tests.sandbox.builders import (
    CORPID,
    LI_EXTERNAL,
    LI_UNION,
    NOON,
    OTHER_AGENT,
    ZHOU_EXTERNAL,
    a_world,
    receipts,
    wecom,
)

_CREATE = "externalcontact/add_msg_template"
_TASKS = "externalcontact/get_groupmsg_task"
_RESULTS = "externalcontact/get_groupmsg_send_result"


def _body(*external_userids: str, **more: Any) -> dict[str, Any]:
    text = {"content": "李女士，春季新品到店了"}
    return {"external_userid": list(external_userids), "text": text, **more}


def _refusal(world: World, path: str, body: dict[str, Any] | None = None, **more: Any) -> int:
    with pytest.raises(ApiError) as refused:
        wecom(world, path, body, **more)
    return refused.value.code


def _confirm(world: World, msgid: str, userid: str, **more: Any) -> None:
    broadcasts.confirm(world, world.wecom.broadcasts[msgid], userid, now=NOON, **more)


def test_customer_is_told_with_every_guide_who_has_them() -> None:
    """wecom.md §4: external_contact and follow_user."""
    answer = wecom(a_world(), "externalcontact/get", external_userid=LI_EXTERNAL)

    assert answer["external_contact"]["unionid"] == LI_UNION
    assert [one["userid"] for one in answer["follow_user"]] == ["WangFang", "ZhaoLei"]


def test_customer_is_refused_when_unknown_or_no_longer_a_contact() -> None:
    """wecom.md §2.3: 40096 and 84061."""
    world = a_world()
    unlink(world, "WangFang", ZHOU_EXTERNAL)
    path = "externalcontact/get"

    assert _refusal(world, path, external_userid="wmNobody") == 40096
    assert _refusal(world, path, external_userid=ZHOU_EXTERNAL) == 84061


def test_customers_come_in_pages_with_one_follow_info_each() -> None:
    """wecom.md §4: batch/get_by_user, cursor empty at the end."""
    world = a_world()
    path, body = "externalcontact/batch/get_by_user", {"userid_list": ["WangFang", "ZhaoLei"]}

    first = wecom(world, path, {**body, "limit": 2})
    rest = wecom(world, path, {**body, "limit": 2, "cursor": first["next_cursor"]})

    pages = first["external_contact_list"] + rest["external_contact_list"]
    found = [(one["follow_info"]["userid"], one["external_contact"]["name"]) for one in pages]
    assert found == [("WangFang", "李"), ("WangFang", "周"), ("ZhaoLei", "李")]
    assert rest["next_cursor"] == ""


def test_customers_are_refused_to_an_app_without_the_permission() -> None:
    """wecom.md §2.2: 48002."""
    world = a_world()
    world.wecom.apps[f"{CORPID}:{OTHER_AGENT}"].has_contact_permission = False

    assert _refusal(world, "externalcontact/get_follow_user_list", agent=OTHER_AGENT) == 48002


def test_broadcast_reaches_nobody_before_the_guide_confirms() -> None:
    """wecom.md §5.1 and §5.3: task 0 → 2, send result 0 → 1 with a time."""
    world = a_world()
    msgid = wecom(world, _CREATE, _body(LI_EXTERNAL, sender="WangFang"))["msgid"]
    asked = {"msgid": msgid, "userid": "WangFang"}

    before = wecom(world, _RESULTS, asked)["send_list"]
    assert (wecom(world, _TASKS, asked)["task_list"][0]["status"], receipts(world)) == (0, [])
    _confirm(world, msgid, "WangFang")
    after = wecom(world, _RESULTS, asked)["send_list"]

    assert (before[0]["status"], "send_time" in before[0]) == (0, False)
    assert (after[0]["status"], after[0]["send_time"]) == (1, int(NOON.timestamp()))
    assert wecom(world, _TASKS, asked)["task_list"][0]["status"] == 2
    assert receipts(world) == [(LI_EXTERNAL, "wecom_broadcast", "李女士，春季新品到店了")]


def test_broadcast_without_a_sender_goes_to_the_guide_who_chatted_last() -> None:
    """wecom.md §5.1."""
    world = a_world()
    msgid = wecom(world, _CREATE, _body(LI_EXTERNAL, ZHOU_EXTERNAL))["msgid"]

    tasks = world.wecom.broadcasts[msgid].tasks

    assert {userid: list(task.recipients) for userid, task in tasks.items()} == {
        "ZhaoLei": [LI_EXTERNAL],
        "WangFang": [ZHOU_EXTERNAL],
    }


def test_broadcast_with_only_a_sender_goes_to_all_their_customers() -> None:
    """wecom.md §5.1."""
    world = a_world()
    body = {"sender": "WangFang", "text": {"content": "会员日"}}

    msgid = wecom(world, _CREATE, body)["msgid"]

    recipients = world.wecom.broadcasts[msgid].tasks["WangFang"].recipients
    assert list(recipients) == [LI_EXTERNAL, ZHOU_EXTERNAL]


def test_broadcast_lists_those_it_cannot_reach() -> None:
    """wecom.md §5.1: fail_list."""
    world = a_world()

    answer = wecom(world, _CREATE, _body(LI_EXTERNAL, ZHOU_EXTERNAL, "wmX", sender="ZhaoLei"))

    assert (answer["errcode"], answer["fail_list"]) == (0, [ZHOU_EXTERNAL, "wmX"])


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (_body("wmNobody", sender="WangFang"), 40096),
        (_body(ZHOU_EXTERNAL, sender="ZhaoLei"), 84061),
        (_body(LI_EXTERNAL, sender="NoBody"), 60111),
        ({"text": {"content": "x"}}, 40063),
        ({"sender": "WangFang"}, 40063),
        (_body(LI_EXTERNAL, text={"content": "中" * 1334}), 45002),
        (_body(LI_EXTERNAL, attachments=[{"msgtype": "link", "link": {"url": "u"}}] * 10), 41064),
        (_body(LI_EXTERNAL, attachments=[{"msgtype": "link", "image": {}}]), 41065),
        (_body(LI_EXTERNAL, attachments=[{"msgtype": "link", "link": {"title": "x"}}]), 41065),
        (_body(LI_EXTERNAL, chat_type="group"), 40058),
    ],
)
def test_broadcast_is_refused_when_its_body_is_wrong(body: dict[str, Any], code: int) -> None:
    """wecom.md §2.3 and §5.1."""
    world = a_world()

    assert _refusal(world, _CREATE, body) == code
    assert world.wecom.broadcasts == {}


def test_broadcast_is_refused_when_everyone_has_had_theirs() -> None:
    """wecom.md §2.3 and §5.2: 41048 when all recipients are over quota."""
    world = a_world()
    world.wecom.quota_mode = "day_1"
    msgid = wecom(world, _CREATE, _body(LI_EXTERNAL))["msgid"]
    _confirm(world, msgid, "ZhaoLei")

    assert _refusal(world, _CREATE, _body(LI_EXTERNAL)) == 41048
    tomorrow = NOON + timedelta(days=1)
    assert wecom(world, _CREATE, _body(LI_EXTERNAL), now=tomorrow)["errcode"] == 0


@pytest.mark.parametrize(("mode", "allowed"), [("day_1", 1), ("week_7", 7), ("days_in_month", 31)])
def test_customer_receives_no_more_than_the_quota(mode: Any, allowed: int) -> None:
    """wecom.md §5.2: three modes; March has 31 days. The one too many gets status 3."""
    world = a_world()
    world.wecom.quota_mode = mode
    msgids = [wecom(world, _CREATE, _body(ZHOU_EXTERNAL))["msgid"] for _ in range(allowed + 1)]

    for msgid in msgids:
        _confirm(world, msgid, "WangFang")

    outcomes = [
        world.wecom.broadcasts[msgid].tasks["WangFang"].recipients[ZHOU_EXTERNAL].status
        for msgid in msgids
    ]
    assert outcomes == [1] * allowed + [3]


def test_customer_who_is_no_contact_any_more_gets_status_2() -> None:
    """wecom.md §5.3."""
    world = a_world()
    msgid = wecom(world, _CREATE, _body(LI_EXTERNAL, sender="WangFang"))["msgid"]
    unlink(world, "WangFang", LI_EXTERNAL)
    _confirm(world, msgid, "WangFang")

    results = wecom(world, _RESULTS, {"msgid": msgid, "userid": "WangFang"})["send_list"]

    assert [one["status"] for one in results] == [2]
    assert receipts(world) == []


def test_guide_may_leave_customers_out_only_when_allowed() -> None:
    """wecom.md §5.1: allow_select."""
    world = a_world()
    bodies = [
        _body(LI_EXTERNAL, ZHOU_EXTERNAL, sender="WangFang", allow_select=yes)
        for yes in (True, False)
    ]
    free, fixed = [wecom(world, _CREATE, body)["msgid"] for body in bodies]

    _confirm(world, free, "WangFang", only=[LI_EXTERNAL])
    chosen = [to for to, _, _ in receipts(world)]
    _confirm(world, fixed, "WangFang", only=[LI_EXTERNAL])

    assert chosen == [LI_EXTERNAL]
    assert len(receipts(world)) == 3


def test_cancelled_broadcast_can_no_longer_be_confirmed() -> None:
    """wecom.md §5.3: 41093 the second time."""
    world = a_world()
    msgid = wecom(world, _CREATE, _body(LI_EXTERNAL, sender="WangFang"))["msgid"]
    path = "externalcontact/cancel_groupmsg_send"

    wecom(world, path, {"msgid": msgid})

    assert _refusal(world, path, {"msgid": msgid}) == 41093
    assert broadcasts.waiting(world, "WangFang") == []


def test_guides_are_reminded_three_times_a_day_at_most() -> None:
    """wecom.md §5.3: 41094."""
    world = a_world()
    msgid = wecom(world, _CREATE, _body(LI_EXTERNAL, sender="WangFang"))["msgid"]
    path = "externalcontact/remind_groupmsg_send"
    for _ in range(3):
        wecom(world, path, {"msgid": msgid})

    assert _refusal(world, path, {"msgid": msgid}) == 41094
    assert [one.kind for one in world.inboxes["WangFang"]] == ["reminder"] * 3


def test_broadcast_cannot_be_queried_while_it_is_dispatched() -> None:
    """wecom.md §5.3: 41063 right after creation; 41046 and 41047 for a wrong msgid."""
    world = a_world()
    world.wecom.dispatch_seconds = 5
    msgid = wecom(world, _CREATE, _body(LI_EXTERNAL))["msgid"]

    assert _refusal(world, _TASKS, {"msgid": msgid}) == 41063
    assert wecom(world, _TASKS, {"msgid": msgid}, now=NOON + timedelta(seconds=5))["errcode"] == 0
    assert _refusal(world, _TASKS, {"limit": 5}) == 41046
    assert _refusal(world, _TASKS, {"msgid": "msgOther"}) == 41047
    assert _refusal(world, _TASKS, {"msgid": msgid}, agent=OTHER_AGENT) == 41047


def test_results_of_three_thousand_customers_come_in_pages() -> None:
    """wecom.md §5.3: 500 a page unless said otherwise, 1000 at most."""
    world = a_world()
    many = [ContactForm(external_userid=f"wm{number:030}") for number in range(1200)]
    add_people(world, PeopleForm(contacts={"ZhaoLei": many}), now=NOON)
    msgid = wecom(world, _CREATE, _body(*(one.external_userid for one in many)))["msgid"]

    sizes, cursor = [], ""
    while True:
        asked = {"msgid": msgid, "userid": "ZhaoLei", "limit": 2000, "cursor": cursor}
        page = wecom(world, _RESULTS, asked)
        sizes.append(len(page["send_list"]))
        cursor = page["next_cursor"]
        if not cursor:
            break

    assert sizes == [500, 500, 200]
