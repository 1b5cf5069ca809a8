"""The guide's list of tasks, the share of a campaign, and who may see them."""

import re
from datetime import timedelta

from store.campaigns import CareTask, TaskState
from store.members import Member
from store.touches import Channel, Touch, TouchState
from tests.builders import a_touch
from tests.queries import counted
from tests.web.scene import Scene, a_member, a_sale, a_task, an_assignment, leave


def _members(page: str) -> list[str]:
    return re.findall(r"<b>([^<]+)</b> <small>171", page)


def test_list_sends_a_stranger_to_log_in_with_wecom(scene: Scene) -> None:
    answer = scene.browser().get("/guide")

    assert answer.status_code == 303
    assert answer.headers["location"].startswith("https://open.weixin.qq.com/connect/oauth2/")
    assert "agentid=1000002" in answer.headers["location"]


def test_list_is_closed_to_a_guide_who_has_left(scene: Scene) -> None:
    browser = scene.guide()
    leave(scene, scene.wang)

    assert browser.get("/guide").status_code == 303


def test_list_shows_open_tasks_by_deadline_and_then_by_value(scene: Scene) -> None:
    small = a_member(scene, "周周", spent_fen=10_00)
    big = a_member(scene, "赵赵", spent_fen=900_00)
    late = a_member(scene, "陈陈", spent_fen=9_000_00)
    done = a_member(scene, "吴吴")
    for member in (small, big):
        a_task(scene, member)
    a_task(scene, done, state=TaskState.SENT)
    a_task(scene, late, deadline_at=scene.now + timedelta(days=1))

    page = scene.guide().get("/guide").text

    assert _members(page) == ["赵赵", "周周", "陈陈", "吴吴"]


def test_list_shows_only_own_tasks_and_no_full_mobile(scene: Scene) -> None:
    own, other = a_member(scene, "李雨桐"), a_member(scene, "张三丰")
    a_task(scene, own)
    a_task(scene, other, guide=scene.sun)

    page = scene.guide().get("/guide").text

    assert _members(page) == ["李雨桐"]
    assert str(own.mobile) not in page


def test_list_forgets_what_was_done_on_another_day(scene: Scene) -> None:
    a_task(scene, state=TaskState.SENT, moved_at=scene.now - timedelta(days=1))

    assert _members(scene.guide().get("/guide").text) == []


def test_list_counts_the_day(scene: Scene) -> None:
    a_task(scene)
    sold = a_task(scene, state=TaskState.CONVERTED)
    a_sale(scene, sold, amount_fen=88_60)

    page = scene.guide().get("/guide").text

    assert 'class="n">1</text>' in page
    assert "共 2 位" in page
    assert "<dd>¥88.60</dd>" in page


def test_list_goes_on_after_fifty_without_losing_or_repeating(scene: Scene) -> None:
    names = {f"客{number}" for number in range(53)}
    for name in sorted(names):
        a_task(scene, a_member(scene, name))
    browser = scene.guide()

    first = browser.get("/guide").text
    following = re.search(r'href="(/guide\?after=[^"]+)"', first)
    assert following is not None
    second = browser.get(following[1]).text

    assert len(_members(first)) == 50
    assert "after=" not in second
    assert sorted(_members(first) + _members(second)) == sorted(names)


def test_list_asks_as_many_queries_for_three_tasks_as_for_one(scene: Scene) -> None:
    browser = scene.guide()
    a_task(scene)
    with counted(scene.database.engine) as one:
        browser.get("/guide")
    for _ in range(2):
        a_task(scene, state=TaskState.CONVERTED)
    with counted(scene.database.engine) as three:
        browser.get("/guide")

    assert len(three) == len(one)


def test_share_is_marked_as_opened_and_lists_its_own_tasks(scene: Scene) -> None:
    assignment = an_assignment(scene)
    a_task(scene, a_member(scene, "李雨桐"), assignment_id=assignment.id)

    page = scene.guide().get(f"/guide/a/{assignment.token}").text

    assert _members(page) == ["李雨桐"]
    assert scene.fresh(assignment).opened_at == scene.now


def test_share_of_another_guide_is_not_there(scene: Scene) -> None:
    assignment = an_assignment(scene, scene.sun)

    assert scene.guide().get(f"/guide/a/{assignment.token}").status_code == 404


def test_list_asks_as_many_queries_for_two_hundred_tasks_as_for_one(scene: Scene) -> None:
    browser = scene.guide()
    a_task(scene)
    with counted(scene.database.engine) as one:
        browser.get("/guide")
    with scene.database.transaction() as session:
        members = [
            Member(name="客", brand_id=scene.brand.id, created_at=scene.now) for _ in range(199)
        ]
        session.add_all(members)
        session.flush()
        session.add_all(
            CareTask(
                campaign_id=scene.campaign.id,
                guide_id=scene.wang.id,
                member_id=member.id,
                state=TaskState.ASSIGNED,
                deadline_at=scene.campaign.deadline_at,
                created_at=scene.now,
                moved_at=scene.now,
            )
            for member in members
        )
    with counted(scene.database.engine) as many:
        page = browser.get("/guide").text

    assert "共 200 位" in page
    assert len(many) == len(one)


def test_list_asks_for_no_confirmation_of_what_the_system_sends_later(scene: Scene) -> None:
    member = a_member(scene, "李雨桐")
    task = a_task(scene, member, state=TaskState.SENDING)
    with scene.database.transaction() as session:
        touch = a_touch(
            session,
            member,
            channel=Channel.WECOM_BROADCAST,
            state=TouchState.ASKED,
            care_task_id=task.id,
            retry_at=scene.now + timedelta(hours=20),
        )
    browser = scene.guide()

    assert _chips(browser.get("/guide").text) == ["到时替您发"]

    with scene.database.transaction() as session:
        session.get_one(Touch, touch.id).state = TouchState.SENDING

    assert _chips(browser.get("/guide").text) == ["等确认"]


def _chips(page: str) -> list[str]:
    return re.findall(r'<span class="tag warm">([^<]+)</span>', page)
