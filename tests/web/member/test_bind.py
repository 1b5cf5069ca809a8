"""The page where a visitor proves a mobile and becomes a member."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest
from sqlmodel import select

from content import terms
from store import binding, coupons, points
from store.binding import Binding
from store.codes import SmsCode
from store.consents import Consent
from store.coupons import CouponKind, CouponPlan
from store.db import Database
from store.members import Member
from tests.sandbox.builders import LI
from tests.web.member.binding import (
    a_number,
    a_stranger,
    bind,
    code_on,
    member_of,
    with_sms,
)
from tests.web.scene import Scene, a_member, an_identity


@pytest.fixture
def shop(scene: Scene, sandbox_url: str) -> Scene:
    return with_sms(scene, sandbox_url)


def an_offer(scene: Scene) -> None:
    plan = CouponPlan(code="welcome", name="新客十元券", kind=CouponKind.AMOUNT_OFF, value=1000)
    scene.add(plan)
    with scene.database.transaction() as session:
        binding.offer(session, scene.brand.id, coupon_plan_id=plan.id, points=100)


def count_of(database: Database, table: type[SmsCode] | type[Binding] | type[Consent]) -> int:
    with database.transaction() as session:
        return len(session.exec(select(table)).all())


def test_visitor_becomes_a_member_by_a_code_and_gets_the_joining_gift(
    shop: Scene, sandbox_url: str
) -> None:
    an_offer(shop)
    li, mobile = a_stranger(shop), a_number()
    phone = shop.phone(li)

    answer = phone.follow(bind(phone, sandbox_url, mobile))

    member = member_of(shop, li)
    assert (member.mobile, member.joined_at) == (mobile, shop.now)
    assert "「新客十元券」一张和 100 积分" in answer.text
    with shop.database.transaction() as session:
        assert points.balance(session, member.id) == 100
        assert len(coupons.usable(session, member.id, shop.now)) == 1
        assert session.exec(select(Binding.text_version)).one() == terms.version()


def test_person_is_known_again_by_the_mobile_and_keeps_the_card(
    shop: Scene, sandbox_url: str
) -> None:
    an_offer(shop)
    old = a_member(shop)
    assert old.mobile is not None
    li = a_stranger(shop)
    phone = shop.phone(li)

    answer = phone.follow(bind(phone, sandbox_url, old.mobile))

    assert member_of(shop, li).id == old.id
    assert "您已经是会员" in answer.text
    assert "新客十元券" not in answer.text


def test_form_that_is_sent_twice_binds_once_and_says_so_both_times(
    shop: Scene, sandbox_url: str
) -> None:
    li, mobile = a_stranger(shop), a_number()
    phone = shop.phone(li)
    phone.post("/m/bind/code", data={"mobile": mobile})
    form = {"mobile": mobile, "code": code_on(sandbox_url, mobile)}

    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(phone.post, "/m/bind", data=form) for _ in range(2)]
        answers = [one.result() for one in both]

    assert [one.headers.get("location") for one in answers] == ["/m/bind"] * 2
    assert member_of(shop, li).mobile == mobile
    stranger = shop.phone(a_stranger(shop)).post("/m/bind", data=form)
    assert stranger.status_code == 422


def test_page_answers_the_same_for_a_members_mobile_and_a_free_one(
    shop: Scene, sandbox_url: str
) -> None:
    old, free = a_member(shop), a_number()
    assert old.mobile is not None

    pages = [
        shop.phone(a_stranger(shop)).post("/m/bind/code", data={"mobile": mobile})
        for mobile in (old.mobile, free)
    ]

    assert [one.status_code for one in pages] == [200, 200]
    assert pages[0].text.replace(old.mobile, "") == pages[1].text.replace(free, "")
    assert len(code_on(sandbox_url, old.mobile)) == len(code_on(sandbox_url, free))


def test_wrong_codes_are_counted_and_then_the_right_one_is_too_late(
    shop: Scene, sandbox_url: str
) -> None:
    li, mobile = a_stranger(shop), a_number()
    phone = shop.phone(li)
    phone.post("/m/bind/code", data={"mobile": mobile})
    code = code_on(sandbox_url, mobile)
    wrong = f"{(int(code) + 1) % 10**6:06}"

    tries = [phone.post("/m/bind", data={"mobile": mobile, "code": wrong}) for _ in range(5)]
    late = phone.post("/m/bind", data={"mobile": mobile, "code": code})

    assert {one.status_code for one in [*tries, late]} == {422}
    assert "验证码不对，或者已经过期了" in late.text
    assert member_of(shop, li).mobile is None


def test_code_of_somebody_else_or_for_another_mobile_does_not_bind(
    shop: Scene, sandbox_url: str
) -> None:
    li, zhao, mobile, other = a_stranger(shop), a_stranger(shop), a_number(), a_number()
    shop.phone(li).post("/m/bind/code", data={"mobile": mobile})
    code = code_on(sandbox_url, mobile)

    stolen = shop.phone(zhao).post("/m/bind", data={"mobile": mobile, "code": code})
    swapped = shop.phone(li).post("/m/bind", data={"mobile": other, "code": code})

    assert (stolen.status_code, swapped.status_code) == (422, 422)
    assert (member_of(shop, li).mobile, member_of(shop, zhao).mobile) == (None, None)


def test_second_code_within_a_minute_is_refused_and_the_first_still_works(
    shop: Scene, sandbox_url: str
) -> None:
    li, mobile = a_stranger(shop), a_number()
    phone = shop.phone(li)
    phone.post("/m/bind/code", data={"mobile": mobile})

    again = phone.post("/m/bind/code", data={"mobile": mobile})
    bound = phone.post("/m/bind", data={"mobile": mobile, "code": code_on(sandbox_url, mobile)})

    assert "秒后可以重新获取" in again.text
    assert bound.status_code == 303
    found = httpx.get(f"{sandbox_url}/sandbox/sms", params={"to": mobile}).json()["messages"]
    assert len(found) == 1


def test_code_that_was_surely_not_sent_costs_no_minute(shop: Scene, sandbox_url: str) -> None:
    phone, mobile = shop.phone(a_stranger(shop)), a_number()
    wrong = {"server": "sms", "how": "error"}
    httpx.post(f"{sandbox_url}/sandbox/misbehave", json=wrong).raise_for_status()

    failed = phone.post("/m/bind/code", data={"mobile": mobile})
    sent = phone.post("/m/bind/code", data={"mobile": mobile})

    assert (failed.status_code, sent.status_code) == (422, 200)
    assert "短信没有发出去" in failed.text


def test_code_that_may_have_arrived_counts(shop: Scene, sandbox_url: str) -> None:
    li, mobile = a_stranger(shop), a_number()
    phone = shop.phone(li)
    wrong = {"server": "sms", "how": "drop"}
    httpx.post(f"{sandbox_url}/sandbox/misbehave", json=wrong).raise_for_status()

    asked = phone.post("/m/bind/code", data={"mobile": mobile})
    bound = phone.post("/m/bind", data={"mobile": mobile, "code": code_on(sandbox_url, mobile)})

    assert (asked.status_code, bound.status_code) == (200, 303)


def test_without_a_provider_the_page_says_so_and_keeps_nothing(scene: Scene) -> None:
    phone = scene.phone(a_stranger(scene))

    answer = phone.post("/m/bind/code", data={"mobile": a_number()})

    assert answer.status_code == 422
    assert count_of(scene.database, SmsCode) == 0


@pytest.mark.parametrize("typed", ["138 0013 8000", "+86 13800138000", "\uff11\uff13800138000"])
def test_mobile_may_be_typed_as_people_do(shop: Scene, typed: str) -> None:
    answer = shop.phone(a_stranger(shop)).post("/m/bind/code", data={"mobile": typed})

    assert (answer.status_code, 'value="13800138000"' in answer.text) == (200, True)


@pytest.mark.parametrize("typed", ["", "12345", "23800138000", "1380013800x", "<b>"])
def test_what_is_no_mobile_is_refused(shop: Scene, typed: str) -> None:
    answer = shop.phone(a_stranger(shop)).post("/m/bind/code", data={"mobile": typed})

    assert answer.status_code == 422
    assert count_of(shop.database, SmsCode) == 0


def test_consent_is_written_down_only_when_it_was_ticked(shop: Scene, sandbox_url: str) -> None:
    silent, willing = shop.phone(a_stranger(shop)), shop.phone(a_stranger(shop))

    bind(silent, sandbox_url, a_number())
    before = count_of(shop.database, Consent)
    bind(willing, sandbox_url, a_number(), consent="yes")

    assert (before, count_of(shop.database, Consent)) == (0, 4)


def test_member_changes_to_a_free_mobile_but_not_to_anothers(shop: Scene, sandbox_url: str) -> None:
    member, zhao = a_member(shop), a_member(shop)
    assert zhao.mobile is not None
    li, mobile = an_identity(shop, member), a_number()
    phone = shop.phone(li)

    refused = bind(phone, sandbox_url, zhao.mobile)
    later = replace(shop, parts=replace(shop.parts, clock=lambda: shop.now + timedelta(minutes=2)))
    moved = bind(later.phone(li), sandbox_url, mobile)

    assert "已经属于另一位会员" in refused.text
    assert moved.status_code == 303
    assert member_of(shop, li).mobile == mobile


def test_code_and_mobile_are_not_readable_in_the_record(shop: Scene, sandbox_url: str) -> None:
    mobile = a_number()
    shop.phone(a_stranger(shop)).post("/m/bind/code", data={"mobile": mobile})

    with shop.database.transaction() as session:
        row = session.exec(select(SmsCode)).one().model_dump_json()

    assert mobile not in row
    assert code_on(sandbox_url, mobile) not in row


def test_stranger_has_to_log_in_before_anything(shop: Scene) -> None:
    nobody = shop.browser()

    asked = [nobody.get("/m/bind"), nobody.post("/m/bind/code", data={"mobile": a_number()})]

    assert {one.status_code for one in asked} == {303}
    assert all("connect/oauth2/authorize" in one.headers["location"] for one in asked)


def test_snapshot_page_makes_no_visitor(shop: Scene) -> None:
    browser = shop.browser()
    there = browser.get("/m/bind").headers["location"]
    cookies = {"sandbox_person": LI, "sandbox_snapshot": "1"}
    with httpx.Client(cookies=cookies) as sandbox:
        back = sandbox.get(there).headers["location"]

    page = browser.get(back.removeprefix("http://shop.test:8000"))

    assert "网页快照" in page.text
    with shop.database.transaction() as session:
        assert session.exec(select(Member)).all() == []


def test_other_sites_cannot_post_the_forms(shop: Scene) -> None:
    phone = shop.phone(a_stranger(shop))

    answer = phone.post(
        "/m/bind/code", data={"mobile": a_number()}, headers={"Origin": "https://evil.example"}
    )

    assert answer.status_code == 403
    assert count_of(shop.database, SmsCode) == 0
