"""Becoming a member: the page where the mobile is bound."""

from datetime import datetime

from sqlmodel import Session

from bot.messages import Answer, Card, Reply, Turn
from content.messages import MessageKind, render
from content.phrases import joining_gift
from store import binding, members
from store.members import Member


def show(turn: Turn, session: Session, _now: datetime) -> Answer:
    """Where to bind; a member is told that it is done."""
    member = session.get_one(Member, turn.member_id)
    if member.mobile is not None:
        masked = members.mask(member.mobile)
        return Reply(render(MessageKind.BOUND, masked=masked, url=turn.page("card")))
    gift = binding.offered(session, member.brand_id) if member.joined_at is None else None
    words = joining_gift(gift.coupon, gift.points) if gift else ""
    return Card(
        render(MessageKind.BIND_TITLE), render(MessageKind.BIND, gift=words), turn.page("bind")
    )
