"""Pages in the biggest letters of WeChat on a small phone: no sum is cut, nothing leaves it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product

import pytest
from playwright.sync_api import Page, sync_playwright

from sandbox.browser import FLAGS, chromium_path
from store.coupons import CouponPlan
from tests.web.browser import Browser
from tests.web.scene import Scene, a_coupon, a_member, an_identity
from web.pages import STATIC

pytestmark = pytest.mark.journey

# WeChat multiplies the size of every letter.
_ENLARGE = """times => {
  const found = [...document.querySelectorAll("body *")];
  const sizes = found.map(one => parseFloat(getComputedStyle(one).fontSize));
  found.forEach((one, at) => { one.style.fontSize = `${times * sizes[at]}px`; });
}"""
_CUT = """() => {
  const room = one => (one.closest(".ticket") ?? document.documentElement).getBoundingClientRect();
  return [...document.querySelectorAll("b, i, figcaption, input")].filter(one => {
    const range = document.createRange();
    range.selectNodeContents(one);
    const { left, right } = range.getBoundingClientRect();
    return left < room(one).left || right > room(one).right;
  }).map(one => one.textContent);
}"""


@pytest.fixture
def browser_path() -> str:
    """The browser; without one there is nothing to look with."""
    path = chromium_path()
    if path is None:
        pytest.skip("needs a browser: install chromium, or name one in ZHIYIN_CHROMIUM")
    return path


@contextmanager
def _small_window(path: str) -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser.new_page(viewport={"width": 360, "height": 740})
        browser.close()


def _with_styles(phone: Browser, path: str) -> str:
    page = phone.get(path).text
    links = re.findall('<link rel="stylesheet" href="/static/([a-z]+.css)">', page)
    styles = "".join(f"<style>{(STATIC / name).read_text()}</style>" for name in links)
    return page.replace("</head>", f"{styles}</head>")


def test_no_sum_and_no_code_is_cut(scene: Scene, browser_path: str) -> None:
    li = a_member(scene)
    coupon = a_coupon(scene, li)
    with scene.database.transaction() as session:
        session.get_one(CouponPlan, coupon.plan_id).value = 12_345_50
    phone = scene.phone(an_identity(scene, li))

    paths = ("/m/coupons", f"/m/coupons/{coupon.ref}", "/m/profile", "/m/card")
    pages = {path: _with_styles(phone, path) for path in paths}

    with _small_window(browser_path) as window:
        for (path, page), times in product(pages.items(), (1, 1.5, 2)):
            window.set_content(page)
            window.evaluate(_ENLARGE, times)
            assert window.evaluate(_CUT) == [], (path, times)
            assert window.evaluate("document.documentElement.scrollWidth") == 360, (path, times)
