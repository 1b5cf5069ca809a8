"""Levels of membership: reached by money spent in 365 days, not lost by spending points."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import BigInteger, CheckConstraint, text
from sqlmodel import Field, SQLModel

from store.columns import big_key
from store.db import Session

_SPAN = timedelta(days=365)
# Facts may be older than this moment: who bought nothing in the span spent nothing in it.
# Locked in id order before they change, as every act on members does.
_SETTLE = """
, earned AS (
    SELECT members.id, members.level_id, (
        SELECT levels.id FROM levels
        WHERE members.mobile IS NOT NULL AND levels.min_spent_fen <= CASE
            WHEN member_facts.last_order_at >= :since THEN member_facts.spent_365_fen ELSE 0
        END
        ORDER BY levels.rank DESC LIMIT 1
    ) AS new_level_id
    FROM chosen
    JOIN members ON members.id = chosen.id
    LEFT JOIN member_facts ON member_facts.member_id = members.id
    WHERE members.status = 'active'
), due AS (
    SELECT members.id, earned.new_level_id
    FROM earned JOIN members ON members.id = earned.id
    WHERE earned.new_level_id IS DISTINCT FROM earned.level_id
    ORDER BY members.id
    FOR UPDATE OF members
)
UPDATE members SET level_id = due.new_level_id FROM due WHERE members.id = due.id
RETURNING members.id
"""
_CHOSEN = "WITH chosen AS (SELECT unnest(CAST(:ids AS bigint[])) AS id)"
_EVERYBODY = "WITH chosen AS (SELECT id FROM members)"
_SETTLE_CHOSEN = text(_CHOSEN + _SETTLE)
_SETTLE_ALL = text(_EVERYBODY + _SETTLE)


class Level(SQLModel, table=True):
    """A level; `earn_percent` is points earned per hundred yuan spent (100 = one point a yuan)."""

    __tablename__ = "levels"
    __table_args__ = (
        CheckConstraint("earn_percent >= 0", name="ck_levels_earn_percent"),
        CheckConstraint("min_spent_fen >= 0", name="ck_levels_min_spent_fen"),
    )
    id: int = big_key()
    code: str = Field(unique=True)
    name: str
    rank: int = Field(unique=True)
    min_spent_fen: int = Field(default=0, sa_type=BigInteger)
    earn_percent: int = 100


def settle(session: Session, member_ids: Sequence[int] | None, *, now: datetime) -> int:
    """Give these members, or all, the level that their facts earn; gives how many changed.

    Visitors have no level. Refresh the facts first. Members that the session has loaded are stale
    afterwards: read them again.
    """
    session.flush()
    since = {"since": now - _SPAN}
    if member_ids is None:
        return len(session.execute(_SETTLE_ALL, since).all())
    return len(session.execute(_SETTLE_CHOSEN, since | {"ids": list(member_ids)}).all())
