"""The member's own guide: who, where, when, and how to become contacts in WeCom."""

from datetime import datetime

from sqlmodel import Session

from bot.handlers.shops import hours_line
from bot.messages import Answer, Reply, Turn
from content.messages import MessageKind, render
from store import relations
from store.organisation import Shop


def show(turn: Turn, session: Session, now: datetime) -> Answer:
    """Who looks after this member, and where."""
    guide = relations.guide_of(session, turn.member_id)
    if guide is None:
        return Reply(render(MessageKind.GUIDE, name=""))
    shop = session.get_one(Shop, guide.shop_id)
    text = render(
        MessageKind.GUIDE,
        name=guide.name,
        shop=shop.name,
        hours=hours_line(session, shop, now),
        phone=shop.phone,
        address=shop.address,
        has_code=bool(guide.contact_url),
        url=turn.page("guide"),
    )
    return Reply(text)
