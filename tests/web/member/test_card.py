"""The member's card, and logging in with WeChat through the sandbox and the real client."""

import re
from datetime import timedelta

import httpx
from sqlmodel import select

from store import card_codes, points
from store.members import Identity, Member
from tests.queries import counted
from tests.sandbox.builders import LI
from tests.web.browser import Browser
from tests.web.scene import Scene, a_coupon, a_member, an_identity


def _through_wechat(browser: Browser, *, is_snapshot: bool = False) -> httpx.Response:
    """Li opens her card, WeChat says who she is, and she comes back."""
    there = browser.get("/m/card").headers["location"]
    cookies = {"sandbox_person": LI} | ({"sandbox_snapshot": "1"} if is_snapshot else {})
    return browser.follow(httpx.get(there, cookies=cookies, trust_env=False))


def _code_on(page: str) -> str:
    found = re.search("<figcaption>([0-9 ]+)</figcaption>", page)
    assert found
    return found[1].replace(" ", "")


def test_card_shows_points_the_ones_that_end_soon_and_how_many_coupons(scene: Scene) -> None:
    member = a_member(scene, "李雨桐")
    a_coupon(scene, member, code="K7M2PQ9RTX4A")
    with scene.database.transaction() as session:
        for number, days in enumerate((30, 300)):
            points.earn(
                session,
                member.id,
                600,
                reason="test",
                source_id=str(number),
                expires_at=scene.now + timedelta(days=days),
                now=scene.now,
            )

    page = scene.phone(an_identity(scene, member)).get("/m/card").text

    for words in ("李雨桐", "金卡", member.card_no, "1,200", "600 分将在", "<b>1</b>可用的券"):
        assert words in page
    for secret in (str(member.mobile), "K7M2PQ9RTX4A"):
        assert secret not in page


def test_card_shows_a_code_that_a_till_can_read_and_no_cache_keeps(scene: Scene) -> None:
    member = a_member(scene, "李雨桐")

    answer = scene.phone(an_identity(scene, member)).get("/m/card")

    code = _code_on(answer.text)
    assert card_codes.read(scene.parts.settings.secret, code, scene.now) == member.id
    assert answer.headers["cache-control"] == "no-store"
    assert 'http-equiv="refresh" content="60"' in answer.text
    assert 'class="bars"' in answer.text


def test_what_is_not_there_is_said_in_the_look_of_the_pages(scene: Scene) -> None:
    page = scene.phone(an_identity(scene, a_member(scene))).get("/m/coupons/none").text

    assert "没有找到这张券" in page
    assert "/static/member.css" in page
    assert 'href="/m/card"' in page


def test_card_is_looked_at_without_writing(scene: Scene) -> None:
    phone = scene.phone(an_identity(scene, a_member(scene)))

    with counted(scene.database.engine) as queries:
        phone.get("/m/card")

    assert not [query for query in queries if query.split()[0] in {"INSERT", "UPDATE", "DELETE"}]


def test_card_is_the_own_one_only(scene: Scene) -> None:
    zhao = a_member(scene, "赵敏")

    page = scene.phone(an_identity(scene, a_member(scene, "李雨桐"))).get("/m/card").text

    assert "赵敏" not in page
    assert card_codes.shown(scene.parts.settings.secret, zhao.id, scene.now) != _code_on(page)


def test_visitor_has_no_code_but_a_way_to_one(scene: Scene) -> None:
    visitor = Member(brand_id=scene.brand.id, created_at=scene.now)
    scene.add(visitor)

    page = scene.phone(an_identity(scene, visitor)).get("/m/card").text

    assert 'href="/m/bind"' in page
    assert "<figcaption>" not in page
    assert "refresh" not in page


def test_stranger_logs_in_with_wechat_and_becomes_a_visitor(scene: Scene) -> None:
    browser = scene.browser()

    answer = _through_wechat(browser)

    assert answer.headers["location"] == "/m/card"
    assert browser.follow(answer).status_code == 200
    with scene.database.transaction() as session:
        identity = session.exec(select(Identity).where(Identity.outside_id == LI)).one()
        assert session.get_one(Member, identity.member_id).mobile is None


def test_member_who_is_known_comes_back_to_the_own_card(scene: Scene) -> None:
    an_identity(scene, a_member(scene, "李雨桐"), LI)
    browser = scene.browser()

    page = browser.follow(_through_wechat(browser)).text

    assert "李雨桐" in page


def test_snapshot_makes_no_member_and_says_what_to_do(scene: Scene) -> None:
    browser = scene.browser()

    answer = _through_wechat(browser, is_snapshot=True)

    assert "使用完整服务" in answer.text
    assert browser.get("/m/card").status_code == 303
    with scene.database.transaction() as session:
        assert session.exec(select(Identity)).all() == []


def test_pages_that_are_opened_at_once_all_come_back_from_the_log_in(scene: Scene) -> None:
    browser = scene.browser()
    places = ["/m/card", "/m/coupons"]

    ways = [browser.get(place).headers["location"] for place in places]
    backs = [httpx.get(way, cookies={"sandbox_person": LI}, trust_env=False) for way in ways]

    assert [browser.follow(back).headers["location"] for back in backs] == places


def test_ways_that_nobody_comes_back_from_do_not_pile_up(scene: Scene) -> None:
    browser = scene.browser()

    for _ in range(9):
        browser.get("/m/card")

    assert len(browser.cookies) == 5
    assert _through_wechat(browser).headers["location"] == "/m/card"


def test_way_back_that_is_loaded_twice_leads_to_the_page(scene: Scene) -> None:
    browser = scene.browser()
    there = browser.get("/m/card").headers["location"]
    back = httpx.get(there, cookies={"sandbox_person": LI}, trust_env=False)

    answers = [browser.follow(back), browser.follow(back)]

    assert [one.headers.get("location") for one in answers] == ["/m/card"] * 2


def test_way_back_that_was_not_begun_here_is_refused(scene: Scene) -> None:
    answer = scene.browser().get("/m/login/back?code=stolen&state=0")

    assert answer.status_code == 403
    assert "登录没有成功" in answer.text


def test_way_back_with_a_state_of_other_letters_is_refused(scene: Scene) -> None:
    browser = scene.browser()
    browser.get("/m/card")

    answer = browser.get("/m/login/back?code=stolen&state=%E7%8A%B6")

    assert answer.status_code == 403


def test_session_of_the_workbench_does_not_open_member_pages(scene: Scene) -> None:
    assert scene.guide().get("/m/card").status_code == 303
