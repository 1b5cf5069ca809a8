"""Points: the balance, what expires soon, the last movements."""

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlmodel import Session

from bot.glances import Glance
from bot.messages import Answer, Reply, Turn
from content.messages import MessageKind, render
from content.phrases import POINTS_LABELS
from store import points_overview
from store.points_overview import Overview

# Two months leave time for a visit; a nearer horizon would be too late for most shoppers.
_SOON = timedelta(days=60)


def _read(session: Session, member_ids: Collection[int], now: datetime) -> dict[int, Overview]:
    return points_overview.read(session, member_ids, before=now + _SOON, now=now)


def _say(turn: Turn, overview: Overview, now: datetime) -> Answer:
    entries = [
        {"on": turn.day(move.at), "label": POINTS_LABELS[move.kind], "points": move.points}
        for move in overview.newest
    ]
    text = render(
        MessageKind.POINTS,
        balance=overview.balance,
        expiring=overview.expiring,
        before=turn.day(now + _SOON),
        url=turn.page("points"),
        entries=entries,
    )
    return Reply(text)


# What the member has.
show = Glance(_read, _say)
