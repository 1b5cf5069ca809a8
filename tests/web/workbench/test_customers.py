"""Looking a customer up, tags by tapping, and the team that a manager leads."""

from datetime import timedelta

import pytest
from sqlmodel import select

from store.campaigns import TaskState
from store.leaves import Leave
from store.members import Member
from store.notices import Notice
from store.organisation import Guide, GuideRole
from store.tags import MemberTag, Tag, TagSource
from tests.queries import counted
from tests.web.scene import Scene, a_member, a_sale, a_task


@pytest.fixture
def manager(scene: Scene) -> Guide:
    """The manager of Wang and Sun."""
    made: Guide = scene.add(
        Guide(shop_id=scene.shop.id, userid="ma", name="马店长", role=GuideRole.MANAGER)
    )
    return made


def _worn(scene: Scene, member: Member) -> list[TagSource]:
    with scene.database.transaction() as session:
        query = select(MemberTag.source).where(MemberTag.member_id == member.id)
        return [TagSource(source) for source in session.exec(query).all()]


@pytest.mark.parametrize("by", ["name", "last four", "whole mobile"])
def test_customer_is_found_by_name_or_mobile_and_nobody_else(scene: Scene, by: str) -> None:
    member = a_member(scene, "李雨桐")
    a_member(scene, "赵敏")
    mobile = str(member.mobile)
    words = {"name": "雨桐", "last four": mobile[-4:], "whole mobile": mobile}[by]

    page = scene.guide().post("/guide/customers", data={"words": words}).text

    assert "李雨桐" in page
    assert "赵敏" not in page


def test_search_takes_signs_of_patterns_as_they_are(scene: Scene) -> None:
    a_member(scene, "李雨桐")

    assert "没有这样一位" in scene.guide().post("/guide/customers", data={"words": "%"}).text


def test_tag_goes_on_with_a_tap_and_off_with_the_next(scene: Scene) -> None:
    member = a_member(scene)
    scene.add(Tag(code="tea", name="爱喝茶"))
    browser, place = scene.guide(), f"/guide/c/{member.card_no}/tags"

    browser.post(place, data={"code": "tea", "on": "true"})
    assert _worn(scene, member) == [TagSource.OBSERVED]
    browser.post(place, data={"code": "tea", "on": "false"})
    assert _worn(scene, member) == []


def test_tag_that_hq_gave_stays(scene: Scene) -> None:
    member = a_member(scene)
    tag = scene.add(Tag(code="vip", name="贵宾"))
    given = TagSource.GIVEN
    scene.add(MemberTag(member_id=member.id, tag_id=tag.id, source=given, tagged_at=scene.now))

    for on in ("true", "false"):
        scene.guide().post(f"/guide/c/{member.card_no}/tags", data={"code": "vip", "on": on})

    assert _worn(scene, member) == [given]


def test_customers_ask_as_many_queries_for_three_as_for_one(scene: Scene) -> None:
    browser = scene.guide()
    a_member(scene)
    with counted(scene.database.engine) as one:
        browser.get("/guide/customers")
    for _ in range(2):
        a_member(scene)
    with counted(scene.database.engine) as three:
        browser.get("/guide/customers")

    assert len(three) == len(one)


def test_manager_gives_tasks_on_and_leaves_what_was_sent(scene: Scene, manager: Guide) -> None:
    free = a_task(scene, a_member(scene, "李雨桐"), draft="王芳问您好")
    gone = a_task(scene, a_member(scene, "赵敏"), state=TaskState.SENDING)
    browser = scene.guide(manager)

    answer = browser.post(
        "/guide/team/WangFang/reassign",
        data={"task": [free.token, gone.token], "to": "SunLi"},
    )

    assert "已转交 1 位" in browser.follow(answer).text
    assert scene.fresh(free).guide_id == scene.sun.id
    assert scene.fresh(gone).guide_id == scene.wang.id
    assert free.token not in scene.guide().get("/guide").text


def test_manager_reminds_once_a_day(scene: Scene, manager: Guide) -> None:
    a_task(scene)
    browser = scene.guide(manager)

    answers = [browser.post("/guide/team/WangFang/nudge") for _ in range(2)]

    assert "已提醒" in browser.follow(answers[0]).text
    assert "今天已经提醒过" in browser.follow(answers[1]).text
    with scene.database.transaction() as session:
        assert len(session.exec(select(Notice)).all()) == 1


def test_manager_notes_a_leave_of_whole_days(scene: Scene, manager: Guide) -> None:
    form = {"first": "2026-03-01", "last": "2026-03-02"}
    browser = scene.guide(manager)

    answer = browser.post("/guide/team/WangFang/leave", data=form)

    assert "休假已登记" in browser.follow(answer).text
    assert "休假中" in browser.get("/guide/team").text
    with scene.database.transaction() as session:
        leave = session.exec(select(Leave)).one()
    assert leave.until - leave.since == timedelta(days=2)


def test_leave_that_ends_before_it_begins_is_refused_in_words(scene: Scene, manager: Guide) -> None:
    form = {"first": "2026-03-03", "last": "2026-03-01"}

    answer = scene.guide(manager).post("/guide/team/WangFang/leave", data=form)

    assert answer.status_code == 422
    assert "要晚于开始的日子" in answer.text


def test_team_asks_as_many_queries_for_four_people_as_for_three(
    scene: Scene, manager: Guide
) -> None:
    browser = scene.guide(manager)
    with counted(scene.database.engine) as three:
        browser.get("/guide/team")
    a_task(scene, guide=scene.add(Guide(shop_id=scene.shop.id, userid="new", name="新来的")))
    with counted(scene.database.engine) as four:
        browser.get("/guide/team")

    assert len(four) == len(three)


def test_sale_opens_to_the_touch_that_was_credited(scene: Scene) -> None:
    task = a_task(scene, a_member(scene, "赵敏"), state=TaskState.CONVERTED)
    a_sale(scene, task, amount_fen=88_60)
    browser = scene.guide()
    place = browser.get("/guide/results").text.split('href="/guide/results/sale?')[1]

    page = browser.get(f"/guide/results/sale?{place.split(chr(34))[0]}").text

    assert "赵敏" in page
    assert "提成比例" in page
    assert "¥88.60" in page


def test_rank_counts_whoever_sold_more(scene: Scene) -> None:
    mine = a_task(scene, state=TaskState.CONVERTED)
    a_sale(scene, mine, amount_fen=10_00)
    a_sale(scene, a_task(scene, guide=scene.sun, state=TaskState.CONVERTED), amount_fen=20_00)

    assert "<b>第 2</b>" in scene.guide().get("/guide/results").text
    assert "<b>第 1</b>" in scene.guide(scene.sun).get("/guide/results").text
