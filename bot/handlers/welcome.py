"""Courtesies, and the fallback: what the bot can do."""

from datetime import datetime

from sqlmodel import Session

from bot.messages import Answer, Reply, Turn
from content.messages import MessageKind, render


def help_out(_turn: Turn, _session: Session, _now: datetime) -> Answer:
    """The words that work."""
    return Reply(render(MessageKind.HELP))


def let_be(_turn: Turn, _session: Session, _now: datetime) -> Answer:
    """The person decided against it."""
    return Reply(render(MessageKind.LET_BE))


def not_at_all(_turn: Turn, _session: Session, _now: datetime) -> Answer:
    """An answer to thanks."""
    return Reply(render(MessageKind.NOT_AT_ALL))
