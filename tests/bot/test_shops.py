"""Shops in the chat: the own one, the nearest to a place, those of a city, and their hours."""

from typing import Any

import pytest

from store.members import Member
from store.organisation import Shop
from tests.bot.builders import a_push, text_xml
from tests.bot.conftest import Phone


def _shop(li: Phone, code: str, **facts: Any) -> int:
    with li.desk.database.transaction() as session:
        shop = Shop(brand_id=1, code=code, **{"name": f"{code}店"} | facts)
        session.add(shop)
        session.flush()
        return shop.id


@pytest.fixture
def town(li: Phone) -> Phone:
    """Li, in a city with four shops."""
    li.say("你好")
    for code, latitude in (("北", 30.35), ("中", 30.28), ("南", 30.20), ("远", 31.20)):
        city = "上海" if code == "远" else "杭州"
        _shop(li, code, city=city, address=f"{code}路 1 号", latitude=latitude, longitude=120.15)
    return li


def _at(li: Phone, latitude: str, longitude: str, label: str = "") -> str:
    place = f"<Location_X>{latitude}</Location_X><Location_Y>{longitude}</Location_Y>"
    place += f"<Label>{label}</Label>"
    xml = text_xml("x").replace("[text]", "[location]").replace("<Content>", f"{place}<Content>")
    return li.receive(a_push(xml, now=li.now))


def test_place_that_was_sent_gives_the_three_nearest(town: Phone) -> None:
    reply = _at(town, "30.27", "120.15")

    assert reply.startswith("离您最近的门店")
    assert [reply.index(name) for name in ("中店", "南店", "北店")] == sorted(
        reply.index(name) for name in ("中店", "南店", "北店")
    )
    assert "远店" not in reply
    assert "（1.1 公里）" in reply
    assert "营业中，22:00 打烊" in reply


def test_name_of_a_city_gives_its_shops(town: Phone) -> None:
    town.say("门店")

    reply = town.say("上海")

    assert reply.startswith("上海的门店")
    assert "远店" in reply
    assert "中店" not in reply


def test_unknown_place_is_asked_for_again_with_the_cities(town: Phone) -> None:
    town.say("门店")

    reply = town.say("拉萨")

    assert "没有找到“拉萨”的门店" in reply
    assert "杭州、上海" in reply
    assert town.say("杭州").startswith("杭州的门店")


def test_own_shop_is_named_first_with_its_hours(town: Phone) -> None:
    shop_id = _shop(town, "家")
    with town.desk.database.transaction() as session:
        session.get_one(Member, town.member_id).shop_id = shop_id

    reply = town.say("营业时间")

    assert reply.startswith("您常去的门店")
    assert "家店" in reply
    assert "把位置发给我" in reply


def test_another_wish_goes_through_while_a_place_is_asked_for(town: Phone) -> None:
    town.say("门店")

    assert "您现在有 0 积分" in town.say("积分")


def test_question_in_own_words_is_answered_while_a_place_is_asked_for(town: Phone) -> None:
    town.say("门店")

    assert town.say("我要退货怎么办").startswith("还没有您的订单")
    assert town.say("上海").startswith("上海的门店")


def test_brand_without_places_is_no_dead_end(li: Phone) -> None:
    assert "全部门店：https://x.example/m/shops" in _at(li, "30.27", "120.15")


@pytest.fixture
def unmapped(li: Phone) -> Phone:
    """Li, with a brand that has told in which cities its shops are and no more."""
    li.say("你好")
    _shop(li, "中", city="杭州")
    return li


def test_place_is_not_asked_for_where_no_shop_is_on_a_map(unmapped: Phone) -> None:
    asked = unmapped.say("门店")
    answer = _at(unmapped, "36.65", "117.12", "济南市历下区")

    assert asked.startswith("回复城市或区名")
    assert answer.startswith("回复城市或区名")
    assert unmapped.say("杭州").startswith("杭州的门店")


def test_name_of_a_place_that_was_sent_counts_where_no_shop_is_on_a_map(unmapped: Phone) -> None:
    reply = _at(unmapped, "30.27", "120.15", "杭州市上城区延安路 258 号")

    assert reply.startswith("杭州的门店")
    assert "中店" in reply


def test_own_shop_asks_for_no_place_where_none_is_on_a_map(unmapped: Phone) -> None:
    shop_id = _shop(unmapped, "家")
    with unmapped.desk.database.transaction() as session:
        session.get_one(Member, unmapped.member_id).shop_id = shop_id

    reply = unmapped.say("营业时间")

    assert "想找别的店，回复城市、区名。" in reply
