"""Product picks: the goods for one member, from own purchases and what sells in the favourites.

Two things the member buys again and again, then the best sellers of the favourite categories that
the member has not bought yet. Offline, one query for a whole chunk of members.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import text
from sqlmodel import Session

PICKS_PER_MEMBER = 4
_OWN_PICKS = 2
_OWN_PER_MEMBER = 30
_BEST_PER_CATEGORY = 12
# Best sellers are counted over the last quarter, so that seasonal goods come and go.
_BEST_DAYS = 90


class Pick(NamedTuple):
    """A product by key, category and name."""

    product_id: int
    category: str
    name: str


@dataclass(frozen=True, slots=True)
class BestSellers:
    """Best sellers per category, best first."""

    by_category: Mapping[str, Sequence[Pick]]


_BEST_SQL = text("""
    SELECT category, product_id, name FROM (
        SELECT p.category, p.id AS product_id, p.name,
               row_number() OVER (PARTITION BY p.category ORDER BY count(*) DESC, p.id) AS place
        FROM order_lines l JOIN orders o ON o.id = l.order_id JOIN products p ON p.id = l.product_id
        WHERE o.paid_at >= :since AND p.is_active AND p.category <> ''
        GROUP BY p.category, p.id, p.name
    ) ranked WHERE place <= :best ORDER BY category, place
""")

# Bought in at least one order; what is bought most often comes first.
_OWN_SQL = text("""
    SELECT member_id, product_id, category, name, times FROM (
        SELECT o.member_id, p.id AS product_id, p.category, p.name, count(*) AS times,
               row_number() OVER (
                   PARTITION BY o.member_id ORDER BY count(*) DESC, max(o.paid_at) DESC, p.id
               ) AS place
        FROM orders o JOIN order_lines l ON l.order_id = o.id JOIN products p ON p.id = l.product_id
        WHERE o.member_id = ANY(:members) AND p.is_active AND p.category <> ''
        GROUP BY o.member_id, p.id, p.category, p.name
    ) ranked WHERE place <= :own ORDER BY member_id, place
""")


def best_sellers(session: Session, *, now: datetime) -> BestSellers:
    """What sells best in each category over the last 90 days; one pass over the recent lines."""
    since = now - timedelta(days=_BEST_DAYS)
    found: dict[str, list[Pick]] = {}
    rows = session.connection().execute(_BEST_SQL, {"since": since, "best": _BEST_PER_CATEGORY})
    for category, product_id, name in rows:
        found.setdefault(category, []).append(Pick(product_id, category, name))
    return BestSellers(found)


def picks_for(
    session: Session, favourites: Mapping[int, Sequence[str]], best: BestSellers
) -> dict[int, list[Pick]]:
    """Picks per member id, best first; `favourites` names each member's categories, best first."""
    own = _own(session, list(favourites))
    return {
        member_id: _choose(own.get(member_id, []), categories, best)
        for member_id, categories in favourites.items()
    }


def _own(session: Session, member_ids: Sequence[int]) -> dict[int, list[tuple[Pick, int]]]:
    found: dict[int, list[tuple[Pick, int]]] = {}
    rows = session.connection().execute(
        _OWN_SQL, {"members": list(member_ids), "own": _OWN_PER_MEMBER}
    )
    for member_id, product_id, category, name, times in rows:
        found.setdefault(member_id, []).append((Pick(product_id, category, name), times))
    return found


def _choose(
    own: Sequence[tuple[Pick, int]], categories: Sequence[str], best: BestSellers
) -> list[Pick]:
    again = [pick for pick, times in own if times > 1][:_OWN_PICKS]
    seen = {pick.product_id for pick, _ in own} | {pick.product_id for pick in again}
    chosen = [*again, *_fresh(categories, best, seen)][:PICKS_PER_MEMBER]
    return chosen or [pick for pick, _ in own[:PICKS_PER_MEMBER]]


def _fresh(categories: Iterable[str], best: BestSellers, seen: set[int]) -> list[Pick]:
    """The best unseen product of each favourite, then the second of each, and so on."""
    columns = [
        [pick for pick in best.by_category.get(name, ()) if pick.product_id not in seen]
        for name in categories
    ]
    depth = max(map(len, columns), default=0)
    return [column[row] for row in range(depth) for column in columns if row < len(column)]
