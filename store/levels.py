"""Levels of membership: reached by money spent in the last 365 days, never lost by spending points."""

from sqlalchemy import BigInteger, CheckConstraint
from sqlmodel import Field, SQLModel

from store.columns import big_key


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
