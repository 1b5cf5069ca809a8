"""The member's own guide and shop."""

from datetime import datetime

from sqlmodel import Session

from bot.messages import Answer, Reply, Turn
from content.messages import MessageKind, render
from store import relations
from store.organisation import Shop


def show(turn: Turn, session: Session, _now: datetime) -> Answer:
    """Who looks after this member, and where."""
    guide = relations.guide_of(session, turn.member_id)
    if guide is None:
        return Reply(render(MessageKind.GUIDE, name="", shop="", address=""))
    shop = session.get_one(Shop, guide.shop_id)
    return Reply(render(MessageKind.GUIDE, name=guide.name, shop=shop.name, address=shop.address))
