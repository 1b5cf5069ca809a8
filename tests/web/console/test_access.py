"""Who gets into the console, and from where."""

import pytest
from sqlmodel import select

from store.organisation import (
    Operator,
    WeakPassword,
    add_operator,
    check_password,
    operator_left,
)
from tests.web.browser import Browser
from tests.web.console.conftest import LOGIN, PASSWORD
from tests.web.scene import Scene
from web.console.throttle import TRIES_PER_LOGIN
from web.sessions import Door

PAGES = ["/hq", "/hq/campaigns", "/hq/campaigns/new", "/hq/campaigns/some-token"]


def _try(browser: Browser, password: str, **more: str) -> int:
    form = {"login": LOGIN, "password": password, **more}
    return browser.post("/hq/login", data=form).status_code


@pytest.mark.parametrize("page", PAGES)
def test_page_leads_to_the_log_in_and_back_without_a_session(scene: Scene, page: str) -> None:
    answer = scene.browser().get(page)

    assert answer.status_code == 303
    assert answer.headers["location"] == f"/hq/login?next={page}"


@pytest.mark.parametrize("path", ["/hq/campaigns/new", "/hq/campaigns/some-token/launch"])
def test_post_leads_to_the_log_in_without_a_session(scene: Scene, path: str) -> None:
    answer = scene.browser().post(path, data={"action": "save"})

    assert answer.headers["location"] == "/hq/login?next=/hq"


def test_session_of_a_guide_opens_no_console(scene: Scene, song: Browser) -> None:
    del song
    guide = scene.guide()
    guide.cookies.set(
        "zhiyin_hq", str(guide.cookies.get("zhiyin_guide")), domain="shop.test", path="/hq"
    )

    answer = guide.get("/hq")

    assert answer.status_code == 303


def test_operator_who_left_is_asked_to_log_in(scene: Scene, song: Browser) -> None:
    with scene.database.transaction() as session:
        session.exec(select(Operator)).one().is_active = False

    answer = song.get("/hq")

    assert answer.status_code == 303


def test_new_password_ends_the_sessions_of_the_old_one(scene: Scene, song: Browser) -> None:
    assert song.get("/hq").status_code == 200
    with scene.database.transaction() as session:
        add_operator(session, LOGIN, "宋知远", "another-one")

    answer = song.get("/hq")

    assert answer.status_code == 303


def test_operator_who_left_comes_back_by_being_added_again(scene: Scene, song: Browser) -> None:
    del song
    with scene.database.transaction() as session:
        operator_left(session, LOGIN)
    assert _try(scene.browser(), PASSWORD) == 401

    with scene.database.transaction() as session:
        add_operator(session, LOGIN, "宋知远", PASSWORD)

    assert _try(scene.browser(), PASSWORD) == 303


def test_right_password_opens_the_page_that_was_asked_for(scene: Scene, song: Browser) -> None:
    del song
    browser = scene.browser()

    answer = browser.post(
        "/hq/login", data={"login": LOGIN, "password": PASSWORD, "next": "/hq/campaigns/new"}
    )

    assert answer.headers["location"] == "/hq/campaigns/new"
    assert browser.follow(answer).status_code == 200


@pytest.mark.parametrize(
    "next_page", ["https://evil.test", "//evil.test", "/hqevil", "/guide", "/hq\n"]
)
def test_log_in_never_leads_out_of_the_console(scene: Scene, song: Browser, next_page: str) -> None:
    del song
    form = {"login": LOGIN, "password": PASSWORD, "next": next_page}

    answer = scene.browser().post("/hq/login", data=form)

    assert answer.headers["location"] == "/hq"


@pytest.mark.parametrize("login", [LOGIN, "nobody", ""])
def test_wrong_password_opens_nothing(scene: Scene, song: Browser, login: str) -> None:
    del song
    browser = scene.browser()

    answer = browser.post("/hq/login", data={"login": login, "password": "wrong"})

    assert answer.status_code == 401
    assert not browser.cookies


def test_password_is_refused_after_too_many_tries_even_when_right(
    scene: Scene, song: Browser
) -> None:
    del song
    tries = [_try(scene.browser(), "wrong") for _ in range(TRIES_PER_LOGIN)]

    assert tries == [401] * TRIES_PER_LOGIN
    assert _try(scene.browser(), PASSWORD) == 429


def test_right_password_ends_the_count_of_wrong_ones(scene: Scene, song: Browser) -> None:
    del song
    for _ in range(TRIES_PER_LOGIN - 1):
        _try(scene.browser(), "wrong")
    _try(scene.browser(), PASSWORD)

    assert _try(scene.browser(), "wrong") == 401


def test_log_out_closes_the_session(song: Browser) -> None:
    song.post("/hq/logout")

    assert song.get("/hq").status_code == 303


def test_copied_cookie_and_the_way_back_open_nothing_after_the_log_out(
    scene: Scene, song: Browser
) -> None:
    copied = scene.browser()
    copied.cookies.update(song.cookies)
    was_in = copied.get("/hq").status_code

    out = song.post("/hq/logout")

    assert out.headers["clear-site-data"] == '"cache"'
    assert (was_in, copied.get("/hq").status_code) == (200, 303)
    assert _try(scene.browser(), PASSWORD) == 303


@pytest.mark.parametrize("origin", ["https://evil.test", "null", "http://shop.test:9000"])
def test_post_from_another_site_is_refused(song: Browser, origin: str) -> None:
    answer = song.post("/hq/campaigns/new", data={}, headers={"Origin": origin})

    assert answer.status_code == 403


@pytest.mark.parametrize("headers", [{}, {"Origin": "http://shop.test:8000"}])
def test_post_from_our_own_page_is_taken(song: Browser, headers: dict[str, str]) -> None:
    answer = song.post("/hq/campaigns/new", data={}, headers=headers)

    assert answer.status_code == 200


def test_password_is_kept_as_a_hash_of_its_own_salt(scene: Scene) -> None:
    with scene.database.transaction() as session:
        one = add_operator(session, "one", "一", PASSWORD).password_hash
        other = add_operator(session, "other", "二", PASSWORD).password_hash

    assert PASSWORD not in one
    assert one != other


def test_operator_gets_a_new_password_when_added_again(scene: Scene) -> None:
    with scene.database.transaction() as session:
        first = add_operator(session, LOGIN, "宋", PASSWORD)
        again = add_operator(session, LOGIN, "宋知远", "another-one")

        assert again.id == first.id
        assert check_password(session, LOGIN, PASSWORD) is None
        assert check_password(session, LOGIN, "another-one") == again


def test_short_password_is_refused(scene: Scene) -> None:
    with scene.database.transaction() as session, pytest.raises(WeakPassword):
        add_operator(session, LOGIN, "宋", "1234567")


def test_session_cookie_stays_at_its_door(scene: Scene, song: Browser) -> None:
    del song
    browser = scene.browser()

    answer = browser.post("/hq/login", data={"login": LOGIN, "password": PASSWORD})

    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"zhiyin_{Door.CONSOLE}=")
    assert {"HttpOnly", "Path=/hq", "SameSite=lax"} <= set(cookie.split("; "))
