"""The main job on real pages: HQ launches, a guide sends, a member reads, asks and gives."""

import re
from dataclasses import dataclass

import pytest
from playwright.sync_api import Page, expect

from sandbox.browser import DESK
from tests.journeys import story
from tests.journeys.browsing import Watched, faults_of
from tests.journeys.town import Town, sell, someone_to_care_for

pytestmark = pytest.mark.journey


@dataclass(frozen=True)
class Care:
    """A message that went out: the guide's phone and workbench, and whom it was for."""

    phone: Page
    workbench: Page
    member: str


@pytest.fixture(scope="module")
def console(town: Town, people: Watched) -> Page:
    """HQ's desk with a campaign that runs."""
    page = people.person(DESK)
    story.log_in(page, town)
    story.fill_in_campaign(page)
    story.launch(page)
    return page


@pytest.fixture(scope="module")
def care(console: Page, town: Town, people: Watched) -> Care:
    """A guide has edited, sent and confirmed."""
    del console
    phone = people.person()
    guide, member = someone_to_care_for(town)
    workbench = story.open_card(phone, town, guide)
    story.send_task(workbench, member)
    story.confirm_broadcast(phone)
    return Care(phone, workbench, member)


@pytest.fixture(scope="module")
def member_phone(care: Care, town: Town, people: Watched) -> Page:
    """The phone of the member whom the guide wrote to."""
    page = people.person()
    story.take_phone(page, town, care.member)
    return page


@pytest.fixture(scope="module")
def gift(member_phone: Page) -> str:
    """The link of a coupon that the member gives away."""
    return story.give_coupon(member_phone)


def test_operator_sees_the_campaign_run(console: Page) -> None:
    expect(console.get_by_role("heading", name=story.CAMPAIGN)).to_be_visible()
    # A tenth of twenty is nobody, once in eight times.
    nothing_yet = re.compile("两组都还没有人买|没有留对照组")
    expect(console.get_by_text(nothing_yet)).to_be_visible()
    assert faults_of(console) == []


def test_member_reads_the_edited_words_and_the_list(member_phone: Page) -> None:
    story.open_chat(member_phone, "@企业微信")
    expect(member_phone.get_by_text(story.EXTRA)).to_be_visible()

    picks = story.open_page(member_phone, member_phone.locator(".log a[href*='picks']").first)

    expect(picks.locator("article.good")).to_have_count(4)
    expect(picks.get_by_text("这几样是看着您的喜好单独挑的")).to_be_visible()
    assert faults_of(picks) == []
    story.close_page(member_phone)
    story.open_chat(member_phone, "知味会员中心")


def test_member_asks_for_points_and_opens_the_card(care: Care, member_phone: Page) -> None:
    story.tap(member_phone, "会员", "查积分")
    expect(story.answers(member_phone).last).to_contain_text("您现在有")
    story.say(member_phone, "会员卡")
    expect(story.answers(member_phone).last).to_contain_text("会员卡")

    link = story.answers(member_phone).last.locator("a[data-web]")
    card = story.open_page(member_phone, link)

    expect(card.get_by_role("heading", name=care.member)).to_be_visible()
    expect(card.locator("figure.code svg").first).to_be_visible()
    assert faults_of(card) == []
    story.close_page(member_phone)


def test_friend_claims_the_gift_and_a_third_comes_too_late(
    gift: str, care: Care, town: Town, people: Watched
) -> None:
    friend, late = people.person(), people.person()
    nobody_here = [care.member]
    for page in (friend, late):
        nobody_here.append(story.become_somebody_else(page, town, nobody_here))
        page.goto(gift)

    friend.get_by_role("button", name="用微信领取").click()
    late.reload()

    expect(friend.get_by_role("heading", name="领到了")).to_be_visible()
    expect(late.get_by_role("heading", name="来晚了一步")).to_be_visible()
    assert [*faults_of(friend), *faults_of(late)] == []


def test_giver_sees_that_the_link_is_their_own(gift: str, member_phone: Page) -> None:
    page = member_phone.context.new_page()

    page.goto(gift)

    expect(page.get_by_text("来晚了一步").or_(page.get_by_text("这是您送出的券"))).to_be_visible()
    assert faults_of(page) == []


def test_guide_sees_the_sale_among_the_results(care: Care, town: Town, console: Page) -> None:
    workbench = care.workbench
    story.wait_until_answered(workbench, town, care.member)
    sell(town, care.member, amount_fen=12_345)

    story.wait_for_text(workbench, f"{town.product}/guide/results", "¥123.45")
    console.reload()

    expect(workbench.locator(".cell", has_text=care.member)).to_contain_text("待确认")
    expect(console.locator(".figures")).to_contain_text("123.45")
    assert [*faults_of(workbench), *faults_of(console)] == []


def test_no_page_complained_or_asked_a_stranger(care: Care, people: Watched) -> None:
    del care

    assert people.complaints == []
