"""Every endpoint client against the sandbox, whose behaviour is that of the reference."""

from datetime import timedelta

import pytest

from bot.calls import ApiError, Fate
from bot.wecom import (
    broadcasts,
    cards,
    contact_ways,
    contacts,
    corp_tags,
    directory,
    transfers,
    welcome,
)
from bot.wecom.transfers import Pair, Progress
from sandbox import broadcasts as corp_broadcasts
from sandbox import wecom_acts
from sandbox.state import Switch
from sandbox.wecom_acts import Noted
from store import clock
from tests.bot.people.corp import NEW, House
from tests.sandbox.builders import LI_EXTERNAL, LI_UNION, ZHOU_EXTERNAL, a_card

ZHOU = ZHOU_EXTERNAL


def _refused(error: pytest.ExceptionInfo[ApiError]) -> int | None:
    assert error.value.fate is Fate.REFUSED
    return error.value.code


def test_customer_is_read_with_every_guide(house: House) -> None:
    """wecom.md §4: get."""
    tag = wecom_acts.make_tag(house.world, "家庭", "有孩子", now=clock.now())
    noted = Noted("李姐", ["13800138000"], [tag, "老客"])
    wecom_acts.edit(house.world, "WangFang", LI_EXTERNAL, noted, now=clock.now())

    found = contacts.read(house.api, LI_EXTERNAL)

    assert (found.name, found.unionid) == ("李", LI_UNION)
    assert {follow.userid for follow in found.follows} == {"WangFang", "ZhaoLei"}
    wang = found.of("WangFang")
    assert wang is not None
    assert (wang.remark, wang.mobiles) == ("李姐", ("13800138000",))
    # A tag of the guide's own has no id and is none of ours.
    assert wang.tag_ids == {tag}


def test_customer_with_more_than_five_hundred_guides_is_read_to_the_end(house: House) -> None:
    """wecom.md §4: next_cursor above 500 followers."""
    for app in house.world.wecom.apps.values():
        # Hundreds of pushes to a door that is not there would keep the platform busy.
        app.door_url = ""
    for number in range(501):
        userid = f"guide{number}"
        house.world.wecom.guides[userid] = type(house.world.wecom.guides["WangFang"])(
            userid, userid
        )
        wecom_acts.add(house.world, userid, NEW, now=clock.now())

    assert len(contacts.read(house.api, NEW).follows) == 501


def test_customers_of_a_guide_come_in_pages(house: House) -> None:
    """wecom.md §4: batch/get_by_user, at most 100 a page."""
    for number in range(120):
        wecom_acts.add(house.world, "ZhaoLei", f"wm{number}", now=clock.now())

    first = contacts.page(house.api, "ZhaoLei", "")
    second = contacts.page(house.api, "ZhaoLei", first.cursor)

    assert (len(first.contacts), len(second.contacts), second.cursor) == (100, 21, "")
    assert all(one.of("ZhaoLei") for one in first.contacts)


def test_stranger_and_half_a_contact_are_refused(house: House) -> None:
    """wecom.md §2.3: 40096 and 84061."""
    wecom_acts.add(house.world, "WangFang", NEW, is_half=True, now=clock.now())

    with pytest.raises(ApiError) as stranger:
        contacts.read(house.api, "wmNobody")
    with pytest.raises(ApiError) as half:
        contacts.read(house.api, NEW)

    assert (_refused(stranger), _refused(half)) == (40096, 84061)


def test_remark_and_mobiles_are_written_and_cleared(house: House) -> None:
    """wecom.md §4: remark overwrites the list of mobiles."""
    contacts.write_remark(house.api, "WangFang", ZHOU, remark="周" * 30, mobiles=["13800138000"])
    link = house.world.wecom.customers[ZHOU].links["WangFang"]
    written = (link.remark, list(link.mobiles))

    contacts.write_remark(house.api, "WangFang", ZHOU, mobiles=[])

    assert written == ("周" * 20, ["13800138000"])
    assert (link.remark, link.mobiles) == ("周" * 20, [])


def test_code_is_made_changed_found_and_removed(house: House) -> None:
    """wecom.md §4.1."""
    made = contact_ways.add(house.api, ["WangFang"], state="g_token", is_single=True)
    contact_ways.change(house.api, made.config_id, ["ZhaoLei"], state="g_token")
    way = contact_ways.read(house.api, made.config_id)

    assert made.qr_code == way.qr_code
    assert (way.userids, way.state) == (("ZhaoLei",), "g_token")
    assert list(contact_ways.config_ids(house.api)) == [made.config_id]
    contact_ways.remove(house.api, made.config_id)
    with pytest.raises(ApiError) as gone:
        contact_ways.read(house.api, made.config_id)
    assert _refused(gone) == 41044


def test_welcome_is_sent_once_and_the_second_is_told_so(house: House) -> None:
    """wecom.md §4.2: one success, then 41051."""
    code = wecom_acts.add(house.world, "WangFang", NEW, now=clock.now())
    link = {"msgtype": "link", "link": {"title": "会员卡", "url": "https://x.example/m"}}

    welcome.send(house.api, code, "您好", [link])

    with pytest.raises(ApiError) as second:
        welcome.send(house.api, code, "您好")
    assert _refused(second) == welcome.ALREADY_WELCOMED
    assert [bubble.text for bubble in house.world.inboxes[NEW]] == ["您好"]


def test_tags_are_made_renamed_marked_and_removed(house: House) -> None:
    """wecom.md §4.3."""
    made = corp_tags.add(house.api, "家庭", ["有孩子", "养猫"])
    corp_tags.rename(house.api, made[0].tag_id, "有小孩")
    who = ("WangFang", ZHOU)
    corp_tags.mark(house.api, *who, add_tags=[one.tag_id for one in made], remove_tags=[])
    corp_tags.mark(house.api, *who, add_tags=[], remove_tags=[made[1].tag_id])

    assert [(one.name, one.group_name) for one in corp_tags.every(house.api)] == [
        ("有小孩", "家庭"),
        ("养猫", "家庭"),
    ]
    follow = contacts.read(house.api, ZHOU).of("WangFang")
    assert follow is not None
    assert follow.tag_ids == {made[0].tag_id}
    corp_tags.remove(house.api, [one.tag_id for one in made])
    assert corp_tags.every(house.api) == []


def test_transfer_is_begun_and_done_after_a_day(house: House) -> None:
    """wecom.md §4.5: taken over automatically after 24 hours."""
    pair = Pair("WangFang", "ZhaoLei")

    codes = transfers.begin(house.api, pair, [ZHOU, LI_EXTERNAL], has_left=False, words="您好")
    waiting = {
        one.external_userid: one for one in transfers.results(house.api, pair, has_left=False)
    }
    for handing in house.world.wecom.corp.handings:
        handing.takeover_at = clock.now()
    done = {one.external_userid: one for one in transfers.results(house.api, pair, has_left=False)}

    assert codes == {ZHOU: 0, LI_EXTERNAL: 0}
    assert waiting[ZHOU].progress is Progress.WAITING
    assert done[ZHOU].progress is Progress.DONE
    assert set(house.world.wecom.customers[ZHOU].links) == {"ZhaoLei"}


def test_customers_of_who_has_left_are_listed_and_moved(house: House) -> None:
    """wecom.md §4.5: resigned, 40097 for who has not left."""
    pair = Pair("WangFang", "ZhaoLei")
    with pytest.raises(ApiError) as still_here:
        transfers.begin(house.api, pair, [ZHOU], has_left=True)
    wecom_acts.resign(house.world, "WangFang", now=clock.now())

    left = {one.external_userid for one in transfers.unassigned(house.api)}
    codes = transfers.begin(house.api, pair, [ZHOU], has_left=True)

    assert _refused(still_here) == 40097
    assert left == {ZHOU, LI_EXTERNAL}
    assert codes == {ZHOU: 0}
    assert {one.external_userid for one in transfers.unassigned(house.api)} == {LI_EXTERNAL}


def test_directory_tells_names_departments_and_leaders(house: House) -> None:
    """wecom.md §2.2: what a self-built app still sees."""
    wang = house.world.wecom.guides["WangFang"]
    wang.departments, wang.leads = [17, 18], [18]

    found = directory.person(house.api, "WangFang")

    assert found is not None
    assert (found.name, found.departments, found.leads) == ("王芳", (17, 18), frozenset({18}))
    assert directory.person(house.api, "Nobody") is None
    assert set(directory.people_of(house.api, 1)) == {"WangFang", "ZhaoLei"}
    assert directory.sight(house.api).departments == (1,)
    assert contacts.guides(house.api) == ["WangFang", "ZhaoLei"]


def test_broadcasts_of_everybody_are_listed_with_what_became_of_them(house: House) -> None:
    """wecom.md §5.3: list_v2, task and send_result."""
    now = clock.now()
    by_hand = corp_broadcasts.by_hand(house.world, "WangFang", [ZHOU], "新茶到了", now=now)
    house.api.add_broadcast("WangFang", LI_EXTERNAL, {"text": {"content": "您好"}})

    found = list(broadcasts.between(house.api, now - timedelta(days=1), now + timedelta(minutes=1)))
    shares = list(broadcasts.shares(house.api, by_hand.msgid))
    sent = list(broadcasts.results(house.api, by_hand.msgid, "WangFang"))

    assert [(one.creator, one.text) for one in found] == [("WangFang", "新茶到了"), ("", "您好")]
    assert [(one.userid, one.is_confirmed) for one in shares] == [("WangFang", True)]
    assert [(one.external_userid, one.fate) for one in sent] == [(ZHOU, broadcasts.Fate.SENT)]


def test_broadcast_is_cancelled_once(house: House) -> None:
    """wecom.md §5.3: a second cancel is refused."""
    content = {"text": {"content": "您好"}}
    msgid = str(house.api.add_broadcast("WangFang", ZHOU, content)["msgid"])

    broadcasts.cancel(house.api, msgid)
    with pytest.raises(ApiError) as twice:
        broadcasts.cancel(house.api, msgid)

    assert _refused(twice) == broadcasts.ALREADY_CANCELLED


def test_card_is_changed_by_its_code_once(house: House) -> None:
    """wecom.md §3.3: 72 hours, one call, 60140 afterwards."""
    menu = cards.menu([("refresh", "刷新进度")])
    sent = cards.send(house.api, "WangFang", a_card(task_id="t-1", action_menu=menu))

    is_shown = cards.change(
        house.api, "WangFang", sent.response_code, a_card(main_title={"title": "做完了"})
    )

    with pytest.raises(ApiError) as again:
        cards.change(house.api, "WangFang", sent.response_code, a_card())
    assert is_shown
    assert _refused(again) == cards.CODE_OVER
    assert [bubble.text for bubble in house.world.inboxes["WangFang"]] == ["做完了"]


@pytest.mark.parametrize("how", ["drop", "down"])
def test_lost_answer_is_told_from_a_refusal(house: House, how: str) -> None:
    house.world.switches.append(Switch("wecom", "cgi-bin/externalcontact/get", how, 1))

    with pytest.raises(ApiError) as lost:
        contacts.read(house.api, ZHOU)

    assert lost.value.fate is Fate.LOST


@pytest.mark.parametrize(
    "answer",
    [
        {"errcode": 0},
        {"errcode": 0, "external_contact": []},
        {"errcode": 0, "external_contact": {"external_userid": ""}},
        {"errcode": 0, "external_contact": {"external_userid": "wm"}, "follow_user": [7]},
        {
            "errcode": 0,
            "external_contact": {"external_userid": "wm"},
            "follow_user": [{"userid": "w", "createtime": "soon"}],
        },
        {
            "errcode": 0,
            "external_contact": {"external_userid": "wm"},
            "follow_user": [{"userid": "w", "createtime": 10**30}],
        },
    ],
)
def test_answer_in_a_wrong_shape_is_an_answer_lost(
    house: House, answer: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = house.api
    monkeypatch.setattr(type(api), "get", lambda *_, **__: answer)

    with pytest.raises(ApiError) as lost:
        contacts.read(api, "wm")

    assert lost.value.fate is Fate.LOST


def test_two_apps_have_a_token_each(house: House) -> None:
    """wecom.md §2.1: a token is good for its own app."""
    house.api.get("agent/get", agentid=house.api.agent_id or 0)

    with pytest.raises(ApiError) as other:
        house.api.get("agent/get", agentid=1000003)

    assert _refused(other) == 301002
