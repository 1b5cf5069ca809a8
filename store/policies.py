"""Policies of the gate as the record keeps them: a row a version, the newest counts."""

from datetime import datetime
from typing import Any

from sqlmodel import Field, SQLModel

from store.columns import big_key, json_column


class Policy(SQLModel, table=True):
    """A version of the whole rule set; `fatigue.policies` reads and writes `rules`."""

    __tablename__ = "policies"
    id: int = big_key()
    version: int = Field(unique=True)
    rules: list[Any] = json_column()
    author: str
    created_at: datetime
