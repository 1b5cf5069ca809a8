"""Made-up people and places of the demo brand 知味: the same for the same number, on every machine.

Nothing here is random: each choice is a checksum of what it is for and whom it is for.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from zlib import crc32

DATA = Path(__file__).parent / "data"
# 100 is no mobile prefix in China, so no such number can ring anywhere.
_MOBILE_PREFIX = "100"
_MOBILE_NUMBERS = 10**8
# Coprime to the number of mobiles: neighbours look unrelated, and no two are the same.
_MOBILE_STEP = 7_919_317
_OLDEST_BIRTH_YEAR = 1950
_YOUNGEST_BIRTH_YEAR = 2004
_BIRTH_YEARS = {
    "19-24": (1999, 2004),
    "25-34": (1991, 1998),
    "35-44": (1981, 1990),
    "45-54": (1971, 1980),
    "55-64": (1961, 1970),
    "65+": (1945, 1960),
}


@dataclass(frozen=True)
class Place:
    """Where a shop stands."""

    region: str
    city: str
    road: str
    latitude: float
    longitude: float

    @property
    def shop_name(self) -> str:
        """The name over the door."""
        return f"知味{self.city}{self.road}店"


def draw(purpose: str, who: object, below: int) -> int:
    """A number from 0 up to `below` that is always the same for this purpose and person."""
    return crc32(f"{purpose}:{who}".encode()) % below


def pick(purpose: str, who: object, choices: Sequence[str]) -> str:
    """One of the choices, always the same for this purpose and person."""
    return choices[draw(purpose, who, len(choices))]


def person_name(purpose: str, who: object) -> str:
    """A family name and a given name."""
    surname = pick(f"{purpose} surname", who, words("surname"))
    return surname + pick(f"{purpose} given", who, words("given"))


def mobile(household: int) -> str:
    """An 11-digit number that passes for a mobile and can belong to nobody."""
    return f"{_MOBILE_PREFIX}{household * _MOBILE_STEP % _MOBILE_NUMBERS:08d}"


def birthday(household: int, age: str | None) -> date:
    """A birthday that fits the age group, where one is known."""
    first, last = _BIRTH_YEARS.get(age or "", (_OLDEST_BIRTH_YEAR, _YOUNGEST_BIRTH_YEAR))
    year = first + draw("birth year", household, last - first + 1)
    return date(year, 1, 1) + timedelta(days=draw("birthday", household, 365))


def brand_name(manufacturer: int) -> str:
    """A brand that does not exist."""
    head = pick("brand head", manufacturer, words("brand_head"))
    return head + pick("brand tail", manufacturer, words("brand_tail"))


def places(shops: int) -> list[Place]:
    """That many different places: every city in turn, with its next road."""
    with (DATA / "cities.csv").open(encoding="utf-8") as stream:
        cities = list(csv.DictReader(stream))
    roads = words("road")
    found = []
    for number in range(shops):
        lap, one = number // len(cities), cities[number % len(cities)]
        start = draw("first road", one["city"], len(roads))
        road = roads[(start + lap) % len(roads)]
        north, east = (_beside(one[name], name, number) for name in ("latitude", "longitude"))
        found.append(Place(one["region"], one["city"], road, north, east))
    return found


def _beside(degrees: str, purpose: str, number: int) -> float:
    """Within a few kilometres of the middle of the city."""
    return round(float(degrees) + (draw(purpose, number, 601) - 300) / 10_000, 4)


@cache
def words(part: str) -> tuple[str, ...]:
    """The word list of that name in `data/names.csv`."""
    with (DATA / "names.csv").open(encoding="utf-8") as stream:
        return tuple(row["word"] for row in csv.DictReader(stream) if row["part"] == part)
