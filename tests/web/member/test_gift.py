"""The gift page: who sees what, and who gets the coupon."""

from datetime import timedelta

import httpx
import pytest
from sqlmodel import col, select

from store import coupons, gifts
from store.coupons import Coupon, CouponPlan, CouponState
from store.grants import Trigger, open_window
from store.members import Identity, Member
from store.touches import Touch, TouchState
from tests.sandbox.builders import APPID, LI
from tests.web.browser import Browser
from tests.web.scene import Scene, a_coupon, a_member, an_identity


@pytest.fixture
def li(scene: Scene) -> Member:
    """Who gives."""
    return a_member(scene, "李雨桐")


@pytest.fixture
def coupon(scene: Scene, li: Member) -> Coupon:
    """What Li gives."""
    return a_coupon(scene, li)


@pytest.fixture
def token(scene: Scene, li: Member, coupon: Coupon) -> str:
    """The link to Li's gift, offered an hour ago."""
    with scene.database.transaction() as session:
        return gifts.offer(session, coupon.id, li.id, now=scene.now - timedelta(hours=1))[1]


@pytest.fixture
def zhao(scene: Scene) -> Identity:
    """A friend."""
    return an_identity(scene, a_member(scene, "赵敏"))


def test_stranger_sees_the_gift_and_only_the_first_character_of_the_giver(
    scene: Scene, li: Member, coupon: Coupon, token: str
) -> None:
    page = scene.browser().get(f"/m/gift/{token}").text

    assert "李＊ 送您一张券" in page
    assert "用微信领取" in page
    for secret in ("李雨桐", str(li.mobile), coupon.code):
        assert secret not in page


def _logged_in(browser: Browser, answer: httpx.Response) -> httpx.Response:
    """Through WeChat's log-in as Li of the sandbox, and on to where the way back leads."""
    there = httpx.get(answer.headers["location"], cookies={"sandbox_person": LI}, trust_env=False)
    return browser.follow(browser.follow(there))


def test_friend_who_has_to_log_in_claims_with_one_tap(
    scene: Scene, coupon: Coupon, token: str
) -> None:
    browser = scene.browser()
    browser.get(f"/m/gift/{token}")

    tapped = browser.post(f"/m/gift/{token}/claim")
    held = scene.fresh(coupon).code
    page = browser.follow(_logged_in(browser, tapped)).text

    assert "/oauth/connect/oauth2/authorize" in tapped.headers["location"]
    assert held == coupon.code
    assert "领到了" in page
    assert scene.fresh(coupon).code in page
    # Nobody needs a mobile or a follow to be given something.
    assert 'href="/m/bind"' in page


def test_looking_at_the_links_claims_nothing(
    scene: Scene, coupon: Coupon, token: str, zhao: Identity
) -> None:
    """Previews of links, and whoever reads them along the way, only ever read."""
    for browser in (scene.browser(), scene.phone(zhao)):
        for path in (f"/m/gift/{token}", f"/m/gift/{token}/claim", f"/m/gift/{token}/take-back"):
            assert browser.get(path).status_code in {200, 303}
            assert browser.get(path, headers={"Purpose": "prefetch"}).status_code in {200, 303}

    kept = scene.fresh(coupon)
    assert (kept.member_id, kept.code, kept.state) == (
        coupon.member_id,
        coupon.code,
        CouponState.GIFTING,
    )


def test_a_tap_goes_on_after_the_log_in_once_and_for_its_own_gift_only(
    scene: Scene, li: Member, token: str
) -> None:
    other = a_coupon(scene, li, code="OTHER2345678")
    with scene.database.transaction() as session:
        second = gifts.offer(session, other.id, li.id, now=scene.now)[1]
    browser = scene.browser()
    tapped = browser.post(f"/m/gift/{token}/claim")

    browser.get(f"/m/gift/{second}/claim")
    _logged_in(browser, tapped)
    browser.get(f"/m/gift/{second}/claim")

    assert scene.fresh(other).member_id == li.id
    assert not any(name.startswith("zhiyin_oauth") for name in browser.cookies)


def test_friend_gets_the_coupon_under_a_new_code(
    scene: Scene, coupon: Coupon, token: str, zhao: Identity
) -> None:
    phone = scene.phone(zhao)

    page = phone.follow(phone.post(f"/m/gift/{token}/claim")).text

    given = scene.fresh(coupon)
    assert given.member_id == zhao.member_id
    assert given.code != coupon.code
    assert "领到了" in page
    assert given.code in page
    assert "<svg" in page


def test_friend_who_claims_twice_keeps_one_coupon(
    scene: Scene, coupon: Coupon, token: str, zhao: Identity
) -> None:
    phone = scene.phone(zhao)
    phone.post(f"/m/gift/{token}/claim")
    first = scene.fresh(coupon).code

    page = phone.follow(phone.post(f"/m/gift/{token}/claim")).text

    assert first in page


def test_second_friend_is_told_that_it_is_gone_and_sees_no_code(
    scene: Scene, coupon: Coupon, token: str, zhao: Identity
) -> None:
    scene.phone(zhao).post(f"/m/gift/{token}/claim")
    late = scene.phone(an_identity(scene, a_member(scene, "周周")))

    page = late.follow(late.post(f"/m/gift/{token}/claim")).text

    assert "来晚了一步" in page
    assert scene.fresh(coupon).code not in page


def test_giver_sees_the_own_gift_and_cannot_claim_it(
    scene: Scene, li: Member, coupon: Coupon, token: str
) -> None:
    phone = scene.phone(an_identity(scene, li))

    page = phone.follow(phone.post(f"/m/gift/{token}/claim")).text

    assert "这是您送出的券" in page
    assert scene.fresh(coupon).member_id == li.id


def test_gift_that_was_taken_back_says_so(scene: Scene, li: Member, token: str) -> None:
    with scene.database.transaction() as session:
        gifts.cancel(session, gifts.by_token(session, token).id, li.id, now=scene.now)

    assert "这张券收回了" in scene.browser().get(f"/m/gift/{token}").text


def test_gift_past_its_time_says_so_before_any_job_has_come_by(
    scene: Scene, li: Member, coupon: Coupon
) -> None:
    with scene.database.transaction() as session:
        token = gifts.offer(session, coupon.id, li.id, now=scene.now - timedelta(hours=24))[1]

    assert "过了领取时间" in scene.browser().get(f"/m/gift/{token}").text


def test_coupon_that_was_used_is_no_longer_shown_as_usable(
    scene: Scene, coupon: Coupon, token: str, zhao: Identity
) -> None:
    phone = scene.phone(zhao)
    phone.post(f"/m/gift/{token}/claim")
    code = scene.fresh(coupon).code
    with scene.database.transaction() as session:
        coupons.redeem(session, code, order_id=None, now=scene.now)

    page = phone.get(f"/m/gift/{token}").text

    assert "这张券您领过了" in page
    assert code not in page


def test_friend_who_has_enough_of_this_coupon_is_told_so(
    scene: Scene, coupon: Coupon, token: str, zhao: Identity
) -> None:
    with scene.database.transaction() as session:
        session.get_one(CouponPlan, coupon.plan_id).per_member_limit = 1
        plan_id = coupon.plan_id
        coupons.issue(
            session, plan_id, zhao.member_id, reason="test", source_id="own", now=scene.now
        )

    answer = scene.phone(zhao).post(f"/m/gift/{token}/claim")

    assert answer.status_code == 409
    assert "这次领不了" in answer.text


def test_gift_of_an_unknown_token_is_not_there(scene: Scene) -> None:
    answer = scene.browser().get("/m/gift/unknown")

    assert answer.status_code == 404
    assert "没有找到这份礼物" in answer.text
    assert "这一步没有成功" not in answer.text


def test_giver_sees_who_claimed_by_the_first_character(
    scene: Scene, li: Member, token: str, zhao: Identity
) -> None:
    scene.phone(zhao).post(f"/m/gift/{token}/claim")

    page = scene.phone(an_identity(scene, li)).get(f"/m/gift/{token}").text

    assert "赵＊ 领走了" in page
    assert "赵敏" not in page
    assert "<svg" not in page


def test_giver_takes_the_gift_back_from_its_page(
    scene: Scene, li: Member, coupon: Coupon, token: str, zhao: Identity
) -> None:
    phone = scene.phone(an_identity(scene, li))

    page = phone.follow(phone.post(f"/m/gift/{token}/take-back")).text
    late = scene.phone(zhao)
    answer = late.follow(late.post(f"/m/gift/{token}/claim")).text

    assert "您收回了这张券" in page
    assert "这张券收回了" in answer
    assert scene.fresh(coupon).state is CouponState.AVAILABLE


def test_friend_cannot_take_the_gift_back(
    scene: Scene, coupon: Coupon, token: str, zhao: Identity
) -> None:
    scene.phone(zhao).post(f"/m/gift/{token}/take-back")

    assert scene.fresh(coupon).state is CouponState.GIFTING


def test_giver_who_wants_it_back_too_late_sees_that_it_is_gone(
    scene: Scene, li: Member, coupon: Coupon, token: str, zhao: Identity
) -> None:
    scene.phone(zhao).post(f"/m/gift/{token}/claim")
    phone = scene.phone(an_identity(scene, li))

    page = phone.follow(phone.post(f"/m/gift/{token}/take-back")).text

    assert "赵＊ 领走了" in page
    assert scene.fresh(coupon).member_id == zhao.member_id


def test_giver_is_told_of_the_claim_only_inside_the_window(
    scene: Scene, li: Member, token: str, zhao: Identity
) -> None:
    an_identity(scene, li)
    other = a_coupon(scene, li, code="OTHER2345678")
    with scene.database.transaction() as session:
        second = gifts.offer(session, other.id, li.id, now=scene.now)[1]
    scene.phone(zhao).post(f"/m/gift/{token}/claim")
    with scene.database.transaction() as session:
        open_window(session, li.id, Trigger.MESSAGE, account=APPID, source_id="1", now=scene.now)

    scene.phone(zhao).post(f"/m/gift/{second}/claim")
    scene.phone(zhao).post(f"/m/gift/{second}/claim")

    with scene.database.transaction() as session:
        told = session.exec(select(Touch).order_by(col(Touch.id))).all()
    assert [touch.state for touch in told] == [TouchState.WITHHELD, TouchState.RESERVED]
    assert told[1].text == "您送的“满50减10”，赵＊领走了。"
    assert {touch.member_id for touch in told} == {li.id}
