"""Coupons: what can be used now."""

from datetime import datetime

from sqlmodel import Session

from bot.messages import Answer, Reply, Turn
from content.messages import MessageKind, render
from store import coupons

# More would run over the length of a message.
_MOST = 8


def show(turn: Turn, session: Session, now: datetime) -> Answer:
    """The usable coupons, the first to expire on top."""
    usable = coupons.usable(session, turn.member_id, now)
    text = render(
        MessageKind.COUPONS,
        total=len(usable),
        on_the_way=len(coupons.on_the_way(session, turn.member_id, now)),
        url=turn.page("coupons"),
        coupons=[
            {
                "name": plan.name,
                "min_spend_fen": plan.min_spend_fen,
                "ends_on": turn.day(coupon.expires_at),
                "code": coupon.code,
            }
            for coupon, plan in usable[:_MOST]
        ],
    )
    # A coupon's code is worth money at the till.
    return Reply(text, is_private=True)
