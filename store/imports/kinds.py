"""What every kind of import declares, and what it gives back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from store.db import Session
from store.imports.checking import Column


@dataclass(frozen=True)
class Context:
    """What an import knows besides the file: the brand, the accounts whose ids the file holds."""

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


def _nobody(_session: Session) -> Sequence[int]:
    return ()


@dataclass(frozen=True)
class Kind:
    """A kind of file. `land` refuses what the record forbids and writes the rest of `checked`.

    `keys` name what may stand in a file once; `touched` gives the members whose facts and levels
    are to be renewed.
    """

    name: str
    columns: tuple[Column, ...]
    keys: tuple[str, ...]
    land: Callable[[Session, Context], Landed]
    touched: Callable[[Session], Sequence[int]] = _nobody
