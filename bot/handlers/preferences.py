"""Stop and resume: the member says less, and is obeyed at once (compliance.md §3.5)."""

from datetime import datetime

from sqlmodel import Session

from bot.messages import Answer, Reply, Turn
from content.messages import MessageKind, render
from fatigue import preferences


def stop(turn: Turn, session: Session, now: datetime) -> Answer:
    """No more marketing or care on any channel."""
    preferences.stop(session, turn.member_id, reason="chat", now=now)
    return Reply(render(MessageKind.STOPPED))


def resume(turn: Turn, session: Session, now: datetime) -> Answer:
    """The member takes the stop back."""
    preferences.resume(session, turn.member_id, source="chat", now=now)
    return Reply(render(MessageKind.RESUMED))
