"""What a run does at a time: one bit, from where the last one stopped (`bot.people.syncs`)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bot.wecom.client import WeComApi
from store.accounts import Account
from store.db import Database

Position = Mapping[str, Any]


@dataclass(frozen=True)
class Trip:
    """A run under way: for which app, and since when."""

    database: Database
    api: WeComApi
    account: Account
    began_at: datetime
    clock: Callable[[], datetime]


@dataclass(frozen=True)
class Bit:
    """What a bit found, and where the next begins; none at the end."""

    position: Position | None
    counts: Mapping[str, int] = field(default_factory=dict)
