"""What every kind of import declares, and what it gives back."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from store.db import Session
from store.imports.checking import Column


@dataclass(frozen=True)
class Context:
    """What an import knows besides the file: the brand, and the accounts whose ids the file holds."""

    brand_id: int
    zone: str
    source: str
    wechat_account: str | None
    wecom_account: str | None
    now: datetime


@dataclass(frozen=True)
class Landed:
    """How the good rows landed, counted in the kind's own noun (orders, not their lines)."""

    added: int
    updated: int
    unchanged: int


@dataclass(frozen=True)
class Kind:
    """A kind of file: its columns, and `land`, which refuses what the record forbids and writes the rest.

    `table` is the checked table that `land` finds; `rows_noun` names what `Landed` counts.
    """

    name: str
    columns: tuple[Column, ...]
    keys: tuple[str, ...]
    land: Callable[[Session, Context], Landed]
