"""Days of those who look after customers: a guide's, a manager's, and a departure."""

import os
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import text
from sqlmodel import col, select

from guide_tasks import departures as handing_over
from sandbox.browser import DESK
from store import clock, departures
from store.touches import Evidence, Touch, TouchState
from tests.journeys import story
from tests.journeys.browsing import Watched, faults_of
from tests.journeys.town import Town

pytestmark = pytest.mark.journey

_CAMPAIGN = "导购的一天"
_BUSY = """
    SELECT g.userid, g.shop_id FROM care_tasks t JOIN guides g ON g.id = t.guide_id
    WHERE t.state IN ('assigned', 'seen') AND g.status = 'active'
    GROUP BY g.userid, g.shop_id ORDER BY count(*) DESC, g.userid LIMIT 1
"""
# Most shops of the town have one guide: somebody who is idle comes to lead.
_PROMOTE = """
    UPDATE guides SET role = 'manager', shop_id = :shop WHERE id =
    (SELECT max(id) FROM guides WHERE status = 'active'
     AND id NOT IN (SELECT guide_id FROM care_tasks WHERE guide_id IS NOT NULL))
    RETURNING userid
"""

_IN_CHAT = """
    SELECT g.userid, t.id, f.external_userid, t.draft FROM care_tasks t
    JOIN guides g ON g.id = t.guide_id
    JOIN friendships f ON f.member_id = t.member_id AND f.guide_id = g.id AND f.until IS NULL
    WHERE g.userid <> :busy AND g.status = 'active' AND t.state = 'assigned'
    ORDER BY t.id LIMIT 1
"""


@dataclass(frozen=True)
class Shop:
    """A shop at work: a guide with tasks, and who leads."""

    guide: str
    manager: str


@pytest.fixture(scope="module")
def shop(town: Town, people: Watched) -> Shop:
    """HQ has launched; one of the colleagues leads."""
    console = people.person(DESK)
    story.log_in(console, town)
    story.fill_in_campaign(console, _CAMPAIGN)
    story.launch(console)
    with town.database.transaction() as session:
        run = session.connection().execute
        guide, shop_id = run(text(_BUSY)).one()
        manager = run(text(_PROMOTE), {"shop": shop_id}).scalar_one()
    return Shop(guide, manager)


def _at_bench(people: Watched, town: Town, userid: str, place: str = "/guide") -> Page:
    """A phone whose owner WeCom knows."""
    page = people.person()
    page.goto(f"{town.sandbox}/sandbox/be?who={userid}&next={town.product}{place}")
    expect(page.locator("main")).to_be_visible()
    return page


def _picture(page: Page, name: str) -> None:
    """Keep what is seen, where somebody wants to look at it."""
    folder = os.environ.get("ZHIYIN_PICTURES")
    if folder:
        page.screenshot(path=Path(folder) / f"guide-{name}.png")


@pytest.fixture(scope="module")
def bench(town: Town, people: Watched, shop: Shop) -> Page:
    """The guide's phone, with the first task open."""
    page = _at_bench(people, town, shop.guide)
    _picture(page, "today")
    assert faults_of(page) == []
    page.locator("a.cell.task:not(.quiet)").first.click()
    expect(page.locator("textarea[name=text]")).to_be_visible()
    return page


def test_words_outlive_a_phone_that_sleeps_and_a_network_that_goes(
    bench: Page, town: Town, people: Watched
) -> None:
    task, words = bench.url, bench.locator("textarea[name=text]")

    words.fill(f"{words.input_value()}\n{story.EXTRA}")
    expect(bench.get_by_text("已自动保存")).to_be_visible()
    _picture(bench, "task")
    bench.goto(f"{town.product}/guide")
    bench.goto(task)
    assert story.EXTRA in words.input_value()

    bench.context.set_offline(True)
    words.press_sequentially("（等您）")
    expect(bench.get_by_text("先存在手机上")).to_be_visible()
    bench.context.set_offline(False)
    expect(bench.get_by_text("已自动保存")).to_be_visible()
    people.forgive_words("ERR_INTERNET_DISCONNECTED")


def test_draft_is_said_in_another_tone(bench: Page) -> None:
    words = bench.locator("textarea[name=text]")
    before = words.input_value()

    bench.get_by_role("button", name="简短").click()

    expect(bench.get_by_text("话术已保存")).to_be_visible()
    assert len(words.input_value()) < len(before)
    assert faults_of(bench) == []


def test_guide_knows_the_customer_and_finds_them_again(bench: Page) -> None:
    task = bench.url
    bench.get_by_role("link", name="资料").click()
    expect(bench.get_by_role("heading", name="最近买过")).to_be_visible()
    _picture(bench, "customer")
    name = bench.locator("h1").inner_text().split()[0]
    assert faults_of(bench) == []

    bench.locator("nav.tabs").get_by_role("link", name="顾客").click()
    _picture(bench, "customers")
    bench.get_by_label("找顾客").fill(name)
    bench.get_by_role("button", name="找").click()

    expect(bench.locator("a.cell", has_text=name).first).to_be_visible()
    assert faults_of(bench) == []
    bench.goto(task)


def test_guide_sends_with_one_tap_and_sees_the_results(bench: Page, town: Town) -> None:
    bench.get_by_role("button", name="发送", exact=True).click()
    expect(bench.get_by_role("status").first).to_contain_text("确认发送")

    bench.goto(f"{town.product}/guide/results")

    expect(bench.get_by_text("一步一步")).to_be_visible()
    _picture(bench, "results")
    assert faults_of(bench) == []


def test_guide_sends_in_the_chat_and_the_customer_has_it(
    town: Town, people: Watched, shop: Shop
) -> None:
    with town.database.transaction() as session:
        run = session.connection().execute
        guide, task, friend, draft = run(text(_IN_CHAT), {"busy": shop.guide}).one()
    phone = people.person()
    phone.goto(f"{town.sandbox}/phone/guide/{guide}/chats")
    phone.locator(f"a[href$='{friend}']").click()
    phone.get_by_role("link", name="知音").click()
    tool = phone.frame_locator("iframe.tool")
    send = tool.get_by_role("button", name="发送到聊天")
    expect(send).to_be_visible()
    _picture(phone, "sidebar")
    assert faults_of(phone.frames[1]) == []

    _misbehave(town, "user_cancels")
    send.click()
    expect(tool.get_by_text("没有发出去，话术还在")).to_be_visible()
    # A tap too many is no message too many.
    send.dblclick()
    expect(tool.get_by_text("记作您联系过了")).to_be_visible()
    _picture(phone, "sidebar-sent")
    phone.get_by_role("link", name="回到聊天").click()

    first = draft.split("\n")[0]
    expect(phone.frame_locator("iframe").get_by_text(first).first).to_be_visible()
    _picture(phone, "chat")
    inbox = httpx.get(f"{town.sandbox}/sandbox/people/{friend}/inbox", trust_env=False).json()
    had = [one["text"] for one in inbox["messages"] if one["channel"] == "wecom_chat"]
    assert had == [draft]
    with town.database.transaction() as session:
        query = select(Touch).where(Touch.care_task_id == task).order_by(col(Touch.id))
        touches = session.exec(query).all()
    assert [one.state for one in touches] == [TouchState.FAILED, TouchState.SENT]
    assert touches[1].evidence is Evidence.SELF_REPORTED


def _misbehave(town: Town, how: str) -> None:
    """The next time, the WeCom client does something else."""
    switch = {"server": "jssdk", "path": "sendChatMessage", "how": how}
    httpx.post(f"{town.sandbox}/sandbox/misbehave", json=switch, trust_env=False)


def test_sidebar_opened_elsewhere_says_where_to_open_it(
    town: Town, people: Watched, shop: Shop
) -> None:
    page = _at_bench(people, town, shop.guide, "/guide/sidebar")

    expect(page.get_by_text("请从聊天里打开")).to_be_visible()
    assert faults_of(page) == []
    _picture(page, "sidebar-outside")


def test_workbench_opens_inside_the_guides_phone(town: Town, people: Watched, shop: Shop) -> None:
    phone = people.person()
    phone.goto(f"{town.sandbox}/phone/guide/{shop.guide}")

    phone.get_by_role("link", name="工作台").click()

    bench = phone.frame_locator("iframe.bench")
    expect(bench.get_by_role("heading", name="今天照顾这些顾客")).to_be_visible()
    _picture(phone, "phone")
    assert faults_of(phone) == []


def test_manager_has_a_day(town: Town, people: Watched, shop: Shop) -> None:
    page = _at_bench(people, town, shop.manager, "/guide/team")
    expect(page.locator(f"a.mate[href$='{shop.guide}']")).to_be_visible()
    _picture(page, "team")
    assert faults_of(page) == []

    page.locator(f"a.mate[href$='{shop.guide}']").click()
    _picture(page, "mate")
    assert faults_of(page) == []
    page.get_by_role("button", name="提醒一下").click()
    expect(page.get_by_role("status")).to_be_visible()
    first = page.locator("label.pick").first
    task = first.locator("input").get_attribute("value")
    first.click()
    page.get_by_role("button", name="转交选中的").click()

    expect(page.get_by_role("status")).to_contain_text("已转交 1 位")
    expect(page.locator(f"label.pick input[value='{task}']")).to_have_count(0)


def test_departure_closes_the_workbench_and_hands_over(
    town: Town, people: Watched, shop: Shop
) -> None:
    page = _at_bench(people, town, shop.guide)
    expect(page.locator("nav.tabs")).to_be_visible()

    with town.database.transaction() as session:
        row = "SELECT id FROM guides WHERE userid = :userid"
        run = session.connection().execute
        guide_id = run(text(row), {"userid": shop.guide}).scalar_one()
        heir_id = run(text(row), {"userid": shop.manager}).scalar_one()
        departure = departures.begin(
            session, guide_id, successor_id=heir_id, actor="test", now=clock.now()
        )
    page.reload()

    expect(page.get_by_text("没有找到您的导购身份")).to_be_visible()
    people.forgive("403")
    handing_over.hand_over(town.database, departure.id, now=clock.now())
    heir = _at_bench(people, town, shop.manager)
    expect(heir.locator("a.cell.task").first).to_be_visible()


def test_no_page_complained_or_asked_a_stranger(people: Watched) -> None:
    assert people.complaints == []
