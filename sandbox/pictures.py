"""Takes the pictures of `docs/pictures/` from a demo that runs: real pages, nothing drawn over.

    python -m sandbox.pictures PRODUCT_URL SANDBOX_URL PASSWORD [FOLDER]

One guide of the demo sends one message on the way. Needs chromium and a font for Chinese.
"""

import base64
import sys
from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from playwright.sync_api import Browser, Page, sync_playwright

from sandbox.browser import FLAGS, PHONE, chromium_path
from sandbox.stage import LOGIN

_DESK = (1140, 860)
_OVERVIEW = (1600, 900)
_PAIR = (860, 904)
_TEMPLATES = Path(__file__).parent / "phones" / "templates"
_PATIENCE_MILLISECONDS = 20_000
_PAINTED_MILLISECONDS = 500


def take(browser: Browser, product: str, sandbox: str, password: str, folder: Path) -> None:
    """All pictures."""
    take_gate(browser, product, password, folder)
    shots = {"console": _console(browser, product, password)}
    phone, bench, member = _open_task(browser, sandbox)
    shots["workbench"] = bench.screenshot()
    bench.locator("button.send").click()
    bench.get_by_role("status").wait_for()
    phone.frame_locator("iframe").locator(".task button").last.click()
    shots["chat"], shots["picks"] = _member(_page(browser, PHONE), sandbox, member)
    for name in ("console", "workbench"):
        (folder / f"{name}.png").write_bytes(shots[name])
    pair = {name: shots[name] for name in ("chat", "picks")}
    (folder / "member.png").write_bytes(_composed(browser, "pair", pair, _PAIR))
    (folder / "overview.png").write_bytes(_composed(browser, "overview", shots, _OVERVIEW))


def take_gate(browser: Browser, product: str, password: str, folder: Path) -> None:
    """The rules, who used the budget, and the timeline of the member who was decided on last."""
    page = _logged_in(browser, product, password)
    for name, place in (("policies", "policies"), ("budget", "budget"), ("timeline", "members")):
        page.goto(f"{product}/hq/{place}")
        if name == "timeline":
            page.locator("main tbody a").first.click()
            page.locator(".timeline").wait_for()
        (folder / f"{name}.png").write_bytes(page.screenshot())


def _page(browser: Browser, size: tuple[int, int]) -> Page:
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, locale="zh-CN", timezone_id="Asia/Shanghai"
    )
    context.set_default_timeout(_PATIENCE_MILLISECONDS)
    return context.new_page()


def _console(browser: Browser, product: str, password: str) -> bytes:
    """The report of the campaign that sold most, among the newest."""
    page = _logged_in(browser, product, password)
    rows = page.locator("tbody tr", has=page.locator("td:nth-child(7)"))
    best = max(rows.all(), key=lambda row: _figure(row.locator("td").last.inner_text()))
    best.locator("a.name").click()
    page.locator(".figures").wait_for()
    return page.screenshot()


def _logged_in(browser: Browser, product: str, password: str) -> Page:
    page = _page(browser, _DESK)
    page.goto(f"{product}/hq")
    page.locator("[name=login]").fill(LOGIN)
    page.locator("[name=password]").fill(password)
    page.locator("form.card button").click()
    page.locator("form[action$=logout]").wait_for()
    return page


def _figure(text: str) -> float:
    return float(text.replace(",", ""))


def _open_task(browser: Browser, sandbox: str) -> tuple[Page, Page, str]:
    """A guide's phone, the first task behind the card, and its member, who follows the account."""
    index = _page(browser, PHONE)
    index.goto(sandbox)
    phones = index.locator("a[href^='/phone/guide/']")
    for way in [one.get_attribute("href") for one in phones.all()]:
        phone = _page(browser, PHONE)
        phone.goto(f"{sandbox}{way}")
        with phone.expect_popup() as opened:
            phone.frame_locator("iframe").get_by_role("link", name="今天请照顾").first.click()
        bench = opened.value
        bench.locator("a.cell.task").first.wait_for()
        if not bench.locator("a.cell.task:not(.quiet)").count():
            continue
        bench.locator("a.cell.task:not(.quiet)").first.click()
        member = bench.locator(".who h1").inner_text().split()[0]
        index.goto(f"{sandbox}/?q={member}")
        if index.locator("a[href^='/phone/member/o']").count() == 1:
            return phone, bench, member
    raise LookupError("No guide on the sandbox's first page has a task for a follower.")


def _member(page: Page, sandbox: str, name: str) -> tuple[bytes, bytes]:
    """The member's chat with a question answered, and the page of goods behind the message."""
    page.goto(f"{sandbox}/?q={name}")
    page.locator("a[href^='/phone/member/o']").first.click()
    page.get_by_label("所有聊天").click()
    page.locator("a.line", has_text="@企业微信").first.click()
    page.locator(".log a[href*='picks']").first.click()
    page.frame_locator("iframe.page").locator("article.good").first.wait_for()
    # What is there is not painted yet.
    page.wait_for_timeout(_PAINTED_MILLISECONDS)
    picks = page.screenshot()
    page.get_by_label("关闭网页").click()
    return page.screenshot(), picks


def _composed(
    browser: Browser, layout: str, shots: Mapping[str, bytes], size: tuple[int, int]
) -> bytes:
    """Pictures side by side on a calm ground."""
    found = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined
    ).get_template("picture.html")
    inline = {
        name: f"data:image/png;base64,{base64.b64encode(shot).decode()}"
        for name, shot in shots.items()
    }
    page = _page(browser, size)
    page.set_content(found.render(layout=layout, shots=inline), wait_until="load")
    return page.screenshot()


def main(product: str, sandbox: str, password: str, folder: str = "docs/pictures") -> None:
    """Start a browser and take them."""
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=list(FLAGS))
        take(browser, product, sandbox, password, place)
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
