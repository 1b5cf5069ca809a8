"""Product picks: the goods for one member, from own purchases and what sells in the favourites.

Two things the member buys again and again, then the best sellers of the favourite categories that
the member has not bought yet; whoever has no favourites sees what sells best of all. Orders wholly
refunded say nothing. Offline, one query for a whole chunk of members.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import text
from sqlmodel import Session

from store.bulk import id_array

PICKS_PER_MEMBER = 4
_OWN_PICKS = 2
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
    """Best sellers per category and of all, best first."""

    by_category: Mapping[str, Sequence[Pick]]
    overall: Sequence[Pick] = ()

    @property
    def product_ids(self) -> list[int]:
        """All of them by key."""
        return [pick.product_id for picks in self.by_category.values() for pick in picks]


@dataclass(frozen=True, slots=True)
class _Own:
    """What a member bought in more than one order, and all best sellers that the member knows."""

    again: list[Pick] = field(default_factory=list)
    once: list[Pick] = field(default_factory=list)
    known: set[int] = field(default_factory=set)


_BEST_SQL = text("""
    SELECT category, product_id, name, sold FROM (
        SELECT p.category, p.id AS product_id, p.name, s.sold,
               row_number() OVER (PARTITION BY p.category ORDER BY s.sold DESC, p.id) AS place
        FROM (
            SELECT l.product_id, count(DISTINCT o.id) AS sold
            FROM orders o JOIN order_lines l ON l.order_id = o.id
            WHERE o.paid_at >= :since AND o.paid_at <= :now
                  AND (o.refunded_fen < o.amount_fen OR o.amount_fen = 0)
            GROUP BY l.product_id
        ) s JOIN products p ON p.id = s.product_id
        WHERE p.is_active AND p.category <> ''
    ) ranked WHERE place <= :best ORDER BY category, place
""")

# What is bought most often comes first; best sellers are needed however far down they stand.
_OWN_SQL = text("""
    SELECT member_id, product_id, category, name, times FROM (
        SELECT b.member_id, p.id AS product_id, p.category, p.name, b.times,
               row_number() OVER (
                   PARTITION BY b.member_id ORDER BY b.times DESC, b.last_at DESC, p.id
               ) AS place
        FROM (
            SELECT o.member_id, l.product_id, count(DISTINCT o.id) AS times,
                   max(o.paid_at) AS last_at
            FROM orders o JOIN order_lines l ON l.order_id = o.id
            WHERE o.member_id = ANY(CAST(:members AS bigint[]))
                  AND (o.refunded_fen < o.amount_fen OR o.amount_fen = 0)
            GROUP BY o.member_id, l.product_id
        ) b JOIN products p ON p.id = b.product_id
        WHERE p.is_active AND p.category <> ''
    ) ranked WHERE place <= :own OR product_id IN (SELECT unnest(CAST(:best AS bigint[])))
    ORDER BY member_id, place
""")


def best_sellers(session: Session, *, now: datetime) -> BestSellers:
    """What sells best in each category over the last 90 days; one pass over the recent lines."""
    values = {"since": now - timedelta(days=_BEST_DAYS), "now": now, "best": _BEST_PER_CATEGORY}
    by_category: dict[str, list[Pick]] = {}
    sold: dict[Pick, int] = {}
    for category, product_id, name, times in session.connection().execute(_BEST_SQL, values):
        pick = Pick(product_id, category, name)
        by_category.setdefault(category, []).append(pick)
        sold[pick] = times
    ranked = sorted(sold, key=lambda pick: (-sold[pick], pick.product_id))
    return BestSellers(by_category, ranked[:_BEST_PER_CATEGORY])


def picks_for(
    session: Session, favourites: Mapping[int, Sequence[str]], best: BestSellers
) -> dict[int, list[Pick]]:
    """Picks per member id, best first; `favourites` names each member's categories, best first."""
    own = _own(session, list(favourites), best)
    return {
        member_id: _choose(own.get(member_id, _Own()), categories, best)
        for member_id, categories in favourites.items()
    }


def _own(session: Session, member_ids: Sequence[int], best: BestSellers) -> dict[int, _Own]:
    found: dict[int, _Own] = {}
    values = {
        "members": id_array(member_ids),
        "own": PICKS_PER_MEMBER,
        "best": id_array(best.product_ids),
    }
    rows = session.connection().execute(_OWN_SQL, values).all()
    for member_id, product_id, category, name, times in rows:
        own = found.setdefault(member_id, _Own())
        own.known.add(product_id)
        (own.again if times > 1 else own.once).append(Pick(product_id, category, name))
    return found


def _choose(own: _Own, categories: Sequence[str], best: BestSellers) -> list[Pick]:
    again = own.again[:_OWN_PICKS]
    columns = [best.by_category.get(name, ()) for name in categories] or [best.overall]
    chosen = [*again, *_fresh(columns, own.known)][:PICKS_PER_MEMBER]
    return chosen or own.once[:PICKS_PER_MEMBER]


def _fresh(columns: Iterable[Sequence[Pick]], known: set[int]) -> list[Pick]:
    """The best unknown product of each favourite, then the second of each, and so on."""
    unknown = [[pick for pick in column if pick.product_id not in known] for column in columns]
    depth = max(map(len, unknown), default=0)
    return [column[row] for row in range(depth) for column in unknown if row < len(column)]
