"""Glances: questions that only read, so that many people's can be answered in one trip."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from sqlmodel import Session

from bot.messages import Answer, Turn
from store import asking, trips
from store.asking import Wanted
from store.trips import Rows, Statement

View = TypeVar("View")


@dataclass(frozen=True)
class Glance(Generic[View]):
    """A handler that changes nothing.

    `asks` is one statement for many members, `views` reads their views out of its rows, by member,
    and `say` is pure.
    """

    asks: Callable[[Wanted, datetime], Statement]
    views: Callable[[Rows], Mapping[int, View]]
    say: Callable[[Turn, View, datetime], Answer]

    def __call__(self, turn: Turn, session: Session, now: datetime) -> Answer:
        """The answer to one person."""
        told, facts = self.asks(asking.these([turn.member_id]), now)
        return self.say(turn, self.views(trips.fetch(session, told, facts))[turn.member_id], now)
