"""Points: the balance, what expires soon, the last movements."""

from datetime import datetime, timedelta

from sqlmodel import Session

from bot.messages import Answer, Reply, Turn
from content.messages import MessageKind, render
from content.phrases import POINTS_LABELS
from store import points
from store.points import PointsEntry

# Two months leave time for a visit; a nearer horizon would be too late for most shoppers.
_SOON = timedelta(days=60)


def show(turn: Turn, session: Session, now: datetime) -> Answer:
    """What the member has."""
    soon = now + _SOON
    entries = points.history(session, turn.member_id, limit=5)
    text = render(
        MessageKind.POINTS,
        balance=points.balance(session, turn.member_id),
        expiring=points.expiring(session, turn.member_id, before=soon, now=now),
        before=turn.day(soon),
        entries=[_line(turn, entry) for entry in entries],
    )
    return Reply(text)


def _line(turn: Turn, entry: PointsEntry) -> dict[str, object]:
    return {
        "on": turn.day(entry.created_at),
        "label": POINTS_LABELS[entry.kind],
        "points": entry.points,
    }
