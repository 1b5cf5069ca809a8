"""Every page by itself: without scripts, when something is missing, and in its plainest state."""

import re

import pytest
from playwright.sync_api import expect

from sandbox.browser import DESK
from tests.journeys import story
from tests.journeys.browsing import Watched, faults_of
from tests.journeys.town import Town, somebody, someone_to_care_for

pytestmark = pytest.mark.journey


def test_campaign_runs_and_a_guide_sends_without_any_script(town: Town, people: Watched) -> None:
    console, phone = people.person(DESK, has_scripts=False), people.person(has_scripts=False)
    story.log_in(console, town)
    story.fill_in_campaign(console, "没有脚本也行")
    story.launch(console)

    guide, member = someone_to_care_for(town)
    workbench = story.open_card(phone, town, guide)
    story.send_task(workbench, member)
    story.confirm_broadcast(phone)

    expect(console.get_by_role("heading", name="没有脚本也行")).to_be_visible()


def test_form_says_what_is_missing_and_keeps_the_rest(town: Town, people: Watched) -> None:
    page = people.person(DESK)
    story.log_in(page, town)
    page.get_by_role("link", name="新建").first.click()
    page.get_by_role("button", name=story.PRESET).click()

    page.get_by_role("button", name="保存草稿").click()

    expect(page.get_by_role("alert")).to_contain_text("处要改一下")
    expect(page.get_by_label("多少天没被打扰过")).to_have_value("7")
    assert faults_of(page) == []
    people.forgive("422")


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("/nowhere", "没有找到"),
        ("/m/picks/unknown", "没有找到"),
        ("/m/gift/unknown", "没有找到这份礼物"),
    ],
)
def test_dead_link_is_told_kindly(town: Town, people: Watched, place: str, said: str) -> None:
    page = people.person()

    page.goto(f"{town.product}{place}")

    expect(page.locator("main")).to_contain_text(said)
    expect(page.locator("main")).not_to_contain_text(re.compile("Error|Not Found"))
    assert faults_of(page) == []
    people.forgive("404")


def test_wrong_password_is_told_and_the_login_kept(town: Town, people: Watched) -> None:
    page = people.person(DESK)
    page.goto(f"{town.product}/hq")
    page.get_by_label("账号").fill("hq")
    page.get_by_label("密码").fill("wrong")

    page.get_by_role("button", name="登录").click()

    expect(page.get_by_role("alert")).to_contain_text("账号或密码不对")
    expect(page.get_by_label("账号")).to_have_value("hq")
    assert faults_of(page) == []
    people.forgive("401")


def test_guide_without_tasks_and_member_without_coupons_find_calm_pages(
    town: Town, people: Watched
) -> None:
    guide, openid = somebody(town)
    page = people.person()
    places = {"/guide": guide, "/guide/results": guide, "/m/card": openid}

    for place, who in places.items():
        page.goto(f"{town.sandbox}/sandbox/be?who={who}&next={town.product}{place}")
        expect(page.locator("main")).to_be_visible()
        assert faults_of(page) == []


def test_phones_and_the_reference_stand_by_themselves(town: Town, people: Watched) -> None:
    guide, openid = somebody(town)
    page = people.person()
    for place in ("/", f"/phone/guide/{guide}", f"/phone/member/{openid}"):
        page.goto(f"{town.sandbox}{place}")
        expect(page.get_by_text("不是真的微信").first).to_be_visible()
        assert faults_of(page) == []

    page.goto(f"{town.product}/api/docs")

    expect(page.get_by_role("heading", name="/api/v1/orders")).to_be_visible()


def test_no_page_complained_or_asked_a_stranger(people: Watched) -> None:
    assert people.complaints == []
