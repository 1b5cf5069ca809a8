"""The form of one rule: what was filled in, read into the plain data of a rule, and back.

A field that a kind of rule does not have is ignored, so that nothing is lost on changing the kind.
"""

from collections.abc import Mapping
from datetime import time
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, ValidationError

from content.rule_readings import UNITS, largest_unit
from content.rule_readings import source as source_words
from fatigue.rules import DAYS_IN_PERIOD, REASONS, Period
from store.touches import Category, Channel
from web.console.forms import NotFilledIn, Problem

# A grant is a platform's window: the house has none to give.
KINDS = ("calendar_cap", "rolling_cap", "min_gap", "lifetime_cap", "quiet_hours")
# Service is the member's own business and passes the house's rules.
CATEGORIES = (Category.MARKETING, Category.CARE)
CHANNELS = tuple(channel for channel in Channel if channel is not Channel.WECOM_APP)
_LONGEST_NAME, _LONGEST_SOURCE = 40, 200
_MOST = 1000


class RuleFilledIn(BaseModel):
    """The form as posted: nothing but text, so that it can be shown again as it was."""

    kind: str = KINDS[0]
    name: str = ""
    source: str = ""
    cap: str = ""
    length: str = ""
    unit: str = "days"
    period: str = "week"
    start: str = "22:00"
    end: str = "08:00"
    holiday_start: str = ""
    holiday_end: str = ""
    spread_minutes: str = ""
    channels: list[str] = []
    categories: list[str] = []
    brand: str = ""
    campaign: str = ""
    bands: list[str] = []
    is_shadow: str = ""


def _whole(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value


class _Common(BaseModel):
    name: Annotated[str, BeforeValidator(_whole)] = Field(min_length=1, max_length=_LONGEST_NAME)
    source: Annotated[str, BeforeValidator(_whole)] = Field(
        min_length=1, max_length=_LONGEST_SOURCE
    )
    channels: list[Channel] = []
    categories: list[Category] = []
    bands: list[str] = []
    is_shadow: bool = False

    def own(self) -> dict[str, Any]:
        """What only this kind of rule says."""
        raise NotImplementedError


class _Capped(_Common):
    cap: int = Field(ge=1, le=_MOST)


class _Calendar(_Capped):
    period: Period

    def own(self) -> dict[str, Any]:
        return {"cap": self.cap, "period": self.period.value}


class _Lifetime(_Capped):
    def own(self) -> dict[str, Any]:
        return {"cap": self.cap}


class _Gap(_Common):
    length: int = Field(ge=1, le=_MOST)
    unit: Literal["days", "hours", "minutes"]

    def own(self) -> dict[str, Any]:
        return {"seconds": self.length * UNITS[self.unit]}


class _Rolling(_Gap):
    cap: int = Field(ge=1, le=_MOST)

    def own(self) -> dict[str, Any]:
        return super().own() | {"cap": self.cap}


class _Quiet(_Common):
    start: time
    end: time
    holiday_start: time | None = None
    holiday_end: time | None = None
    spread_minutes: int | None = Field(default=None, ge=1, le=_MOST)

    def own(self) -> dict[str, Any]:
        hours = ("start", "end", "holiday_start", "holiday_end")
        given = {name: getattr(self, name) for name in hours}
        walls = {name: wall.isoformat() for name, wall in given.items() if wall is not None}
        return walls | ({"spread_minutes": self.spread_minutes} if self.spread_minutes else {})


_READERS: Mapping[str, type[_Common]] = {
    "calendar_cap": _Calendar,
    "rolling_cap": _Rolling,
    "min_gap": _Gap,
    "lifetime_cap": _Lifetime,
    "quiet_hours": _Quiet,
}


def read(
    filled: RuleFilledIn,
    *,
    brands: Mapping[str, int],
    campaigns: Mapping[str, int],
    before: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The rule as plain data; `brands` and `campaigns` give the keys behind what is chosen.

    What the form has no field for stays as it was `before`, as long as the kind is the same.
    """
    problems = _strange(filled, brands=brands, campaigns=campaigns)
    fields: _Common | None = None
    try:
        if filled.kind in _READERS:
            fields = _READERS[filled.kind].model_validate(
                _given(filled) | {"is_shadow": bool(filled.is_shadow)}
            )
    except ValidationError as error:
        for fault in error.errors():
            blank = getattr(filled, str(fault["loc"][0]), None) == ""
            kind = "missing" if blank else fault["type"]
            problems[str(fault["loc"][0])] = Problem(kind, fault.get("ctx", {}))
    if fields is None or problems:
        raise NotFilledIn(problems)
    selector: dict[str, Any] = {
        "channels": sorted(fields.channels),
        "categories": sorted(fields.categories),
        "brand_id": brands.get(filled.brand),
        "campaign_id": campaigns.get(filled.campaign),
        "bands": sorted(fields.bands),
        "guide_id": (before or {}).get("selector", {}).get("guide_id"),
    }
    is_same_kind = before is not None and before["kind"] == filled.kind
    return {
        **({"zone": before["zone"]} if is_same_kind and before and "zone" in before else {}),
        "kind": filled.kind,
        "name": fields.name,
        "source": _source(fields.source, before),
        "is_platform": False,
        "is_shadow": fields.is_shadow,
        "selector": {name: value for name, value in selector.items() if value},
        **fields.own(),
    }


def _source(words: str, before: Mapping[str, Any] | None) -> str:
    """What was written; words that only translate the source of before leave it as it was."""
    known = before["source"] if before is not None else ""
    return known if words == source_words(known) else words


def _given(filled: RuleFilledIn) -> dict[str, Any]:
    """Blank fields that may stay blank are left out."""
    optional = ("holiday_start", "holiday_end", "spread_minutes")
    posted = filled.model_dump()
    return {name: value for name, value in posted.items() if value or name not in optional}


def _strange(
    filled: RuleFilledIn, *, brands: Mapping[str, int], campaigns: Mapping[str, int]
) -> dict[str, Problem]:
    """What no type can see is wrong."""
    problems = {}
    if filled.kind not in _READERS:
        problems["kind"] = Problem("unknown")
    if filled.brand and filled.brand not in brands:
        problems["brand"] = Problem("unknown")
    if filled.campaign and filled.campaign not in campaigns:
        problems["campaign"] = Problem("unknown")
    if filled.name.strip() in REASONS:
        problems["name"] = Problem("kept_name")
    if filled.kind == "quiet_hours" and filled.start == filled.end:
        problems["end"] = Problem("same_minute")
    if filled.kind == "quiet_hours" and bool(filled.holiday_start) is not bool(filled.holiday_end):
        missing = "holiday_end" if filled.holiday_start else "holiday_start"
        problems[missing] = Problem("missing")
    return problems


def filled_from(
    rule: Mapping[str, Any], *, brands: Mapping[str, int], campaigns: Mapping[str, int]
) -> RuleFilledIn:
    """The form of a rule that is there."""
    selector = rule.get("selector", {})
    unit = largest_unit(rule["seconds"]) if rule.get("seconds") else "days"
    cap = rule.get("cap", "")
    return RuleFilledIn(
        kind=rule["kind"],
        name=rule["name"],
        source=source_words(rule["source"]),
        cap="" if cap == DAYS_IN_PERIOD else str(cap),
        length=str(rule["seconds"] // UNITS[unit]) if rule.get("seconds") else "",
        unit=unit,
        period=rule.get("period", Period.WEEK),
        start=rule.get("start", "22:00")[:5],
        end=rule.get("end", "08:00")[:5],
        holiday_start=rule.get("holiday_start", "")[:5],
        holiday_end=rule.get("holiday_end", "")[:5],
        spread_minutes=str(rule.get("spread_minutes", "")),
        channels=selector.get("channels", []),
        categories=selector.get("categories", []),
        brand=_code_of(brands, selector.get("brand_id")),
        campaign=_code_of(campaigns, selector.get("campaign_id")),
        bands=selector.get("bands", []),
        is_shadow="1" if rule.get("is_shadow") else "",
    )


def _code_of(codes: Mapping[str, int], key: int | None) -> str:
    return next((code for code, known in codes.items() if known == key), "")
