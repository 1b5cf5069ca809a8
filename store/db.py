"""The database: engine, and the one `transaction()` that commits (design.md §5)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

import psycopg
from sqlalchemy import Engine, PoolProxiedConnection, create_engine, event
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.pool import ConnectionPoolEntry
from sqlmodel import Session

from store import resting
from store.bare import Lines

__all__ = ["Database", "Engine", "Session", "make_engine", "on_commit"]

_PENDING = "zhiyin_after_commit"


def make_engine(url: str, *, pool_size: int = 10, echo: bool = False) -> Engine:
    """An engine with a pool; `postgresql://` URLs are read as psycopg 3."""
    if url.startswith("postgresql://"):
        url = url.replace("postgresql://", "postgresql+psycopg://", 1)
    # Parameters are people's names, mobiles and codes: no error text may show them.
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=pool_size,
        # The one that was used last knows its statements.
        pool_use_lifo=True,
        echo=echo,
        hide_parameters=True,
    )
    event.listen(engine, "checkin", _note_rest)
    event.listen(engine, "checkout", _refuse_dead)
    return engine


def _note_rest(_raw: psycopg.Connection | None, entry: ConnectionPoolEntry) -> None:
    entry.info["rests_since"] = monotonic()


def _refuse_dead(
    raw: psycopg.Connection, entry: ConnectionPoolEntry, _proxy: PoolProxiedConnection
) -> None:
    """Have the pool make new connections where the server has hung up on this one."""
    rested = monotonic() - entry.info.get("rests_since", monotonic())
    if not (resting.is_silent(raw) if rested < resting.LONG else _answers(raw)):
        raise InvalidatePoolError


def _answers(raw: psycopg.Connection) -> bool:
    try:
        raw.execute("")
        raw.rollback()
    except psycopg.Error:
        return False
    return True


def on_commit(session: Session, item: Any) -> None:
    """Remember `item` until the transaction of this session commits."""
    session.info.setdefault(_PENDING, []).append(item)


class Database:
    """Opens transactions on one engine and hands collected nudges over after each commit."""

    def __init__(self, engine: Engine, hand_over: Callable[[Any], None] | None = None) -> None:
        self.engine = engine
        self.lines = Lines(engine.url)
        self._hand_over = hand_over or (lambda _item: None)

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """One short transaction: commit at the end, roll back on any exception, then nudge."""
        with Session(self.engine, expire_on_commit=False) as session:
            with session.begin():
                yield session
            for item in session.info.pop(_PENDING, []):
                self._hand_over(item)

    def close(self) -> None:
        """Hang up all that rests; what is open goes on."""
        self.lines.close()
        self.engine.dispose()
