"""Shops with their hours for everybody, and the own guide with the code to add."""

from datetime import time

from store import relations
from store.organisation import Guide, Shop
from tests.web.scene import Scene, a_member, an_identity


def _shops(scene: Scene, number: int) -> None:
    for place in range(number):
        scene.add(
            Shop(
                brand_id=scene.brand.id,
                code=f"more{place}",
                name=f"第{place}店",
                city="杭州",
                district="西湖区",
                address="文三路 1 号",
                phone="0571-88886666",
                latitude=30.27,
                longitude=120.13,
                opens_at=time(9),
                closes_at=time(14, 30),
            )
        )


def test_list_of_shops_is_open_to_everybody(scene: Scene) -> None:
    _shops(scene, 1)

    page = scene.browser().get("/m/shops").text

    for words in ("第0店", "快打烊了，14:30 关门（还有 30 分钟）", "tel:0571-88886666", "coord"):
        assert words in page


def test_list_can_be_of_one_city(scene: Scene) -> None:
    _shops(scene, 1)

    page = scene.browser().get("/m/shops?city=%E6%9D%AD%E5%B7%9E").text

    assert "第0店" in page
    assert "城西店" not in page


def test_guide_page_shows_the_code_that_a_long_press_reads(scene: Scene) -> None:
    li = a_member(scene)
    with scene.database.transaction() as session:
        session.get_one(Guide, scene.wang.id).contact_url = "https://work.weixin.qq.com/ca/abc"
        relations.own(session, li.id, scene.wang.id, now=scene.now)

    page = scene.phone(an_identity(scene, li)).get("/m/guide").text

    assert "王芳" in page
    assert "data:image/png;base64," in page
    assert "https://work.weixin.qq.com/ca/abc" in page


def test_guide_without_a_code_says_how_to_get_in_touch(scene: Scene) -> None:
    li = a_member(scene)
    with scene.database.transaction() as session:
        relations.own(session, li.id, scene.wang.id, now=scene.now)

    page = scene.phone(an_identity(scene, li)).get("/m/guide").text

    assert "出示企业微信二维码" in page
    assert "data:image" not in page


def test_member_without_a_guide_is_told_how_to_get_one(scene: Scene) -> None:
    page = scene.phone(an_identity(scene, a_member(scene))).get("/m/guide").text

    assert "您还没有专属顾问" in page
