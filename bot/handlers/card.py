"""The member card: a page, or an invitation to become a member."""

from datetime import datetime

from sqlmodel import Session

from bot.messages import Answer, Reply, Turn
from content.messages import MessageKind, render
from store.members import Member


def show(turn: Turn, session: Session, _now: datetime) -> Answer:
    """Where the card is."""
    member = session.get_one(Member, turn.member_id)
    is_member = member.mobile is not None
    return Reply(render(MessageKind.CARD, is_member=is_member, url=turn.page("card")))
