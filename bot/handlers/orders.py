"""Orders: the last three, and where all of them are."""

from datetime import datetime

from sqlmodel import Session

from bot.messages import Answer, Reply, Turn
from content.messages import MessageKind, render
from store import order_reads
from store.order_reads import Bought

# More are easier to read on the page.
_MOST = 3


def show(turn: Turn, session: Session, _now: datetime) -> Answer:
    """What the member bought last."""
    newest = order_reads.of_member(session, turn.member_id, skip=0, limit=_MOST)
    lines = [_line(turn, order) for order in newest]
    return Reply(render(MessageKind.ORDERS, orders=lines, url=turn.page("orders")))


def _line(turn: Turn, order: Bought) -> dict[str, object]:
    return {
        "on": turn.day(order.paid_at),
        "shop": order.shop,
        "first": order.lines[0].name if order.lines else "",
        "kinds": len(order.lines),
        "paid_fen": order.amount_fen - order.refunded_fen,
        "refunded_fen": order.refunded_fen,
        "points": order.points,
    }
