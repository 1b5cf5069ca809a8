"""`/hq/budget`: who used up the members' patience, who went without, and by which rule."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import count
from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from sqlmodel import Session, col, select

from content.rule_phrases import rule_phrase
from content.touch_words import CHANNEL_NAMES
from fatigue import spending
from fatigue.spending import Spending, Spent
from store.campaigns import Campaign
from store.organisation import Brand
from web.console.access import HOME, OperatorDep
from web.deps import NowDep, PartsDep, SessionDep
from web.pages import page

router = APIRouter(prefix=f"{HOME}/budget")
_MOST = 50
# The picture, in its own units: room for figures at the left and dates below.
WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 760, 240, 46, 28, 12
_BAR_SHARE = 0.62
_LINES = 4
# A campaign has no business of the member's own to tell; a few may be late receipts.
ABUSE_PERCENT = 5


@dataclass(frozen=True, slots=True)
class Line:
    """One row of a table; `in_the_way` is how often its touches kept others from going."""

    name: str
    spent: Spent
    token: str = ""
    in_the_way: int = 0

    @property
    def service_percent(self) -> int:
        """The share of service among what went."""
        return round(100 * self.spent.service / self.spent.went) if self.spent.went else 0

    @property
    def is_suspect(self) -> bool:
        """Whether a campaign calls so much service that it looks like a way round the caps."""
        return bool(self.token) and self.service_percent > ABUSE_PERCENT


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a bar, in the picture's units."""

    kind: str
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Bar:
    """One week."""

    week: date
    spent: Spent
    x: float
    width: float
    pieces: Sequence[Piece]


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars and the heights of the lines behind them, as (y, touches)."""

    bars: Sequence[Bar]
    lines: Sequence[tuple[float, int]]


@dataclass(frozen=True, slots=True)
class BudgetView:
    """The whole page."""

    all: Spent
    chart: Chart
    weeks: Sequence[Line]
    brands: Sequence[Line]
    campaigns: Sequence[Line]
    channels: Sequence[Line]
    rules: Sequence[Line]


@router.get("")
def show_budget(
    request: Request,
    operator: OperatorDep,
    session: SessionDep,
    parts: PartsDep,
    now: NowDep,
    days: Literal["30", "90", "365"] = "90",
) -> Response:
    """The last days, by week, brand, campaign, rule and channel."""
    since = now - timedelta(days=int(days))
    found = spending.spending(session, since=since, until=now, zone=parts.settings.timezone)
    view = read(session, found)
    sizes = {"width": WIDTH, "height": HEIGHT, "left": LEFT, "bottom": BOTTOM}
    return page(request, "console/budget.html", operator=operator, view=view, days=days, size=sizes)


def read(session: Session, found: Spending) -> BudgetView:
    """The figures with names, in two queries."""
    campaigns = _campaigns(session, [key for key in found.campaigns if key is not None])
    brands = dict(session.exec(select(Brand.id, Brand.name)).all())
    return BudgetView(
        all=found.all,
        chart=chart_of(found.weeks),
        weeks=[Line(f"{week:%Y-%m-%d}", spent) for week, spent in found.weeks.items()],
        brands=_lines(found.brands, {key: (name, "") for key, name in brands.items()}),
        campaigns=_lines(found.campaigns, campaigns, found.in_the_way),
        channels=_lines(found.channels, {key: (name, "") for key, name in CHANNEL_NAMES.items()}),
        rules=_lines(found.rules, {name: (rule_phrase(name), "") for name in found.rules}),
    )


def chart_of(weeks: Mapping[date, Spent]) -> Chart:
    """Weeks as bars that fill the picture; the scale ends at a round number."""
    most = max((_height(spent) for spent in weeks.values()), default=0)
    top = _round_up(most)
    room, floor = (WIDTH - LEFT) / max(len(weeks), 1), HEIGHT - BOTTOM
    scale = (floor - TOP) / top
    bars = [
        Bar(
            week,
            spent,
            LEFT + room * (n + (1 - _BAR_SHARE) / 2),
            room * _BAR_SHARE,
            _pieces(spent, floor, scale),
        )
        for n, (week, spent) in enumerate(weeks.items())
    ]
    steps = [top * n // _LINES for n in range(_LINES + 1)]
    return Chart(bars, [(floor - step * scale, step) for step in steps])


def _height(spent: Spent) -> int:
    return spent.went + spent.waits + spent.withheld


def _pieces(spent: Spent, floor: float, scale: float) -> list[Piece]:
    pieces = []
    for kind, touches in (
        ("go", spent.went),
        ("wait", spent.waits),
        ("stop", spent.withheld),
    ):
        floor -= touches * scale
        pieces.append(Piece(kind, floor, touches * scale))
    return pieces


def _round_up(most: int) -> int:
    """The next number whose quarters are round: 1, 2, 3 or 5 and zeros."""
    quarters = (digit * int(10**power) for power in count() for digit in (1, 2, 3, 5))
    return next(_LINES * quarter for quarter in quarters if _LINES * quarter >= most)


def _lines(
    parts: Mapping[Any, Spent],
    names: Mapping[Any, tuple[str, str]],
    in_the_way: Mapping[Any, int] | None = None,
) -> list[Line]:
    ordered = sorted(parts.items(), key=lambda part: (-part[1].asked, str(part[0])))[:_MOST]
    taken = in_the_way or {}
    return [Line(*_split(names.get(key), spent), taken.get(key, 0)) for key, spent in ordered]


def _split(named: tuple[str, str] | None, spent: Spent) -> tuple[str, Spent, str]:
    name, token = named or ("", "")
    return name, spent, token


def _campaigns(session: Session, keys: Sequence[int]) -> dict[int, tuple[str, str]]:
    query = select(Campaign.id, Campaign.name, Campaign.token).where(col(Campaign.id).in_(keys))
    return {key: (name, token) for key, name, token in session.exec(query).all()}
