"""Points: the balance, what expires soon, the last movements."""

from datetime import datetime, timedelta

from sqlmodel import Session

from bot.messages import Answer, Reply, Turn
from content.messages import MessageKind, render
from content.phrases import POINTS_LABELS
from store import points

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
        entries=[
            {
                "on": turn.day(each.created_at),
                "label": POINTS_LABELS[each.kind],
                "points": each.points,
            }
            for each in entries
        ],
    )
    return Reply(text)
