"""Points: the balance, what expires soon, the last movements."""

from datetime import datetime, timedelta

from bot.glances import Glance
from bot.messages import Answer, Reply, Turn
from content.messages import MessageKind, render
from content.phrases import POINTS_LABELS
from store import points_overview
from store.asking import Wanted
from store.points_overview import Overview
from store.trips import Statement

# Two months leave time for a visit; a nearer horizon would be too late for most shoppers.
_SOON = timedelta(days=60)


def _asks(wanted: Wanted, now: datetime) -> Statement:
    return points_overview.reading(wanted, before=now + _SOON, now=now)


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
show = Glance(_asks, points_overview.overviews, _say)
