"""Shops: hours on the brand's clock, the nearest by great circle, those of a named place."""

import math
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session

from store import shops
from store.organisation import Shop
from store.shops import Door, Hours
from tests.builders import a_brand, a_shop
from tests.times import SHANGHAI, at

_DEGREES = st.tuples(
    st.floats(-90, 90).map(lambda found: round(found, 6)),
    st.floats(-180, 180).map(lambda found: round(found, 6)),
)
_CLOCK = st.times().map(lambda found: found.replace(second=0, microsecond=0))


def _shop(opens: str, closes: str) -> Shop:
    return Shop(
        brand_id=1,
        code="s",
        name="店",
        opens_at=time.fromisoformat(opens),
        closes_at=time.fromisoformat(closes),
    )


@pytest.mark.parametrize(
    ("opens", "closes", "now", "door", "until"),
    [
        ("10:00", "22:00", "2026-03-01 09:59", Door.CLOSED, "2026-03-01 10:00"),
        ("10:00", "22:00", "2026-03-01 10:00", Door.OPEN, "2026-03-01 22:00"),
        ("10:00", "22:00", "2026-03-01 21:14", Door.OPEN, "2026-03-01 22:00"),
        ("10:00", "22:00", "2026-03-01 21:15", Door.CLOSING, "2026-03-01 22:00"),
        ("10:00", "22:00", "2026-03-01 22:00", Door.CLOSED, "2026-03-02 10:00"),
        ("18:00", "02:00", "2026-03-01 01:00", Door.OPEN, "2026-03-01 02:00"),
        ("18:00", "02:00", "2026-03-01 02:00", Door.CLOSED, "2026-03-01 18:00"),
        ("18:00", "02:00", "2026-03-01 23:00", Door.OPEN, "2026-03-02 02:00"),
        ("10:00", "00:00", "2026-03-01 23:30", Door.CLOSING, "2026-03-02 00:00"),
    ],
)
def test_door_stands_as_the_hours_say(
    opens: str, closes: str, now: str, door: Door, until: str
) -> None:
    found = shops.hours(_shop(opens, closes), SHANGHAI, at(now))

    assert found == Hours(door, at(until))


def test_shop_that_opens_when_it_closes_is_always_open() -> None:
    assert shops.hours(_shop("00:00", "00:00"), SHANGHAI, at("2026-03-01 03:00")).is_open


@given(
    opens=_CLOCK,
    closes=_CLOCK,
    now=st.integers(0, 365 * 24 * 60).map(lambda n: at("2026-01-01 00:00") + timedelta(minutes=n)),
    zone=st.sampled_from([SHANGHAI, ZoneInfo("Europe/Berlin"), ZoneInfo("UTC")]),
)
def test_door_changes_at_the_instant_that_was_told_and_not_before(
    opens: time, closes: time, now: datetime, zone: ZoneInfo
) -> None:
    shop = Shop(brand_id=1, code="s", name="店", opens_at=opens, closes_at=closes)
    found = shops.hours(shop, zone, now)
    if found.until is None:
        return

    just_before = shops.hours(shop, zone, found.until - timedelta(seconds=1))
    then = shops.hours(shop, zone, found.until)

    assert found.until > now
    assert just_before.is_open == found.is_open
    # A clock that jumps over the hours of a night may keep a door shut.
    assert then.is_open != found.is_open or zone.key == "Europe/Berlin"


def _km(one: tuple[float, float], other: tuple[float, float]) -> float:
    """The same distance by the angle between two vectors, as a second opinion."""

    def vector(place: tuple[float, float]) -> tuple[float, float, float]:
        north, east = math.radians(place[0]), math.radians(place[1])
        flat = math.cos(north)
        return flat * math.cos(east), flat * math.sin(east), math.sin(north)

    a, b = vector(one), vector(other)
    cross = math.hypot(
        a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]
    )
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    return shops.EARTH_KM * math.atan2(cross, dot)


@settings(max_examples=60)
@given(here=_DEGREES, places=st.lists(_DEGREES, min_size=1, max_size=8))
def test_nearest_are_the_nearest_by_great_circle(
    session: Session, here: tuple[float, float], places: list[tuple[float, float]]
) -> None:
    with session.begin_nested() as tried:
        for latitude, longitude in places:
            a_shop(session, latitude=latitude, longitude=longitude)
        a_shop(session)

        found = shops.nearest(session, a_brand(session).id, *here)

        away = sorted(_km(here, place) for place in places)[:3]
        assert [one.km for one in found] == pytest.approx(away, abs=0.001)
        tried.rollback()
    session.expire_all()


def test_place_of_half_a_pair_of_degrees_is_refused_by_the_database(session: Session) -> None:
    with pytest.raises(IntegrityError, match="ck_shops_place"):
        a_shop(session, latitude=30.0)


@pytest.mark.parametrize(
    ("words", "codes"),
    [
        ("杭州", ["west", "east"]),
        ("杭州市", ["west", "east"]),
        ("杭州有门店吗", ["west", "east"]),
        ("西湖", ["west"]),
        ("杭州西湖区哪里有店", ["west"]),
        ("鼓楼区", ["fuzhou", "nanjing"]),
        ("南京鼓楼", ["nanjing"]),
        ("新街口", ["nanjing"]),
        ("拉萨", []),
        ("店", []),
    ],
)
def test_words_find_the_shops_of_the_place_they_name(
    session: Session, words: str, codes: list[str]
) -> None:
    for code, city, district, name in (
        ("west", "杭州市", "西湖区", "文三路店"),
        ("east", "杭州市", "上城区", "中山路店"),
        ("nanjing", "南京", "鼓楼区", "新街口店"),
        ("fuzhou", "福州", "鼓楼区", "东街店"),
    ):
        a_shop(session, code=code, city=city, district=district, name=name)

    found = shops.in_place(session, a_brand(session).id, words)

    assert sorted(one.shop.code for one in found) == sorted(codes)
