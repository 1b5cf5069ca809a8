"""Shops, guides and coupon plans: one row each, updated by their codes."""

from collections.abc import Iterator
from datetime import time

import pytest

from store.errors import NotFound
from store.imports.run import ImportFailed, Options
from tests.store.imports.bringing import Bring, Look

_SHOPS = "code,name,city,region,address,opens_at,closes_at\n"
_GUIDES = "userid,name,shop_code,role\n"
_PLANS = "code,name,kind,value,min_spend,valid_days,stock,per_member_limit\n"


def test_shop_lands_in_its_region_with_its_hours(bring: Bring, look: Look) -> None:
    bring("shops", _SHOPS + "S1,一店,杭州,华东,中山路1号,9:30,22:00\nS2,二店,,华东,,,\n")

    found = (
        "SELECT s.code, r.name, opens_at, closes_at FROM shops s JOIN regions r ON r.id = region_id"
    )
    assert look(found + " ORDER BY 1") == [
        ("S1", "华东", time(9, 30), time(22)),
        ("S2", "华东", time(10), time(22)),
    ]


def test_empty_cell_leaves_what_is_recorded(bring: Bring, look: Look) -> None:
    bring("shops", _SHOPS + "S1,一店,杭州,华东,中山路1号,9:30,22:00\n")

    report = bring("shops", _SHOPS + "S1,新一店,,,,,\n")

    assert report.updated == 1
    assert look("SELECT name, city, opens_at FROM shops") == [("新一店", "杭州", time(9, 30))]


def test_same_shops_again_are_unchanged(bring: Bring) -> None:
    bring("shops", _SHOPS + "S1,一店,,,,,\n")

    assert bring("shops", _SHOPS + "S1,一店,,,,,\n").unchanged == 1


def test_guide_of_an_unknown_shop_or_role_is_refused(bring: Bring) -> None:
    bring("shops", _SHOPS + "S1,一店,,,,,\n")

    report = bring("guides", _GUIDES + "wang,王姐,S1,MANAGER\na,甲,S2,\nb,乙,S1,boss\n")

    assert report.added == 1
    assert report.complaints == (
        'Row 3: shop_code "S2" is not a known shop; import the shops first.',
        'Row 4: role "boss" is not one of guide, manager, region, hq.',
    )


def test_guide_moves_shop_but_stays_left_after_leaving(bring: Bring, look: Look) -> None:
    bring("shops", _SHOPS + "S1,一店,,,,,\nS2,二店,,,,,\n")
    bring("guides", _GUIDES + "wang,王姐,S1,\n")
    look("UPDATE guides SET status = 'left' RETURNING id")

    bring("guides", _GUIDES + "wang,王姐,S2,\n")

    found = "SELECT s.code, g.status FROM guides g JOIN shops s ON s.id = g.shop_id"
    assert look(found) == [("S2", "left")]


def test_coupon_plans_are_read_in_yuan_and_percent(bring: Bring, look: Look) -> None:
    bring(
        "coupons",
        _PLANS
        + "A,减15,amount_off,15,99,14,100,2\nB,88折,percent_off,12,,,,\nC,咖啡,exchange,,,,,\n",
    )

    assert look(
        "SELECT code, value, min_spend_fen, valid_days, stock FROM coupon_plans ORDER BY code"
    ) == [("A", 1500, 9900, 14, 100), ("B", 12, 0, 30, None), ("C", 0, 0, 30, None)]


def test_coupon_plans_that_make_no_sense_are_refused(bring: Bring) -> None:
    report = bring(
        "coupons",
        _PLANS + "A,x,amount_off,0,,,,\nB,x,percent_off,120,,,,\nC,x,exchange,,,0,,\n",
    )

    assert report.complaints == (
        "Row 2: value must be more than 0 yuan for amount_off.",
        "Row 3: value must be a whole percent from 1 to 99 for percent_off.",
        "Row 4: valid_days must be from 1 to 99999.",
    )


def test_stock_below_what_is_issued_is_refused(bring: Bring, look: Look) -> None:
    bring("coupons", _PLANS + "A,减15,amount_off,15,,,100,\n")
    look("UPDATE coupon_plans SET issued = 7 RETURNING id")

    report = bring("coupons", _PLANS + "A,减15,amount_off,15,,,5,\n")

    assert report.complaints == ("Row 2: stock 5 is less than the 7 already issued.",)


def test_first_import_makes_the_brand_and_a_second_brand_must_be_named(
    bring: Bring, look: Look
) -> None:
    bring("shops", _SHOPS + "S1,一店,,,,,\n", options=Options(brand="tea"))
    look("INSERT INTO brands (code, name, timezone) VALUES ('b', 'b', 'UTC') RETURNING id")

    with pytest.raises(NotFound, match="Name the brand with --brand; there are: tea, b"):
        bring("shops", _SHOPS + "S2,二店,,,,,\n")


@pytest.fixture
def grudge(look: Look) -> Iterator[None]:
    """A database that refuses one name."""
    look("ALTER TABLE shops ADD CONSTRAINT ck_grudge CHECK (name <> '13800138000')")
    yield
    look("ALTER TABLE shops DROP CONSTRAINT ck_grudge")


@pytest.mark.usefixtures("grudge")
def test_refusal_of_the_database_is_told_without_the_values_it_quotes(bring: Bring) -> None:
    with pytest.raises(ImportFailed) as refused:
        bring("shops", _SHOPS + "S1,13800138000,,,,,\n")

    assert "ck_grudge" in str(refused.value)
    assert "13800138000" not in str(refused.value)
