"""The consumer's way on real pages: follow, bind, card, give, a friend claims, the till redeems."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Frame, Page, expect

from sandbox.browser import PHONE
from tests.journeys import story
from tests.journeys.browsing import Watched, faults_of
from tests.journeys.town import Town

pytestmark = pytest.mark.journey
# Named when the pictures of the documentation are to be taken anew.
_PICTURES = os.environ.get("ZHIYIN_PICTURES")
_ME, _FRIEND = "林晓", "周舟"


@dataclass(frozen=True)
class Phone:
    """Somebody's phone and its number."""

    page: Page
    number: str


def _keep(page: Page, name: str) -> None:
    """A picture for the documentation, once what moves has come to rest."""
    if _PICTURES:
        page.wait_for_timeout(700)
        page.screenshot(path=Path(_PICTURES) / f"consumer-{name}.png")


@pytest.fixture(scope="module")
def mine(town: Town, people: Watched) -> Phone:
    """The phone of somebody whom the brand does not know."""
    page = people.person()
    return Phone(page, story.new_phone(page, town, _ME))


@pytest.fixture(scope="module")
def friends(town: Town, people: Watched) -> Phone:
    """The phone of a friend who does not follow either."""
    page = people.person()
    return Phone(page, story.new_phone(page, town, _FRIEND))


def test_somebody_new_follows_and_is_welcomed(mine: Phone) -> None:
    mine.page.get_by_role("button", name="关注公众号").click()

    expect(story.answers(mine.page).last).to_contain_text("欢迎关注")
    assert faults_of(mine.page) == []
    _keep(mine.page, "follow")


def test_nothing_of_a_menu_is_cut_off(mine: Phone) -> None:
    page = mine.page
    for top in page.locator(".menu details").all():
        top.locator("summary").click()
        box = top.locator(".sheet").bounding_box()
        assert box
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= PHONE[0]
        top.locator("summary").click()


def test_words_that_could_not_be_sent_are_given_back(mine: Phone, people: Watched) -> None:
    page = mine.page
    page.context.set_offline(True)

    story.say(page, "我有多少积分")

    expect(page.get_by_role("alert")).to_have_text("没有发出去，请再试一次")
    expect(page.get_by_label("发消息")).to_have_value("我有多少积分")
    page.context.set_offline(False)
    page.get_by_role("button", name="发送", exact=True).click()
    expect(story.answers(page).last).to_contain_text("积分")
    expect(page.get_by_role("alert")).to_have_count(0)
    people.forgive_words("ERR_INTERNET_DISCONNECTED")


def test_visitor_binds_the_mobile_with_the_code_of_a_text_message(mine: Phone) -> None:
    page = mine.page
    story.tap(page, "会员", "绑定手机号")
    bind = story.open_page(page, story.answers(page).last.locator("a[data-web]"))

    bind.get_by_label("手机号").fill(mine.number)
    bind.get_by_role("button", name="获取验证码").click()
    bind.get_by_label("验证码").fill(story.code_in_banner(page))
    _keep(page, "code")
    page.get_by_label("收起").click()
    bind.get_by_role("button", name="同意并绑定").click()

    expect(bind.get_by_role("heading", name="欢迎加入")).to_be_visible()
    assert faults_of(bind) == []
    _keep(page, "bound")
    story.close_page(page)


def test_member_asks_for_the_card_that_a_till_scans(mine: Phone) -> None:
    page = mine.page
    story.tap(page, "会员", "会员卡")
    expect(story.answers(page).last).to_contain_text("出示会员码")

    card = story.open_page(page, story.answers(page).last.locator("a[data-web]"))

    expect(card.locator("figcaption")).to_have_text(re.compile(r"[0-9]{4} [0-9]{4}"))
    assert faults_of(card) == []
    _keep(page, "card")
    story.close_page(page)


def test_till_reads_the_card_and_sees_the_joining_gift(mine: Phone, town: Town) -> None:
    page = mine.page
    card = story.open_page(page, story.answers(page).last.locator("a[data-web]"))
    code = re.sub(r"\D", "", card.locator("figcaption").inner_text())
    story.close_page(page)

    found = _till(town, "lookup", card_code=code, shop_code=_shop(town))

    assert found["points"] == 100
    assert [one["name"] for one in found["coupons"]] == ["入会礼 10 元券"]


def test_member_gives_the_coupon_to_a_friend(mine: Phone, friends: Phone) -> None:
    del friends
    story.tap(mine.page, "优惠", "送券给朋友")
    expect(story.answers(mine.page).last).to_contain_text("送给朋友，对吗")
    story.say(mine.page, "确认")
    expect(story.answers(mine.page).last).to_contain_text("送你一张「入会礼 10 元券」")
    _keep(mine.page, "gift")

    story.pass_on(mine.page, _FRIEND)

    expect(mine.page.locator(".row.own .card")).to_contain_text("送你一张「入会礼 10 元券」")
    _keep(mine.page, "passed-on")


def test_friend_claims_it_on_the_own_phone(friends: Phone, mine: Phone) -> None:
    page = friends.page
    expect(page.locator(".news")).to_contain_text("送你一张")
    page.locator(".news a").click()
    gift = story.open_page(page, page.locator(".row:not(.own) a[data-web]").last)
    _keep(page, "opened")

    _claim(gift)

    expect(gift.get_by_role("heading", name="领到了")).to_be_visible()
    assert faults_of(gift) == []
    _keep(page, "claimed")
    story.open_chat(mine.page, "知味会员中心")
    expect(story.answers(mine.page).last).to_contain_text("领走了")


def test_till_redeems_the_friends_coupon_once(friends: Phone, town: Town) -> None:
    page = story.page_inside(friends.page)
    code = page.locator("figure.code figcaption").inner_text().strip()
    sale = {"coupon_code": code, "amount_fen": 12_800, "shop_code": _shop(town)}

    first, again = (_till(town, "redeem-coupon", reference="K-1", **sale) for _ in range(2))
    other = _ask_till(town, "redeem-coupon", reference="K-2", **sale)
    friends.page.locator(".web summary").click()
    friends.page.get_by_role("button", name="刷新").click()

    assert (first["discount_fen"], again) == (1000, first)
    assert other.status_code == 409
    spent = story.page_inside(friends.page)
    expect(spent.get_by_role("heading", name="这张券您领过了")).to_be_visible()
    _keep(friends.page, "redeemed")


def test_two_phones_in_one_browser_stay_two_people(
    town: Town, people: Watched, mine: Phone
) -> None:
    other = mine.page.context.new_page()
    number = story.new_phone(other, town, "陈默")
    other.get_by_role("button", name="关注公众号").click()
    story.tap(other, "会员", "会员卡")
    expect(story.answers(other).last).to_contain_text("绑定手机号")
    story.open_page(other, story.answers(other).last.locator("a[data-web]"))
    story.tap(mine.page, "会员", "会员卡")
    expect(story.answers(mine.page).last).to_contain_text("出示会员码")

    card = story.open_page(mine.page, story.answers(mine.page).last.locator("a[data-web]"))

    expect(card.locator("figcaption")).to_be_visible()
    assert number != mine.number
    assert people.complaints == []


def test_snapshot_page_is_told_to_open_it_for_real(mine: Phone) -> None:
    mine.page.locator(".web summary").click()
    mine.page.get_by_role("button", name="用快照页打开").click()

    page = story.page_inside(mine.page)

    expect(page.locator("main")).to_contain_text("使用完整服务")
    assert faults_of(page) == []
    mine.page.get_by_role("button", name="使用完整服务").click()
    expect(page.locator("figcaption")).to_be_visible()


def test_clock_of_everybody_moves_ahead(mine: Phone, town: Town) -> None:
    page = mine.page
    phone, before = page.url, page.locator("[data-clock]").inner_text()
    page.goto(f"{town.sandbox}/sandbox/controls")
    page.get_by_role("button", name="往前 10 分钟").click()
    expect(page.locator(".time")).to_be_visible()
    assert faults_of(page) == []
    page.goto(phone)

    expect(page.locator("[data-clock]")).not_to_have_text(before)


def _claim(gift: Frame) -> None:
    """Take it: where WeChat has to say first who is there, the button stands there twice."""
    gift.get_by_role("button", name=re.compile("领取")).click()
    again = gift.get_by_role("button", name="领取", exact=True)
    expect(again.or_(gift.get_by_role("heading", name="领到了")).first).to_be_visible()
    if again.is_visible():
        again.click()


def _ask_till(town: Town, act: str, **body: object) -> httpx.Response:
    return httpx.post(
        f"{town.product}/api/v1/till/{act}",
        json=body,
        headers={"Authorization": f"Bearer {town.till_key}"},
        trust_env=False,
    )


def _till(town: Town, act: str, **body: object) -> dict[str, Any]:
    answer = _ask_till(town, act, **body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def _shop(town: Town) -> str:
    """Any shop."""
    with town.database.transaction() as session:
        found = session.connection().exec_driver_sql("SELECT code FROM shops ORDER BY id LIMIT 1")
        return str(found.scalar_one())
