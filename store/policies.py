"""Policies of the gate as the record keeps them: a row a version, the newest counts; and drafts."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint
from sqlmodel import Field, SQLModel

from store.columns import big_key, json_column, link, one_of, status
from store.tokens import new_token


class Policy(SQLModel, table=True):
    """A version of the whole rule set; `fatigue.policies` reads and writes its data."""

    __tablename__ = "policies"
    id: int = big_key()
    version: int = Field(unique=True)
    rules: list[Any] = json_column()
    bands: list[Any] = json_column()
    author: str
    created_at: datetime


class PolicyDraft(SQLModel, table=True):
    """A rule set that somebody is changing; it rules nothing. `base_version` is what it began as.

    A row ends when it is published or thrown away.
    """

    __tablename__ = "policy_drafts"
    id: int = big_key()
    token: str = Field(unique=True, default_factory=new_token)
    base_version: int
    rules: list[Any] = json_column()
    author: str
    created_at: datetime
    changed_at: datetime


class ReplayState(StrEnum):
    """Whether a replay has been through all members."""

    RUNNING = "running"
    DONE = "done"


class PolicyReplay(SQLModel, table=True):
    """What a draft would have said to the touches asked in `[since, until)`.

    It walks members in id order and goes on after `cursor`. `cells` counts touches:
    [was, would, rule, channel, campaign id, brand id, touches]; `shadows` counts by shadow rule.
    A change of the draft removes its replay.
    """

    __tablename__ = "policy_replays"
    __table_args__ = (
        one_of("state", ReplayState, "policy_replays"),
        CheckConstraint("since < until", name="ck_policy_replays_span"),
    )
    id: int = big_key()
    draft_id: int = link("policy_drafts.id", index=False, unique=True, ondelete="CASCADE")
    state: ReplayState = status(ReplayState, default=ReplayState.RUNNING)
    since: datetime
    until: datetime
    cursor: int = Field(default=0, sa_type=BigInteger)
    members_done: int = 0
    members_total: int = 0
    cells: list[Any] = json_column(default_factory=list)
    shadows: dict[str, Any] = json_column(default_factory=dict)
    examples: list[Any] = json_column(default_factory=list)
    started_at: datetime
    finished_at: datetime | None = None
