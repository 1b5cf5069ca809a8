"""The router: explicit filters, first match wins, a spoken fallback last (design.md §10)."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.exc import OperationalError
from sqlmodel import Session

from bot.messages import Answer, Follow, Menu, Reply, Scan, Text, Turn, is_spoken
from content import keywords, phrases
from content.phrases import Intent
from store import inbound
from store.errors import Refusal, whereabouts

_log = logging.getLogger(__name__)

Handler = Callable[[Turn, Session, datetime], Answer]


@dataclass(frozen=True)
class Filter:
    """A question about a turn; `|` is either, `&` is both."""

    test: Callable[[Turn], bool]

    def __or__(self, other: "Filter") -> "Filter":
        return Filter(lambda turn: self.test(turn) or other.test(turn))

    def __and__(self, other: "Filter") -> "Filter":
        return Filter(lambda turn: self.test(turn) and other.test(turn))


def wants(intent: Intent) -> Filter:
    """The words say the wish, or the menu button of that key was tapped."""
    tapped = Menu(intent.value)
    return says(intent) | Filter(lambda turn: turn.message == tapped)


def says(intent: Intent) -> Filter:
    """The words say the wish."""
    return Filter(
        lambda turn: isinstance(turn.message, Text) and keywords.means(turn.words, intent)
    )


def says_exactly(words: frozenset[str]) -> Filter:
    """The whole message is one of the words."""
    return Filter(lambda turn: keywords.normal(turn.words) in words)


def talking(step: str) -> Filter:
    """The person is at this step of a conversation and typed something."""
    return Filter(lambda turn: turn.step == step and isinstance(turn.message, Text))


TYPED = Filter(lambda turn: isinstance(turn.message, Text))
NUMBER = Filter(lambda turn: keywords.normal(turn.words).isdecimal())
FOLLOWS = Filter(lambda turn: isinstance(turn.message, Follow))
SCANS = Filter(lambda turn: isinstance(turn.message, Scan))
# Whoever wrote, sent or tapped something expects an answer.
EXPECTS_ANSWER = Filter(lambda turn: is_spoken(turn.message) or isinstance(turn.message, Menu))


@dataclass(frozen=True)
class Outcome:
    """What to say, and whether a fault of ours stands behind it."""

    answer: Answer
    is_fault: bool = False


class Router:
    """Filters with their handlers, in order."""

    def __init__(self, otherwise: Handler) -> None:
        self._routes: list[tuple[Filter, Handler]] = []
        self._otherwise = otherwise

    def on(self, wanted: Filter, handler: Handler) -> None:
        """Send what matches to `handler`, unless an earlier filter takes it."""
        self._routes.append((wanted, handler))

    def answer(self, turn: Turn, session: Session, now: datetime) -> Outcome:
        """The answer of the first handler that fits; what a failed one wrote is undone."""
        handler = self.handler(turn)
        try:
            with session.begin_nested():
                return Outcome(handler(turn, session, now))
        except Refusal as refusal:
            # What the conversation was about is refused, so it is over.
            inbound.end_talk(session, turn.identity_id)
            return Outcome(Reply(phrases.of_refusal(refusal)))
        except OperationalError:
            # The database is busy or away: the platform's next try may find it well.
            raise
        except Exception as fault:  # noqa: BLE001 -- here and in web, faults become answers
            # The person gets a sentence, never a stack trace.
            kind = type(turn.message).__name__
            _log.error("A handler failed on a %s: %s.", kind, whereabouts(fault))
            return Outcome(Reply(phrases.FAULT), is_fault=True)

    def handler(self, turn: Turn) -> Handler:
        """The one that a turn goes to."""
        for wanted, handler in self._routes:
            if wanted.test(turn):
                return handler
        return self._otherwise
