"""The database: engine, and the one `transaction()` that commits (design.md §5)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, create_engine
from sqlmodel import Session

__all__ = ["Database", "Engine", "Session", "make_engine", "on_commit"]

_PENDING = "zhiyin_after_commit"


def make_engine(url: str, *, pool_size: int = 10, echo: bool = False) -> Engine:
    """An engine with a pool; `postgresql://` URLs are read as psycopg 3."""
    if url.startswith("postgresql://"):
        url = url.replace("postgresql://", "postgresql+psycopg://", 1)
    # Parameters are people's names, mobiles and codes: no error text may show them.
    return create_engine(
        url,
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_pre_ping=True,
        echo=echo,
        hide_parameters=True,
    )


def on_commit(session: Session, item: Any) -> None:
    """Remember `item` until the transaction of this session commits."""
    session.info.setdefault(_PENDING, []).append(item)


class Database:
    """Opens transactions on one engine and hands collected nudges over after each commit."""

    def __init__(self, engine: Engine, hand_over: Callable[[Any], None] | None = None) -> None:
        self.engine = engine
        self._hand_over = hand_over or (lambda _item: None)

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """One short transaction: commit at the end, roll back on any exception, then nudge."""
        with Session(self.engine, expire_on_commit=False) as session:
            with session.begin():
                yield session
            for item in session.info.pop(_PENDING, []):
                self._hand_over(item)
