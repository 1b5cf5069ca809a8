"""What people do on the pages, step by step, as a person with a mouse or a thumb would."""

import re
import time
from collections.abc import Callable, Sequence
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Frame, FrameLocator, Locator, Page, expect

from tests.journeys.town import Town

CAMPAIGN = "秋日老客回访"
PRESET = "高价值且最近来过"
# Two to a member, so that whoever was given one can still claim another.
COUPON = "老友回店 15 元券"
EXTRA = "（今天到店的话，给您留一份试吃）"
_PATIENCE_SECONDS = 30


def log_in(page: Page, town: Town) -> None:
    """An operator comes to the console by the bare address."""
    page.goto(town.product)
    page.get_by_label("账号").fill("hq")
    page.get_by_label("密码").fill(town.password)
    page.get_by_role("button", name="登录").click()
    expect(page.get_by_role("heading", name="活动", exact=True)).to_be_visible()


def fill_in_campaign(page: Page, name: str = CAMPAIGN) -> None:
    """Choose people by a preset, the words, a coupon to give along, and a name."""
    page.get_by_role("link", name="新建").first.click()
    page.get_by_role("button", name=PRESET).click()
    page.locator("label.piece", has_text="专属好物").click()
    page.get_by_label("一起送的券").select_option(COUPON)
    page.get_by_label("最多选多少人").fill("20")
    page.get_by_label("活动名称").fill(name)
    page.locator(".acts").get_by_role("button", name="预览").click()
    expect(page.get_by_role("heading", name="他们会收到")).to_be_visible()


def launch(page: Page) -> None:
    """Save, look at the forecast, launch, and wait until it runs."""
    page.get_by_role("button", name="保存草稿").click()
    expect(page.get_by_role("heading", name="疲劳度预演")).to_be_visible()
    page.get_by_role("button", name="现在启动").click()
    expect(page.locator("h1 .tag")).to_have_text("进行中", timeout=60_000)


def open_card(phone: Page, town: Town, guide: str) -> Page:
    """A guide looks for the own phone and taps the card; gives the workbench."""
    phone.goto(town.sandbox)
    phone.get_by_label("找姓名或编号").fill(guide)
    phone.get_by_role("button", name="找").click()
    phone.locator(f"a[href='/phone/guide/{guide}']").click()
    return follow(phone, chat(phone).get_by_role("link", name="今天请照顾"))


def send_task(page: Page, member: str) -> None:
    """Open the task of a member, add a sentence, keep it, send."""
    page.locator("a.cell.task", has_text=member).click()
    words = page.get_by_label(f"给{member}的话")
    words.fill(f"{words.input_value()}\n{EXTRA}")
    page.get_by_role("button", name="保存修改").click()
    expect(page.get_by_text("话术已保存")).to_be_visible()
    page.get_by_role("button", name="发送", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("确认发送")


def confirm_broadcast(phone: Page) -> None:
    """Confirm in WeCom what was handed over."""
    button = chat(phone).get_by_role("button", name="确认发送")
    button.click()
    expect(
        chat(phone).get_by_text("还没有消息").or_(chat(phone).locator(".row")).first
    ).to_be_visible()
    expect(button).to_have_count(0)


def take_phone(page: Page, town: Town, name: str) -> None:
    """Look for a member by name and take the phone."""
    page.goto(town.sandbox)
    page.get_by_label("找姓名或编号").fill(name)
    page.get_by_role("button", name="找").click()
    page.locator("a[href^='/phone/member/']").first.click()


def new_phone(page: Page, town: Town, name: str) -> str:
    """A phone of somebody new, on the account's page; gives its number."""
    page.goto(town.sandbox)
    page.get_by_label("新来的人叫什么").fill(name)
    page.get_by_role("button", name="添一部新手机").click()
    found = re.search(r"1[0-9]{10}", page.locator(".hint").inner_text())
    assert found
    return found[0]


def code_in_banner(page: Page) -> str:
    """The digits of the text message that has just come in."""
    banner = page.locator(".news")
    expect(banner).to_contain_text("验证码")
    found = re.search(r"[0-9]{6}", banner.inner_text())
    assert found
    return found[0]


def say(page: Page, words: str) -> None:
    """Write to whoever's chat is open."""
    if page.get_by_label("切换到键盘").is_visible():
        page.get_by_label("切换到键盘").click()
    page.get_by_label("发消息").fill(words)
    page.get_by_role("button", name="发送", exact=True).click()


def tap(page: Page, *names: str) -> None:
    """Tap the menu of the account, and the button in the sub-menu that it opens."""
    if page.get_by_label("切换到菜单").is_visible():
        page.get_by_label("切换到菜单").click()
    for name in names:
        page.locator(".menu").get_by_text(name, exact=True).click()


def open_chat(page: Page, name: str) -> None:
    """Go to the chat with somebody."""
    page.get_by_label("所有聊天").click()
    page.locator("a.line", has_text=name).click()


def give_coupon(page: Page) -> str:
    """Talk to the bot until it hands out the card for a friend; gives the link on it."""
    say(page, "送券")
    latest = answers(page).last
    expect(latest).to_contain_text(re.compile("回复前面的数字|送给朋友，对吗"))
    if "前面的数字" in latest.inner_text():
        say(page, "1")
    expect(latest).to_contain_text("送给朋友，对吗")
    say(page, "确认")
    expect(latest).to_contain_text("送你一张")
    href = str(latest.locator("a[data-web]").get_attribute("href"))
    return parse_qs(urlsplit(href).query)["next"][0]


def pass_on(page: Page, friend: str) -> None:
    """Pass the newest card in the open chat on to a friend, whose chat is open then."""
    page.get_by_label("转发").last.click()
    page.get_by_role("button", name=friend).click()
    expect(page.locator(".row.own .card")).to_be_visible()


def chat(page: Page) -> FrameLocator:
    """The messages on a guide's phone."""
    return page.frame_locator("iframe")


def open_page(page: Page, link: Locator) -> Frame:
    """Tap a link in a message; it opens inside the phone."""
    link.click()
    return page_inside(page)


def page_inside(page: Page) -> Frame:
    """The page that is open inside a phone, once it is there."""
    expect(page.locator(".web")).to_be_visible()
    page.frame_locator("iframe.page").locator("main").first.wait_for()
    handle = page.locator("iframe.page").element_handle()
    frame = handle.content_frame()
    assert frame
    return frame


def close_page(page: Page) -> None:
    """Back to the chat."""
    page.get_by_label("关闭网页").click()


def follow(page: Page, link: Locator) -> Page:
    """Tap a link in a guide's message; it opens beside the chat."""
    with page.expect_popup() as opened:
        link.first.click()
    opened.value.wait_for_load_state()
    return opened.value


def answers(page: Page) -> Locator:
    """What the other side said in the open chat, oldest first."""
    return page.locator(".row:not(.own) .said")


def become_somebody_else(page: Page, town: Town, others: Sequence[str]) -> str:
    """Take the phone of a member who is none of the `others`; gives the name."""
    page.goto(town.sandbox)
    for person in page.locator("a[href^='/phone/member/']").all():
        name = person.locator("span").first.inner_text()
        if name not in others:
            who = str(person.get_attribute("href")).rsplit("/", 1)[1]
            page.goto(f"{town.sandbox}/sandbox/be?who={who}&next=/")
            return name
    raise AssertionError("There is nobody else in town.")


def wait_until_answered(page: Page, town: Town, member: str) -> None:
    """Look at today's list until it is known that the message came in and the member wrote."""
    page.goto(f"{town.product}/guide")
    answered = page.locator("a.cell.task", has_text=member).filter(has_text="已回复")
    _reload_until(page, lambda: answered.count() > 0)


def wait_for_text(page: Page, url: str, words: str) -> None:
    """Look at a page until it says these words."""
    page.goto(url)
    _reload_until(page, lambda: words in page.locator("body").inner_text())


def _reload_until(page: Page, is_there: Callable[[], bool]) -> None:
    until = time.monotonic() + _PATIENCE_SECONDS
    while not is_there():
        assert time.monotonic() < until, (
            f"{page.url} still says: {page.locator('body').inner_text()}"
        )
        page.wait_for_timeout(1000)
        page.reload()
