"""A member at headquarters: found without leaving a trace of the number, read with every reason."""

from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import select

from fatigue import gate, preferences
from fatigue.gate import Ask
from store.audit import AuditEntry
from store.members import Member
from store.merges import merge
from store.organisation import OperatorRole, add_operator
from store.touches import Category, Channel
from tests.queries import counted
from tests.web.browser import Browser
from tests.web.console.conftest import PASSWORD
from tests.web.scene import Scene, a_member
from web.sessions import Door


def _ask(scene: Scene, member: Member, key: str, **more: Any) -> None:
    facts: dict[str, Any] = {
        "channels": (Channel.WECOM_BROADCAST,),
        "category": Category.CARE,
        "brand_id": scene.brand.id,
        "campaign_id": scene.campaign.id,
        "guide_id": scene.wang.id,
        "text": "好久不见",
    }
    with scene.database.transaction() as session:
        gate.ask(session, Ask(key=key, member_id=member.id, **facts | more), now=scene.now)


def test_timeline_says_what_happened_and_why_not(scene: Scene, song: Browser) -> None:
    li = a_member(scene)
    _ask(scene, li, "first")
    _ask(scene, li, "second")
    _ask(scene, li, "third", category=Category.MARKETING)

    page = song.get(f"/hq/members/{li.card_no}").text

    assert "共 3 条" in page
    assert "马上要发" in page
    assert "等一等再发" in page
    assert "已有 1 条，上限 1" in page
    assert "额度用在了：03-01 老客关怀" in page
    assert "没有打扰" in page
    assert "顾客没有同意接收这类消息" in page
    assert "导购 王芳" in page


def test_mobile_is_masked(scene: Scene, song: Browser) -> None:
    li = a_member(scene)

    page = song.get(f"/hq/members/{li.card_no}").text

    assert li.mobile is not None
    assert li.mobile not in page
    assert f"{li.mobile[:3]}****{li.mobile[-4:]}" in page


def test_admin_sees_the_whole_mobile_once_and_the_log_says_so(scene: Scene, song: Browser) -> None:
    li = a_member(scene)
    assert li.mobile is not None

    answer = song.post(f"/hq/members/{li.card_no}/mobile")
    later = song.get(f"/hq/members/{li.card_no}")

    assert li.mobile in answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert li.mobile not in later.text
    with scene.database.transaction() as session:
        entry = session.exec(select(AuditEntry).where(AuditEntry.act == "member.see_mobile")).one()
    assert (entry.actor, entry.subject, entry.facts) == ("operator:song", f"member:{li.id}", {})


@pytest.mark.parametrize("role", [OperatorRole.VIEWER, OperatorRole.OPERATOR])
def test_others_are_refused_the_whole_mobile(
    scene: Scene, song: Browser, role: OperatorRole
) -> None:
    del song
    li = a_member(scene)
    with scene.database.transaction() as session:
        he = add_operator(session, "he", "何", PASSWORD, role=role)
    browser = scene.at_door(Door.CONSOLE, he.id)

    page = browser.get(f"/hq/members/{li.card_no}")
    answer = browser.post(f"/hq/members/{li.card_no}/mobile")

    assert li.mobile is not None
    assert answer.status_code == 403
    assert li.mobile not in page.text + answer.text
    assert "看全号" not in page.text
    with scene.database.transaction() as session:
        assert session.exec(select(AuditEntry)).all() == []


@pytest.mark.parametrize("by", ["card_no", "mobile", "name"])
def test_member_is_found_by_what_a_person_would_say(scene: Scene, song: Browser, by: str) -> None:
    li = a_member(scene)
    a_member(scene, "赵一鸣")

    answer = song.post("/hq/members", data={"words": f" {getattr(li, by)} "})

    assert answer.headers["location"] == f"/hq/members/{li.card_no}"


def test_namesakes_are_shown_masked_to_choose_from(scene: Scene, song: Browser) -> None:
    one, other = a_member(scene), a_member(scene)

    page = song.post("/hq/members", data={"words": "李雨桐"}).text

    assert "2 位可能是" in page
    assert one.card_no in page
    assert other.card_no in page
    assert str(one.mobile) not in page


def test_nobody_is_found_without_words_or_by_a_part(scene: Scene, song: Browser) -> None:
    li = a_member(scene)

    for words in ("", "  ", str(li.mobile)[:10], "李"):
        assert "没有找到" in song.post("/hq/members", data={"words": words}).text


def test_merged_card_leads_to_the_one_that_lives_on(scene: Scene, song: Browser) -> None:
    li, gone = a_member(scene), a_member(scene)
    with scene.database.transaction() as session:
        merge(session, li.id, gone.id, reason="test", now=scene.now)

    answer = song.get(f"/hq/members/{gone.card_no}")

    assert answer.headers["location"] == f"/hq/members/{li.card_no}"


def test_unknown_card_is_not_found(song: Browser) -> None:
    assert song.get("/hq/members/nobody").status_code == 404


def test_own_limits_are_told_in_words(scene: Scene, song: Browser) -> None:
    li = a_member(scene)
    until = scene.now + timedelta(days=10)
    with scene.database.transaction() as session:
        preferences.pause(session, li.id, until=until, reason="page", now=scene.now)
        preferences.stop(
            session, li.id, reason="page", channel=Channel.WECHAT_SERVICE, now=scene.now
        )

    page = song.get(f"/hq/members/{li.card_no}").text

    assert "<dt>全部消息</dt><dd>暂停到 2026-03-11</dd>" in page
    assert "<dt>公众号客服消息</dt><dd>不再接收</dd>" in page
    assert "顾客说过不要再打扰" in page


def test_timeline_is_paged(scene: Scene, song: Browser) -> None:
    li = a_member(scene)
    for number in range(21):
        _ask(scene, li, f"ask-{number}")

    first = song.get(f"/hq/members/{li.card_no}").text
    second = song.get(f"/hq/members/{li.card_no}?skip=20").text

    assert first.count('<p class="when">') == 20
    assert "更早的" in first
    assert second.count('<p class="when">') == 1
    assert "更近的" in second


def test_page_takes_as_many_queries_for_three_touches_as_for_one(
    scene: Scene, song: Browser
) -> None:
    li = a_member(scene)
    _ask(scene, li, "one")
    with counted(scene.database.engine) as for_one:
        song.get(f"/hq/members/{li.card_no}")
    for key in ("two", "three"):
        _ask(scene, li, key)

    with counted(scene.database.engine) as for_three:
        page = song.get(f"/hq/members/{li.card_no}")

    assert "共 3 条" in page.text
    assert len(for_three) == len(for_one)


def test_list_takes_as_many_queries_for_three_decisions_as_for_one(
    scene: Scene, song: Browser
) -> None:
    _ask(scene, a_member(scene), "one")
    with counted(scene.database.engine) as for_one:
        song.get("/hq/members")
    for key in ("two", "three"):
        _ask(scene, a_member(scene), key)

    with counted(scene.database.engine) as for_three:
        page = song.get("/hq/members")

    assert page.text.count("马上要发") == 3
    assert len(for_three) == len(for_one)


def test_words_of_a_touch_are_escaped(scene: Scene, song: Browser) -> None:
    li = a_member(scene, "<b>李</b>")
    _ask(scene, li, "one", text="<script>alert(1)</script>")

    page = song.get(f"/hq/members/{li.card_no}").text

    assert "<script>alert" not in page
    assert "<b>李</b>" not in page
