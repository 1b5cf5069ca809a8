"""The own data: shown, taken away, erased; only to and by the person."""

import io
import json
import re
import zipfile
from concurrent.futures import ThreadPoolExecutor

from sqlmodel import col, select

from store.audit import AuditEntry
from store.members import Member, MemberStatus
from tests.web.member.binding import member_of
from tests.web.scene import Scene, a_coupon, a_member, an_identity, an_order


def acts(scene: Scene) -> list[str]:
    with scene.database.transaction() as session:
        return list(session.exec(select(AuditEntry.act).order_by(col(AuditEntry.id))))


def test_member_sees_everything_as_a_page(scene: Scene) -> None:
    member = a_member(scene)
    an_order(scene, member)
    phone = scene.phone(an_identity(scene, member))

    page = phone.get("/m/privacy/data")

    assert page.status_code == 200
    assert page.headers["cache-control"] == "no-store"
    assert str(member.mobile) in page.text
    assert "商品" in page.text
    assert acts(scene) == ["looked at the own data"]


def test_page_shows_the_newest_rows_and_says_that_the_download_holds_all(scene: Scene) -> None:
    member = a_member(scene)
    codes = [f"COUPON{number:05}" for number in range(52)]
    for code in codes:
        a_coupon(scene, member, code=code)
    phone = scene.phone(an_identity(scene, member))

    page = phone.get("/m/privacy/data").text
    packed = io.BytesIO(phone.get("/m/privacy/download").content)

    assert re.findall(r"COUPON\d+", page) == codes[:1:-1]
    assert "最近 50 条，全部在下载里" in page
    with zipfile.ZipFile(packed) as archive:
        html = archive.read("data.html").decode()
    assert re.findall(r"COUPON\d+", html) == codes
    assert "一共" not in html


def test_amounts_are_read_in_yuan_and_kept_in_fen(scene: Scene) -> None:
    member = a_member(scene)
    an_order(scene, member, amount_fen=216_300)
    phone = scene.phone(an_identity(scene, member))

    page = phone.get("/m/privacy/data").text
    packed = io.BytesIO(phone.get("/m/privacy/download").content)

    assert "<dt>金额</dt><dd>¥2,163.00</dd>" in page
    assert "<dt>已退</dt><dd>¥0.00</dd>" in page
    with zipfile.ZipFile(packed) as archive:
        assert json.loads(archive.read("data.json"))["orders"][0]["amount_fen"] == 216_300


def test_download_holds_the_own_rows_and_nobody_elses(scene: Scene) -> None:
    member, zhao = a_member(scene, "李雨桐"), a_member(scene, "赵磊")
    a_coupon(scene, member, code="MINE2MINE2MI")
    a_coupon(scene, zhao, code="ZHAO2ZHAO2ZH")

    answer = scene.phone(an_identity(scene, member)).get("/m/privacy/download")

    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        found, html = json.loads(archive.read("data.json")), archive.read("data.html").decode()
    assert [one["code"] for one in found["coupons"]] == ["MINE2MINE2MI"]
    assert found["members"][0]["mobile"] == member.mobile
    for words in (json.dumps(found, ensure_ascii=False), html):
        assert "MINE2MINE2MI" in words
        assert "ZHAO2ZHAO2ZH" not in words
        assert str(zhao.mobile) not in words
    assert acts(scene) == ["downloaded the own data"]


def test_pages_of_the_own_data_need_a_log_in(scene: Scene) -> None:
    paths = ["/m/privacy", "/m/privacy/data", "/m/privacy/download", "/m/privacy/erase"]

    answers = [scene.browser().get(path) for path in paths]

    assert {one.status_code for one in answers} == {303}
    assert acts(scene) == []


def test_member_is_erased_only_after_saying_it_twice(scene: Scene) -> None:
    member = a_member(scene)
    identity = an_identity(scene, member)
    phone = scene.phone(identity)

    asked = phone.get("/m/privacy/erase")
    unsure = phone.post("/m/privacy/erase", data={})
    before = member_of(scene, identity).status
    gone = phone.post("/m/privacy/erase", data={"sure": "yes"})

    assert (asked.status_code, unsure.status_code, gone.status_code) == (200, 422, 200)
    assert before is MemberStatus.ACTIVE
    assert "已经注销" in gone.text
    with scene.database.transaction() as session:
        assert session.get_one(Member, member.id).status is MemberStatus.ERASED
    assert phone.get("/m/privacy").status_code == 410
    assert acts(scene) == ["erased"]


def test_page_that_was_left_open_does_not_make_who_was_erased_known_again(scene: Scene) -> None:
    phone = scene.phone(an_identity(scene, a_member(scene)))
    phone.post("/m/privacy/erase", data={"sure": "yes"})

    again = phone.post("/m/privacy/erase", data={"sure": "yes"})
    card = phone.get("/m/card")

    assert (again.status_code, card.status_code) == (410, 410)
    assert "这里没有您的资料了" in card.text
    assert "refresh" not in card.text
    back = phone.post("/m/again")
    assert back.headers["location"] == "/m/card"
    assert phone.follow(back).headers["location"].startswith(scene.parts.settings.oauth_url)


def test_erasure_that_is_sent_twice_at_once_is_told_as_done(scene: Scene) -> None:
    phone, form = scene.phone(an_identity(scene, a_member(scene))), {"sure": "yes"}
    phone.get("/m/privacy/erase")

    with ThreadPoolExecutor(2) as pool:
        posts = [pool.submit(phone.post, "/m/privacy/erase", data=form) for _ in range(2)]
        answers = [one.result() for one in posts]

    assert sorted(one.status_code for one in answers) == [200, 410]
    assert acts(scene) == ["erased"]
