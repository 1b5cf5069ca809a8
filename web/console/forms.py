"""The campaign form: what HQ filled in, read into an audience tree and a `CampaignForm`.

Browsers post every field, blank ones too; a blank field means "no such condition". Problems are
told per field by the name of what is wrong, and the template has the words.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from pydantic import BaseModel, Field, Json, ValidationError

from guide_tasks.campaigns import CampaignForm
from store.campaigns import CampaignMode, CommissionTo
from store.touches import Category
from web.console.settings import BY_ACCOUNT, Codes, SettingFields

# Service is the member's own business and passes the brand's caps: no campaign may claim it.
CATEGORIES = (Category.CARE, Category.MARKETING)
# What a campaign has that nobody gave another.
USUAL_PRIORITY = 50
_FEN = 100
_SCORE = Field(default=None, ge=1, le=5)
_COUNT = Field(default=None, ge=1, le=100_000)
_DAYS = Field(default=None, ge=0, le=3650)


class FilledIn(BaseModel):
    """The form as posted: nothing but text, so that it can be shown again as it was."""

    name: str = ""
    category: str = ""
    piece_code: str = ""
    coupon_plan: str = ""
    holdout_percent: str = ""
    deadline: str = ""
    deadline_minutes: str = ""
    band: str = ""
    commission_percent: str = ""
    commission_cap_yuan: str = ""
    commission_to: str = ""
    attribution_days: str = ""
    mode: str = ""
    fallback_channels: list[str] = list(BY_ACCOUNT)
    fallback_hours: str = ""
    tasks_per_day: str = ""
    recency_days_min: str = ""
    recency_days_max: str = ""
    orders_min: str = ""
    spent_yuan_min: str = ""
    r_score_min: str = ""
    f_score_min: str = ""
    m_score_min: str = ""
    level: list[str] = []
    tag: list[str] = []
    shop: list[str] = []
    favourite_category: list[str] = []
    untouched_days: str = ""
    friends_only: str = ""
    audience_limit: str = ""
    audience_json: str = ""
    preset: str = ""
    action: str = "preview"


class Preset(StrEnum):
    """Ready-made audiences; choosing one replaces the recency, frequency and money fields."""

    RECENT_BEST = "recent_best"
    LOST_BEST = "lost_best"
    REGULARS = "regulars"


_PRESETS: dict[Preset, dict[str, str]] = {
    Preset.RECENT_BEST: {"recency_days_max": "30", "m_score_min": "4", "untouched_days": "7"},
    Preset.LOST_BEST: {"recency_days_min": "45", "m_score_min": "3", "untouched_days": "14"},
    Preset.REGULARS: {"recency_days_max": "60", "f_score_min": "4", "untouched_days": "7"},
}
_BY_PRESET = frozenset(
    {"recency_days_min", "recency_days_max", "orders_min", "spent_yuan_min", "untouched_days"}
    | {"r_score_min", "f_score_min", "m_score_min", "audience_json"}
)


_LISTS = ("level", "tag", "shop", "favourite_category")
# Which field makes which leaf of a condition tree.
_FIELDS: dict[tuple[Any, Any], str] = {
    ("recency_days", ">="): "recency_days_min",
    ("recency_days", "<="): "recency_days_max",
    ("orders_count", ">="): "orders_min",
    ("spent_365_fen", ">="): "spent_yuan_min",
    ("r_score", ">="): "r_score_min",
    ("f_score", ">="): "f_score_min",
    ("m_score", ">="): "m_score_min",
    ("days_since_touch", ">="): "untouched_days",
    ("is_friend_of_a_guide", "="): "friends_only",
    **{(fact, "in"): fact for fact in _LISTS},
}


Fields = TypeVar("Fields", bound=BaseModel)


class AudienceFields(BaseModel):
    """The audience builder; every field that is given must hold."""

    recency_days_min: int | None = _DAYS
    recency_days_max: int | None = _DAYS
    orders_min: int | None = _COUNT
    spent_yuan_min: Decimal | None = Field(default=None, ge=0, le=100_000_000, decimal_places=2)
    r_score_min: int | None = _SCORE
    f_score_min: int | None = _SCORE
    m_score_min: int | None = _SCORE
    level: Codes = []
    tag: Codes = []
    shop: Codes = []
    favourite_category: Codes = []
    untouched_days: int | None = Field(default=None, ge=1, le=3650)
    friends_only: bool = False
    audience_json: Json[dict[str, Any]] | None = None
    audience_limit: int | None = _COUNT

    def tree(self) -> dict[str, Any]:
        """The condition tree: the one written as JSON when there is one, else all fields joined."""
        if self.audience_json is not None:
            return self.audience_json
        numbers = [
            _leaf("recency_days", ">=", self.recency_days_min),
            _leaf("recency_days", "<=", self.recency_days_max),
            _leaf("orders_count", ">=", self.orders_min),
            _leaf("spent_365_fen", ">=", _fen(self.spent_yuan_min)),
            _leaf("r_score", ">=", self.r_score_min),
            _leaf("f_score", ">=", self.f_score_min),
            _leaf("m_score", ">=", self.m_score_min),
            _leaf("days_since_touch", ">=", self.untouched_days),
        ]
        words = [
            _leaf(fact, "in", getattr(self, fact) or None)
            for fact in ("level", "tag", "shop", "favourite_category")
        ]
        claims = [_leaf("is_friend_of_a_guide", "=", True if self.friends_only else None)]
        return {"all": [leaf for leaf in [*numbers, *words, *claims] if leaf is not None]}


class CampaignFields(AudienceFields, SettingFields):
    """Everything a campaign needs, typed."""

    name: str = Field(min_length=1, max_length=60)
    category: Category = Category.CARE
    piece_code: str
    coupon_plan: str | None = None
    holdout_percent: int = Field(default=10, ge=0, le=50)
    deadline: datetime | None = None
    deadline_minutes: int | None = Field(default=None, ge=1, le=60 * 24 * 90)
    band: str | None = None
    attribution_days: int = Field(default=14, ge=1, le=90)

    def deadline_at(self, zone: ZoneInfo, now: datetime) -> datetime | None:
        """The instant meant: minutes from now win over the shop-local time."""
        if self.deadline_minutes is not None:
            return now + timedelta(minutes=self.deadline_minutes)
        if self.deadline is not None and self.deadline.tzinfo is None:
            return self.deadline.replace(tzinfo=zone)
        return self.deadline


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a field: pydantic's name of it, or one of ours, and its limits."""

    kind: str
    facts: Mapping[str, Any] = field(default_factory=dict)


class NotFilledIn(Exception):  # noqa: N818 -- it carries an answer to the page, not a fault
    """The form cannot be read as it is; `problems` names each field that is at fault."""

    def __init__(self, problems: Mapping[str, Problem]) -> None:
        self.problems = problems
        super().__init__(", ".join(problems))


def with_preset(filled: FilledIn) -> FilledIn:
    """The form with the fields of the chosen preset; an unknown preset changes nothing."""
    if filled.preset not in list(Preset):
        return filled
    chosen = dict.fromkeys(_BY_PRESET, "") | _PRESETS[Preset(filled.preset)]
    return filled.model_copy(update=chosen)


def filled_from_tree(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Fields that make this condition tree; a tree that they cannot make stands as JSON."""
    found: dict[str, Any] = {}
    for leaf in tree.get("all", ()):
        name = _FIELDS.get((leaf.get("fact"), leaf.get("op")))
        if name is not None and name not in found:
            found[name] = _as_filled_in(name, leaf.get("value"))
    usual: dict[str, Any] = dict.fromkeys(_FIELDS.values(), "") | {name: [] for name in _LISTS}
    filled = FilledIn(**(usual | found))
    try:
        is_whole = read_audience(filled).tree() == tree
    except NotFilledIn:
        is_whole = False
    return usual | found if is_whole else usual | {"audience_json": _as_json(tree)}


def _as_filled_in(name: str, value: Any) -> Any:
    if name in _LISTS:
        return value if isinstance(value, list) else [str(value)]
    if name == "friends_only":
        return "1" if value else ""
    if name == "spent_yuan_min" and isinstance(value, int):
        return f"{Decimal(value) / _FEN:f}"
    return str(value)


def _as_json(tree: Mapping[str, Any]) -> str:
    return json.dumps(tree, ensure_ascii=False, indent=2)


def blank(deadline_at: datetime, zone: ZoneInfo) -> FilledIn:
    """A fresh form, with the choices most campaigns start from."""
    return FilledIn(
        category=Category.CARE,
        holdout_percent="10",
        commission_percent="2",
        commission_to=CommissionTo.CARER,
        attribution_days="14",
        mode=CampaignMode.GUIDES,
        fallback_hours="72",
        audience_limit="500",
        friends_only="1",
        deadline=deadline_at.astimezone(zone).strftime("%Y-%m-%dT%H:%M"),
    )


def read_audience(filled: FilledIn) -> AudienceFields:
    """The audience part alone, for a preview before the rest is filled in."""
    return _read(AudienceFields, filled)


def read_campaign(
    filled: FilledIn,
    *,
    coupon_plans: Mapping[str, int],
    bands: Mapping[str, int],
    zone: ZoneInfo,
    now: datetime,
) -> CampaignForm:
    """The whole form; `coupon_plans` gives keys and `bands` priorities behind the codes."""
    fields = _read(CampaignFields, filled)
    deadline_at = fields.deadline_at(zone, now)
    if deadline_at is None:
        raise NotFilledIn({"deadline": Problem("missing")})
    if deadline_at <= now:
        raise NotFilledIn({"deadline": Problem("past")})
    if fields.coupon_plan is not None and fields.coupon_plan not in coupon_plans:
        raise NotFilledIn({"coupon_plan": Problem("unknown")})
    if fields.band is not None and fields.band not in bands:
        raise NotFilledIn({"band": Problem("unknown")})
    if fields.category not in CATEGORIES:
        raise NotFilledIn({"category": Problem("unknown")})
    if wrong := fields.wrong_channels():
        raise NotFilledIn({"fallback_channels": Problem(wrong)})
    return CampaignForm(
        name=fields.name,
        category=fields.category,
        audience=fields.tree(),
        audience_limit=fields.audience_limit,
        holdout_percent=fields.holdout_percent,
        piece_code=fields.piece_code,
        coupon_plan_id=coupon_plans[fields.coupon_plan] if fields.coupon_plan else None,
        priority=bands[fields.band] if fields.band else USUAL_PRIORITY,
        deadline_at=deadline_at,
        attribution_days=fields.attribution_days,
        **fields.settings(),
    )


def _read(kind: type[Fields], filled: FilledIn) -> Fields:
    posted = filled.model_dump().items()
    values = {name: v.strip() if isinstance(v, str) else v for name, v in posted}
    try:
        return kind.model_validate({name: value for name, value in values.items() if value != ""})
    except ValidationError as error:
        raise NotFilledIn(
            {
                str(fault["loc"][0]): Problem(fault["type"], fault.get("ctx", {}))
                for fault in error.errors()
            }
        ) from error


def _leaf(fact: str, op: str, value: Any) -> dict[str, Any] | None:
    return None if value is None else {"fact": fact, "op": op, "value": value}


def _fen(yuan: Decimal | None) -> int | None:
    return None if yuan is None else int(yuan * _FEN)
