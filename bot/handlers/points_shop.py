"""The points shop: what points buy now; having it takes a tap on the page, never a word here."""

from datetime import datetime

from sqlmodel import Session

from bot.messages import Answer, Reply, Turn
from content.messages import MessageKind, render
from store import points, points_shop

# A taste; the page shows all.
_MOST = 4


def show(turn: Turn, session: Session, now: datetime) -> Answer:
    """What there is, and what the member could pay with."""
    there = points.spendable(session, turn.member_id, now)
    offered = [
        {"name": plan.name, "points": item.points}
        for item, plan in points_shop.shelf(session)
        if points_shop.left(item, plan) != 0
    ]
    text = render(
        MessageKind.POINTS_SHOP,
        spendable=there,
        items=offered[:_MOST],
        total=len(offered),
        url=turn.page("points/shop"),
    )
    return Reply(text)
