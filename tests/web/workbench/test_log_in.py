"""Logging in with WeCom, through the sandbox's log-in page and the real client."""

from collections.abc import Iterator
from datetime import datetime

import httpx
import pytest
from redis import Redis

from sandbox.app import create_sandbox_app
from store.db import Database
from store.settings import Settings
from tests.sandbox.builders import a_world
from tests.sandbox.serving import serving
from tests.web.browser import Browser
from tests.web.scene import HOST, Scene, leave, parts_of, set_up


@pytest.fixture
def scene(settings: Settings, database: Database, redis: Redis, now: datetime) -> Iterator[Scene]:
    """The shop with WeCom's stand-in at the other end."""
    with serving(create_sandbox_app(a_world())) as url:
        urls = {
            "public_url": HOST,
            "oauth_url": f"{url}/oauth",
            "wechat_api_url": f"{url}/wechat",
            "wecom_api_url": f"{url}/wecom",
        }
        yield set_up(parts_of(settings.model_copy(update=urls), database, redis, now), now)


def _through_wecom(browser: Browser, person: str) -> httpx.Response:
    """Tap the card's link, let WeCom say who this is, and come back."""
    there = browser.get("/guide/results").headers["location"]
    back = httpx.get(there, cookies={"sandbox_person": person}, trust_env=False)
    return browser.follow(back)


def test_guide_comes_back_to_the_page_that_was_asked_for(scene: Scene) -> None:
    browser = scene.browser()

    answer = _through_wecom(browser, "WangFang")

    assert answer.headers["location"] == "/guide/results"
    assert "王芳的成果" in browser.follow(answer).text


def test_person_without_a_guide_is_told_so(scene: Scene) -> None:
    browser = scene.browser()

    answer = _through_wecom(browser, "ZhaoLei")

    assert answer.status_code == 403
    assert "没有找到您的导购身份" in answer.text
    assert browser.get("/guide").status_code == 303


def test_guide_who_left_does_not_get_in(scene: Scene) -> None:
    leave(scene, scene.wang)

    assert _through_wecom(scene.browser(), "WangFang").status_code == 403


def test_way_back_without_the_way_there_is_refused_with_a_way_out(scene: Scene) -> None:
    answer = scene.browser().get("/guide/login/back?code=stolen&state=0")

    assert answer.status_code == 403
    assert "再登录一次" in answer.text


def test_code_cannot_be_used_twice(scene: Scene) -> None:
    browser = scene.browser()
    there = browser.get("/guide").headers["location"]
    back = httpx.get(there, cookies={"sandbox_person": "WangFang"}, trust_env=False)
    browser.follow(back)

    again = browser.follow(back)

    assert again.status_code == 403
