"""Glances: questions that only read, so that many people's can be answered in one trip."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from sqlmodel import Session

from bot.messages import Answer, Turn

View = TypeVar("View")


@dataclass(frozen=True)
class Glance(Generic[View]):
    """A handler that changes nothing: `read` takes many members at once, `say` is pure."""

    read: Callable[[Session, Collection[int], datetime], Mapping[int, View]]
    say: Callable[[Turn, View, datetime], Answer]

    def __call__(self, turn: Turn, session: Session, now: datetime) -> Answer:
        """The answer to one person."""
        return self.say(turn, self.read(session, [turn.member_id], now)[turn.member_id], now)
