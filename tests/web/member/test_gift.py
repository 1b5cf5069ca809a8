"""The gift page: who sees what, and who gets the coupon."""

from datetime import timedelta

import pytest

from store import coupons, gifts
from store.coupons import Coupon, CouponPlan
from store.members import Identity, Member
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


def test_stranger_who_claims_logs_in_first_and_takes_nothing(
    scene: Scene, coupon: Coupon, token: str
) -> None:
    answer = scene.browser().post(f"/m/gift/{token}/claim")

    assert answer.status_code == 303
    assert "/oauth/connect/oauth2/authorize" in answer.headers["location"]
    assert scene.fresh(coupon).code == coupon.code


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
