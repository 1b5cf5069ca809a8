"""The real purchases as the demo brand: the same every time, whole, and unable to reach anybody."""

import csv
import re
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from sandbox import catalogue, journey, load, made_up, stage
from store.db import Database
from store.settings import Settings
from tests.times import at

_NOW = at("2026-03-01 14:00")
_HAN = re.compile(r"[\u4e00-\u9fff]")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The CSV files of a slice of thirty members."""
    folder = tmp_path_factory.mktemp("journey")
    journey.write_csvs(folder, members=30, now=_NOW)
    return folder


def rows(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / f"{name}.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_slice_holds_its_members_and_all_that_their_orders_name(files: Path) -> None:
    members, orders = rows(files, "members"), rows(files, "orders")

    assert len(members) == 30
    assert {line["member_id"] for line in orders} == {one["external_id"] for one in members}
    assert {line["product_id"] for line in orders} == {
        one["external_id"] for one in rows(files, "products")
    }
    shops = {one["code"] for one in rows(files, "shops")}
    assert {line["shop_code"] for line in orders} | {m["shop_code"] for m in members} <= shops
    guides = {one["userid"] for one in rows(files, "guides")}
    assert {one["guide_userid"] for one in members} - {""} <= guides


def test_last_order_was_yesterday_and_none_is_older_than_a_year(files: Path) -> None:
    days = sorted(line["paid_at"][:10] for line in rows(files, "orders"))

    assert days[-1] == "2026-02-28"
    assert days[0] >= "2025-02-28"


def test_same_day_gives_the_same_files(files: Path, tmp_path: Path) -> None:
    journey.write_csvs(tmp_path, members=30, now=_NOW + timedelta(hours=3))

    for path in files.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


def test_members_carry_numbers_that_can_ring_nowhere(files: Path) -> None:
    mobiles = [one["mobile"] for one in rows(files, "members")]

    assert all(re.fullmatch(r"100\d{8}", mobile) for mobile in mobiles)
    assert len({made_up.mobile(household) for household in range(1, 2501)}) == 2500


def test_every_shop_product_and_person_has_a_chinese_name(files: Path) -> None:
    for name in ("shops", "guides", "members", "products", "coupons"):
        assert all(_HAN.search(row["name"]) for row in rows(files, name)), name


def test_every_shop_can_be_found_by_a_place(files: Path) -> None:
    places = {
        row["city"]: (float(row["latitude"]), float(row["longitude"]))
        for row in rows(files, "shops")
    }

    assert all(18 < north < 54 and 73 < east < 135 for north, east in places.values())
    assert places["上海"] == pytest.approx((31.23, 121.47), abs=0.05)
    assert places["北京"] == pytest.approx((39.90, 116.41), abs=0.05)


def test_goods_that_may_not_be_advertised_are_in_no_category(files: Path) -> None:
    products = rows(files, "products")

    fuel = [one for one in products if "汽油" in one["name"]]
    assert fuel
    assert {one["category"] for one in fuel} == {""}
    assert not {one["category"] for one in products} & {"香烟", "雪茄", "优惠券", "婴儿配方奶粉"}


@pytest.mark.parametrize(
    ("size", "is_liquid", "said"),
    [
        ("16 OZ", False, "454克"),
        ("12 OZ", True, "355毫升"),
        ("2 L", True, "2升"),
        ("1 DZ", False, "12枚装"),
        ("83.5 SQ FT", False, ""),
        ("CTN", False, ""),
        (None, False, ""),
    ],
)
def test_package_size_is_told_in_metric_where_it_tells_something(
    size: str | None, is_liquid: bool, said: str
) -> None:
    assert catalogue.metric_size(size, is_liquid=is_liquid) == said


def test_load_brings_a_slice_once_and_goes_on_to_a_larger_one(
    database: Database, settings: Settings
) -> None:
    said: list[str] = []
    with database.transaction() as session:
        stage.set_up(session, settings, now=_NOW)

    first = load.load(database, members=5, now=_NOW, say=said.append)
    again = load.load(database, members=5, now=_NOW, say=said.append)
    larger = load.load(database, members=8, now=_NOW + timedelta(days=3), say=said.append)

    assert (bool(first), again, bool(larger)) == (True, {}, True)
    with database.transaction() as session:
        counts = "SELECT (SELECT count(*) FROM members), (SELECT max(paid_at)::date FROM orders)"
        members, last_day = session.execute(text(counts)).one()
        people = load.people(session)
    assert (members, str(last_day)) == (8, "2026-02-28")
    assert set(people) == {"followers", "guides", "contacts"}
