"""The member's own data: one friendly message, and the page where everything is done."""

from datetime import datetime

from sqlmodel import Session

from bot.messages import Answer, Card, Turn
from content.messages import MessageKind, render


def show(turn: Turn, _session: Session, _now: datetime) -> Answer:
    """Where one looks at, takes away or erases what is known."""
    return Card(
        render(MessageKind.PRIVACY_TITLE), render(MessageKind.PRIVACY), turn.page("privacy")
    )
