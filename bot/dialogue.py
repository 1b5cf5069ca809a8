"""Talks of several turns: where each one stands is a row (`store.inbound.Conversation`).

A talk is left by a cancel word at every step, by its own end, by silence, or by a stop. A talk with
a person is left by a release word only: "cancel" may be meant for the person.
"""

from datetime import datetime

from sqlmodel import Session

from bot.messages import Answer, Menu, Reply, Text, Turn
from bot.router import Filter, Handler
from content import keywords
from content.messages import MessageKind, render
from content.phrases import Intent
from store import inbound

# While a person answers, the bot keeps still.
HUMAN = "human"


def at(step: str) -> Filter:
    """The person is at this step of a talk, whatever they did."""
    return Filter(lambda turn: turn.step == step)


def tapped(prefix: str) -> Filter:
    """An item of a menu in the chat with a key such as `pause:30` was tapped."""
    return Filter(lambda turn: isinstance(turn.message, Menu) and _key(turn).startswith(prefix))


def number_of(turn: Turn, prefix: str) -> int:
    """The number behind the prefix of a tapped key, or in the words; 0 when there is none."""
    said = _key(turn).removeprefix(prefix) or keywords.normal(turn.words)
    return int(said) if said.isdecimal() and len(said) <= _LONGEST_NUMBER else 0


def confirmed(act: Handler, otherwise: Handler) -> Handler:
    """The handler of a yes: a mere "fine" is one only as the very next words after the question."""

    def handle(turn: Turn, session: Session, now: datetime) -> Answer:
        talk = inbound.conversation(session, turn.identity_id, now)
        if talk is None or keywords.is_decisive(turn.words):
            return act(turn, session, now)
        if not inbound.has_gone_on(session, turn.member_id, talk):
            return act(turn, session, now)
        return otherwise(turn, session, now)

    return handle


def stay(turn: Turn, session: Session, now: datetime) -> None:
    """The question of this step is asked again: a yes may follow it, and it lapses anew."""
    inbound.begin_talk(session, turn.identity_id, turn.step, facts=turn.facts, now=now)


def leave(turn: Turn, session: Session, _now: datetime) -> Answer:
    """The talk is over, and nothing came of it."""
    inbound.end_talk(session, turn.identity_id)
    return Reply(render(MessageKind.TALK_LEFT))


def _key(turn: Turn) -> str:
    return turn.message.key if isinstance(turn.message, Menu) else ""


# Somebody in a talk with the bot typed something, or wants out of it.
IN_TALK = Filter(lambda turn: turn.step not in {"", HUMAN} and isinstance(turn.message, Text))
CANCELS = IN_TALK & Filter(lambda turn: keywords.means(turn.words, Intent.CANCEL))
_LONGEST_NUMBER = 3
