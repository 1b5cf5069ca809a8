"""Keeps the member facts true to the orders: one set-based statement for one member or for all.

Plain SQL that names its tables, so that orders and merges can both call it without a circle.
An order that was wholly refunded is no order; favourites are ranked by what their lines cost.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import CursorResult, text

from store.db import Session

FAVOURITES = 5
# `spent_365_fen` looks this far back; levels are reached by it.
LEVEL_SPAN = timedelta(days=365)

_CHOSEN_BY_ID = "WITH chosen AS (SELECT id FROM members WHERE id = ANY(:ids) ORDER BY id)"
_EVERYBODY = "WITH chosen AS (SELECT id FROM members WHERE status = 'active' ORDER BY id)"
_UPSERT = """
, bought AS (
    SELECT orders.member_id,
           count(*) AS orders_count,
           sum(amount_fen - refunded_fen) AS spent_fen,
           coalesce(
               sum(amount_fen - refunded_fen) FILTER (WHERE paid_at >= :level_since), 0
           ) AS spent_365_fen,
           min(paid_at) AS first_order_at,
           max(paid_at) AS last_order_at
    FROM chosen JOIN orders ON orders.member_id = chosen.id
    WHERE refunded_fen < amount_fen OR amount_fen = 0
    GROUP BY orders.member_id
), by_category AS (
    SELECT orders.member_id, products.category, sum(order_lines.amount_fen) AS spent_fen
    FROM chosen
    JOIN orders ON orders.member_id = chosen.id
    JOIN order_lines ON order_lines.order_id = orders.id
    JOIN products ON products.id = order_lines.product_id
    WHERE (refunded_fen < orders.amount_fen OR orders.amount_fen = 0) AND category <> ''
    GROUP BY orders.member_id, products.category
), ranked AS (
    SELECT member_id, category, row_number() OVER (
        PARTITION BY member_id ORDER BY spent_fen DESC, category
    ) AS place
    FROM by_category
), favourites AS (
    SELECT member_id, jsonb_agg(category ORDER BY place) AS categories
    FROM ranked WHERE place <= :favourites GROUP BY member_id
)
INSERT INTO member_facts (
    member_id, orders_count, spent_fen, spent_365_fen, first_order_at, last_order_at,
    interval_days, favourite_categories, updated_at
)
SELECT chosen.id,
       coalesce(orders_count, 0),
       coalesce(spent_fen, 0),
       coalesce(spent_365_fen, 0),
       first_order_at,
       last_order_at,
       extract(epoch FROM last_order_at - first_order_at) / 86400.0
           / nullif(orders_count - 1, 0),
       coalesce(categories, '[]'::jsonb),
       :now
FROM chosen
LEFT JOIN bought ON bought.member_id = chosen.id
LEFT JOIN favourites ON favourites.member_id = chosen.id
ORDER BY chosen.id
ON CONFLICT (member_id) DO UPDATE SET
    orders_count = excluded.orders_count,
    spent_fen = excluded.spent_fen,
    spent_365_fen = excluded.spent_365_fen,
    first_order_at = excluded.first_order_at,
    last_order_at = excluded.last_order_at,
    interval_days = excluded.interval_days,
    favourite_categories = excluded.favourite_categories,
    updated_at = excluded.updated_at
"""
_REFRESH_CHOSEN = text(_CHOSEN_BY_ID + _UPSERT)
_REFRESH_ALL = text(_EVERYBODY + _UPSERT)


def refresh(session: Session, member_ids: Sequence[int] | None, *, now: datetime) -> int:
    """Work the facts of these members out anew, or of everybody; gives the number of members.

    Rows of `member_facts` that the session has loaded are stale afterwards: read them again.
    """
    values = {"now": now, "level_since": now - LEVEL_SPAN, "favourites": FAVOURITES}
    session.flush()
    if member_ids is None:
        # The big sort and hash stay in memory; the setting ends with the transaction.
        session.execute(text("SET LOCAL work_mem = '128MB'"))
        return _rows(session.execute(_REFRESH_ALL, values))
    return _rows(session.execute(_REFRESH_CHOSEN, values | {"ids": list(member_ids)}))


def _rows(result: object) -> int:
    assert isinstance(result, CursorResult)
    return int(result.rowcount)
