"""The page of whom a guide could contact: reached from today, told in words, leading on."""

from store.members import Member
from store.relations import Ownership
from tests.queries import counted
from tests.web.scene import Scene, a_coupon, a_member, leave


def _with_a_coupon(scene: Scene, name: str, code: str) -> Member:
    member = a_member(scene, name)
    scene.add(Ownership(member_id=member.id, guide_id=scene.wang.id, since=scene.now))
    coupon = a_coupon(scene, member, code=code)
    with scene.database.transaction() as session:
        session.get_one(type(coupon), coupon.id).expires_at = scene.now.replace(day=2)
    return member


def test_today_leads_to_whom_one_could_contact_and_on_to_the_customer(scene: Scene) -> None:
    member = _with_a_coupon(scene, "李雨桐", "A1")
    browser = scene.guide()
    assert 'href="/guide/opportunities"' in browser.get("/guide").text

    page = browser.get("/guide/opportunities").text

    assert "「满50减10」明天到期" in page
    assert f'href="/guide/c/{member.card_no}"' in page
    assert str(member.mobile) not in page


def test_only_the_own_guide_is_told_and_only_while_in_post(scene: Scene) -> None:
    _with_a_coupon(scene, "李雨桐", "A1")
    browser = scene.guide()
    assert "李雨桐" in browser.get("/guide/opportunities").text
    assert "李雨桐" not in scene.guide(scene.sun).get("/guide/opportunities").text

    leave(scene, scene.wang)

    assert browser.get("/guide/opportunities").status_code == 303


def test_page_asks_as_many_queries_for_three_as_for_one(scene: Scene) -> None:
    _with_a_coupon(scene, "李雨桐", "A1")
    browser = scene.guide()
    with counted(scene.database.engine) as one:
        browser.get("/guide/opportunities")
    for number in (2, 3):
        _with_a_coupon(scene, "赵敏", f"A{number}")
    with counted(scene.database.engine) as three:
        page = browser.get("/guide/opportunities").text

    assert page.count("赵敏") == 2
    assert len(three) == len(one)
