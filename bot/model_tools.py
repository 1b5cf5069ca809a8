"""What a language model may do for a member: look at what is theirs, and offer the rest to tap.

The tools are the handlers of the house, bound in code to the person who wrote: no tool takes an
argument, so the model can name nobody. They run in a read-only transaction, so that the database
itself refuses a change. What holds a secret goes to the person and not to the model.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from openai.types.chat import ChatCompletionFunctionToolParam
from sqlalchemy import text

from bot.handlers.free_words import SHOWS, sure, which
from bot.messages import Answer, Card, Choices, Menu, Reply, Turn
from bot.router import Handler, Router
from content import phrases
from content.phrases import INTENT_LABELS, SURE, Intent
from store import members
from store.db import Database

# Courtesies need no tool, and what answers a question belongs to the person alone.
_NO_TOOL = frozenset({Intent.HELP, Intent.GREETING, Intent.THANKS, Intent.CONFIRM, Intent.CANCEL})


class Decided(Exception):  # noqa: N818 -- it carries the answer out of the model's loop
    """A tool gave an answer that goes to the person as it is."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        super().__init__()


class Tools:
    """The tools for one message of one person."""

    def __init__(
        self, database: Database, handlers: Mapping[Intent, Handler], turn: Turn, now: datetime
    ) -> None:
        self._database, self._turn, self._now = database, turn, now
        self._handlers = {i.value: handler for i, handler in handlers.items() if i not in _NO_TOOL}

    def offered(self) -> list[ChatCompletionFunctionToolParam]:
        """The tools as the protocol describes them."""
        return [_described(Intent(name)) for name in self._handlers]

    def use(self, name: str) -> str:
        """What the model is told of a tool's answer; raises `Decided` when the person is answered.

        Arguments that came with the call are not looked at.
        """
        handler = self._handlers.get(name)
        if handler is None:
            return phrases.NO_SUCH_TOOL
        intent = Intent(name)
        if intent not in SHOWS:
            raise Decided(sure(intent) if intent in SURE else which([intent]))
        answer = self._look(handler, intent)
        if isinstance(answer, Reply) and not answer.is_private:
            return answer.text
        if isinstance(answer, Reply | Card | Choices):
            raise Decided(answer)
        return phrases.FAULT

    def _look(self, handler: Handler, intent: Intent) -> Answer:
        with self._database.transaction() as session:
            session.execute(text("SET TRANSACTION READ ONLY"))
            # While the model thought, a visitor may have become a member.
            member_id = members.survivor(session, self._turn.member_id)
            turn = replace(self._turn, message=Menu(intent.value), member_id=member_id)
            return Router(otherwise=handler).answer(turn, session, self._now).answer


def _described(intent: Intent) -> ChatCompletionFunctionToolParam:
    verb = phrases.TOOL_SHOWS if intent in SHOWS else phrases.TOOL_ASKS
    return {
        "type": "function",
        "function": {
            "name": intent.value,
            "description": verb.format(label=INTENT_LABELS[intent]),
            "parameters": {"type": "object", "properties": {}, "additionalProperties": False},
        },
    }
