"""The fallback: what the bot can do."""

from datetime import datetime

from sqlmodel import Session

from bot.messages import Answer, Reply, Turn
from content.messages import MessageKind, render


def help_out(_turn: Turn, _session: Session, _now: datetime) -> Answer:
    """The words that work."""
    return Reply(render(MessageKind.HELP))
