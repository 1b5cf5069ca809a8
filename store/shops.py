"""Finding a shop: by the name of a place or by where somebody stands, and whether it is open."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, func, or_, tuple_
from sqlmodel import Session, col, select

from store.organisation import Shop

# The mean radius of the earth (IUGG, R1).
EARTH_KM = 6371.0088
# Somebody who sets out now should still find the door open.
_CLOSING = timedelta(minutes=45)
_DAY = timedelta(days=1)
_UTC = ZoneInfo("UTC")
# City, district, county: people leave them out.
_LAST = "\u5e02\u533a\u53bf"
_SHORTEST_NAME, _LONGEST_NAME = 2, 20
_LONGEST_LIST = 200
_HAND = 6
_TEXTS = (Shop.name, Shop.address)


class Door(StrEnum):
    """Whether one can walk in."""

    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"
    ALWAYS = "always"


@dataclass(frozen=True, slots=True)
class Hours:
    """How the door stands, and when that changes: `until` it closes, or opens again."""

    door: Door
    until: datetime | None = None

    @property
    def is_open(self) -> bool:
        """Whether one can walk in now."""
        return self.door is not Door.CLOSED


@dataclass(frozen=True, slots=True)
class Found:
    """A shop, and how far away it is where that is known."""

    shop: Shop
    km: float | None = None


def hours(shop: Shop, zone: ZoneInfo, now: datetime) -> Hours:
    """How the door of a shop stands, on the clock of `zone`."""
    if shop.opens_at == shop.closes_at:
        return Hours(Door.ALWAYS)
    today = now.astimezone(zone).date()
    # A night's opening that began yesterday may still go on.
    spans = [_opening(shop, today + days * _DAY, zone) for days in (-1, 0, 1)]
    for opens, closes in spans:
        if opens <= now < closes:
            return Hours(Door.CLOSING if closes - now <= _CLOSING else Door.OPEN, closes)
    return Hours(Door.CLOSED, next(opens for opens, _ in spans if opens > now))


def _opening(shop: Shop, day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    closing_day = day if shop.opens_at < shop.closes_at else day + _DAY
    opens = datetime.combine(day, shop.opens_at, zone)
    closes = datetime.combine(closing_day, shop.closes_at, zone)
    # Compared as instants: two wall clocks of one zone would ignore a changed clock between them.
    return opens.astimezone(_UTC), closes.astimezone(_UTC)


def nearest(
    session: Session, brand_id: int, latitude: float, longitude: float, *, limit: int = 3
) -> list[Found]:
    """The shops nearest to a point, by great circle, the nearest first."""
    # To the width of a hand: what is smaller still would underflow when it is squared.
    km = _km(round(latitude, _HAND), round(longitude, _HAND))
    query = (
        select(Shop, km)
        .where(Shop.brand_id == brand_id, col(Shop.latitude).is_not(None))
        .order_by(km, col(Shop.id))
        .limit(limit)
    )
    return [Found(shop, float(away)) for shop, away in session.exec(query).all()]


def are_on_map(session: Session, brand_id: int) -> bool:
    """Some shop of the brand can be found by a point: it has told where it stands."""
    query = select(Shop.id).where(Shop.brand_id == brand_id, col(Shop.latitude).is_not(None))
    return session.exec(query.limit(1)).first() is not None


def _km(latitude: float, longitude: float) -> ColumnElement[float]:
    """The haversine formula, which stays exact for points that are close together."""
    here, there = func.radians(latitude), func.radians(col(Shop.latitude))
    half_east = func.radians(col(Shop.longitude) - longitude) / 2
    chord = func.power(func.sin((there - here) / 2), 2) + func.cos(here) * func.cos(
        there
    ) * func.power(func.sin(half_east), 2)
    # Rounding may leave a hair more than one between two ends of the earth.
    return 2 * EARTH_KM * func.asin(func.sqrt(func.least(1.0, chord)))


def in_place(
    session: Session, brand_id: int, words: str, *, is_by_name: bool = True, limit: int = 5
) -> list[Found]:
    """The shops of the city or district that the words name; else those whose own name holds them.

    A place may be named with or without its last character ("city", "district"). Who names both
    gets the shops of that district in that city only.
    """
    named = _named(session, brand_id, words)
    where: ColumnElement[bool]
    if named:
        where = tuple_(col(Shop.city), col(Shop.district)).in_(named)
    elif is_by_name and _SHORTEST_NAME <= len(words) <= _LONGEST_NAME:
        where = or_(*(col(part).contains(words, autoescape=True) for part in _TEXTS))
    else:
        return []
    query = select(Shop).where(Shop.brand_id == brand_id, where)
    return [Found(shop) for shop in session.exec(query.order_by(Shop.code).limit(limit)).all()]


def cities(session: Session, brand_id: int) -> Sequence[str]:
    """The cities with a shop, those with most shops first."""
    query = (
        select(Shop.city)
        .where(Shop.brand_id == brand_id, Shop.city != "")
        .group_by(col(Shop.city))
        .order_by(func.count().desc(), col(Shop.city))
    )
    return session.exec(query).all()


def of_city(session: Session, brand_id: int, city: str) -> list[Found]:
    """The shops of a city, or of the whole brand when no city is asked for."""
    query = select(Shop).where(Shop.brand_id == brand_id).order_by(Shop.city, Shop.code)
    if city:
        query = query.where(Shop.city == city)
    return [Found(shop) for shop in session.exec(query.limit(_LONGEST_LIST)).all()]


def _named(session: Session, brand_id: int, words: str) -> list[tuple[str, str]]:
    """The pairs of city and district that the words name best."""
    query = select(Shop.city, Shop.district).where(Shop.brand_id == brand_id).distinct()
    ranks = {
        (city, district): _is_named(city, words) + _is_named(district, words)
        for city, district in session.exec(query).all()
    }
    best = max(ranks.values(), default=0)
    return [pair for pair, rank in ranks.items() if rank == best > 0]


def _is_named(place: str, words: str) -> bool:
    short = place[:-1] if len(place) > _SHORTEST_NAME and place[-1] in _LAST else place
    return bool(short) and short in words
