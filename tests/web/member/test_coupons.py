"""The coupons of a member: lists, the code for the till, giving away and taking back."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from store import coupons, gifts, plan_shops
from store.coupons import Coupon, CouponPlan, CouponState
from store.members import Identity, Member
from tests.queries import counted
from tests.web.browser import Browser
from tests.web.scene import Scene, a_coupon, a_member, an_identity

CODES = ("AAAA22222222", "BBBB22222222", "CCCC22222222", "DDDD22222222")


@pytest.fixture
def li(scene: Scene) -> Member:
    """Whose coupons they are."""
    return a_member(scene, "李雨桐")


@pytest.fixture
def phone(scene: Scene, li: Member) -> Browser:
    """Li's phone."""
    return scene.phone(an_identity(scene, li))


@pytest.fixture
def zhao(scene: Scene) -> Identity:
    """A friend."""
    return an_identity(scene, a_member(scene, "赵敏"))


def names(page: str) -> list[str]:
    """The names on the tickets, from top to bottom."""
    return re.findall(r'class="about"><b>([^<]+)</b>', page)


def named(scene: Scene, li: Member, code: str, name: str) -> Coupon:
    coupon = a_coupon(scene, li, code=code)
    with scene.database.transaction() as session:
        session.get_one(CouponPlan, coupon.plan_id).name = name
    return coupon


def test_each_coupon_stands_under_the_tab_of_its_state(
    scene: Scene, li: Member, phone: Browser, zhao: Identity
) -> None:
    usable, waiting, given, used = (
        named(scene, li, code, name)
        for code, name in zip(CODES, ("可用券", "在途券", "送掉券", "用掉券"), strict=True)
    )
    past = named(scene, li, "EEEE22222222", "过期券")
    with scene.database.transaction() as session:
        gifts.offer(session, waiting.id, li.id, now=scene.now)
        token = gifts.offer(session, given.id, li.id, now=scene.now)[1]
        gifts.claim(session, token, zhao.member_id, now=scene.now)
        coupons.redeem(session, used.code, order_id=None, now=scene.now)
        session.get_one(Coupon, past.id).expires_at = scene.now

    shelves = {
        shelf: names(phone.get(f"/m/coupons?show={shelf}").text)
        for shelf in ("usable", "on_the_way", "used", "past")
    }

    assert shelves["usable"] == ["可用券"]
    assert shelves["on_the_way"] == ["在途券"]
    assert sorted(shelves["used"]) == ["用掉券", "送掉券"]
    assert shelves["past"] == ["过期券"]
    assert phone.get(f"/m/coupons/{usable.ref}").status_code == 200


def test_list_shows_no_code_and_asks_the_database_as_often_for_three_as_for_one(
    scene: Scene, li: Member, phone: Browser
) -> None:
    a_coupon(scene, li, code=CODES[0])
    with counted(scene.database.engine) as one:
        phone.get("/m/coupons")
    for code in CODES[1:3]:
        a_coupon(scene, li, code=code)
    with counted(scene.database.engine) as three:
        page = phone.get("/m/coupons").text

    assert len(names(page)) == 3
    assert not any(code in page for code in CODES)
    assert len(one) == len(three)


def test_coupon_shows_its_code_and_says_how_where_and_until_when(
    scene: Scene, li: Member, phone: Browser
) -> None:
    coupon = a_coupon(scene, li)

    page = phone.get(f"/m/coupons/{coupon.ref}").text

    assert coupon.code in page
    assert 'class="bars"' in page
    for words in (
        "一次买满 50 元，付款时减 10 元",
        "所有门店都能用",
        "2026-03-21 14:00",
        "送给朋友",
    ):
        assert words in page


def test_coupon_of_some_shops_names_them(scene: Scene, li: Member, phone: Browser) -> None:
    coupon = a_coupon(scene, li)
    with scene.database.transaction() as session:
        plan_shops.limit(session, coupon.plan_id, [scene.shop.id])

    assert "只在这家门店能用：城西店" in phone.get(f"/m/coupons/{coupon.ref}").text


def test_coupon_of_somebody_else_is_not_there(scene: Scene, li: Member, zhao: Identity) -> None:
    coupon = a_coupon(scene, li)

    for path in ("", "/give"):
        answer = scene.phone(zhao).get(f"/m/coupons/{coupon.ref}{path}")
        assert answer.status_code == 404
        assert coupon.code not in answer.text


def test_giving_asks_first_and_hands_out_the_link(
    scene: Scene, li: Member, phone: Browser, zhao: Identity
) -> None:
    coupon = a_coupon(scene, li)

    asked = phone.get(f"/m/coupons/{coupon.ref}/give").text
    before = scene.fresh(coupon).state
    given = phone.post(f"/m/coupons/{coupon.ref}/give")
    page = phone.follow(given).text

    assert "把这张券送给朋友？" in asked
    assert before is CouponState.AVAILABLE
    assert "这是您送出的券" in page
    friend = scene.phone(zhao)
    claimed = friend.post(given.headers["location"] + "/claim")
    assert "领到了" in friend.follow(claimed).text


def test_coupon_on_its_way_shows_no_code_and_comes_back(
    scene: Scene, li: Member, phone: Browser
) -> None:
    coupon = a_coupon(scene, li)
    phone.post(f"/m/coupons/{coupon.ref}/give")

    waiting = phone.get(f"/m/coupons/{coupon.ref}").text
    back = phone.follow(phone.post(f"/m/coupons/{coupon.ref}/take-back")).text

    assert "正在等朋友领" in waiting
    assert coupon.code not in waiting
    assert coupon.code in back
    assert scene.fresh(coupon).state is CouponState.AVAILABLE


def test_second_tap_on_give_says_what_is(scene: Scene, li: Member, phone: Browser) -> None:
    coupon = a_coupon(scene, li)
    phone.post(f"/m/coupons/{coupon.ref}/give")

    again = phone.post(f"/m/coupons/{coupon.ref}/give")

    assert again.status_code == 409
    assert "正在送给别人" in again.text
    assert "收回这张券" in again.text


def test_lapsed_gift_is_back_on_the_page_before_the_job_has_come(
    scene: Scene, li: Member, phone: Browser
) -> None:
    coupon = a_coupon(scene, li)
    with scene.database.transaction() as session:
        gifts.offer(session, coupon.id, li.id, now=scene.now - timedelta(hours=24))

    page = phone.get(f"/m/coupons/{coupon.ref}").text

    assert coupon.code in page


def test_coupon_that_may_not_travel_offers_no_giving(
    scene: Scene, li: Member, phone: Browser
) -> None:
    coupon = a_coupon(scene, li)
    with scene.database.transaction() as session:
        session.get_one(CouponPlan, coupon.plan_id).gift_hops = 0

    page = phone.get(f"/m/coupons/{coupon.ref}").text
    answer = phone.post(f"/m/coupons/{coupon.ref}/give")

    assert "送给朋友" not in page
    assert answer.status_code == 409
    assert "这张券不能再转赠了" in answer.text


def test_used_coupon_shows_that_it_is_used_and_no_code(
    scene: Scene, li: Member, phone: Browser
) -> None:
    coupon = a_coupon(scene, li)
    with scene.database.transaction() as session:
        coupons.redeem(session, coupon.code, order_id=None, now=scene.now)

    page = phone.get(f"/m/coupons/{coupon.ref}").text

    assert "这张券已经用掉了" in page
    assert coupon.code not in page


def test_tap_without_a_session_comes_back_to_a_page_that_only_asks(
    scene: Scene, li: Member
) -> None:
    coupon = a_coupon(scene, li)
    browser = scene.browser()

    for act in ("give", "take-back"):
        assert browser.post(f"/m/coupons/{coupon.ref}/{act}").status_code == 303
        assert browser.get(f"/m/coupons/{coupon.ref}/{act}").status_code == 303

    assert scene.fresh(coupon).state is CouponState.AVAILABLE


def test_form_that_is_sent_twice_leads_to_the_same_gift(
    scene: Scene, li: Member, phone: Browser, zhao: Identity
) -> None:
    coupon = a_coupon(scene, li)
    asked = phone.get(f"/m/coupons/{coupon.ref}/give").text
    found = re.search('name="token" value="([^"]+)"', asked)
    assert found
    path, form = f"/m/coupons/{coupon.ref}/give", {"token": found[1]}

    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(phone.post, path, data=form) for _ in range(2)]
        links = [one.result().headers["location"] for one in both]
    links.append(phone.post(path, data=form).headers["location"])

    assert links == [f"/m/gift/{found[1]}"] * 3
    assert "这是您送出的券" in phone.get(links[0]).text
    assert scene.phone(zhao).post(path, data=form).status_code == 404


def test_token_gives_one_coupon_only_also_when_two_are_sent_at_once(
    scene: Scene, li: Member, phone: Browser
) -> None:
    token = "a-token-for-two-coupons"
    paths = [f"/m/coupons/{a_coupon(scene, li, code=code).ref}/give" for code in ("ONE", "TWO")]

    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(phone.post, path, data={"token": token}) for path in paths]
        answers = [one.result() for one in both]

    assert [one.headers.get("location") for one in answers] == [f"/m/gift/{token}"] * 2
    assert phone.get("/m/coupons").text.count('class="ticket usable"') == 1


def test_coupon_that_a_friend_claimed_meanwhile_is_shown_as_claimed(
    scene: Scene, li: Member, phone: Browser, zhao: Identity
) -> None:
    coupon = a_coupon(scene, li)
    gift = phone.post(f"/m/coupons/{coupon.ref}/give").headers["location"]
    scene.phone(zhao).post(f"{gift}/claim")

    page = phone.follow(phone.post(f"/m/coupons/{coupon.ref}/take-back")).text

    assert "朋友领走了" in page
