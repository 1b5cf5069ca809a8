"""Why was this member not touched, and could they be now? Reads only."""

from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session, col, select

from fatigue.asking import dry_run
from fatigue.asks import Ask, as_it_stands
from fatigue.verdict import Verdict
from store.errors import NotFound
from store.members import Member
from store.relations import Ownership
from store.touches import Category, Channel, Touch, TouchState

_TO_MEMBERS = (Channel.WECOM_BROADCAST, Channel.WECHAT_SERVICE, Channel.WECHAT_NOTICE)


@dataclass(frozen=True, slots=True)
class Story:
    """What the gate said to one ask, and what became of it."""

    touch_id: int
    asked_at: datetime
    category: Category
    campaign_id: int | None
    state: TouchState
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Door:
    """Whether a touch of this category could go through this channel now."""

    channel: Channel
    category: Category
    verdict: Verdict


def explain(
    session: Session, member_id: int, *, now: datetime, limit: int = 50
) -> tuple[list[Story], list[Door]]:
    """The member's newest touches with their verdicts, and every door as it stands now."""
    query = (
        select(Touch)
        .where(Touch.member_id == member_id)
        .order_by(col(Touch.asked_at).desc(), col(Touch.id).desc())
        .limit(limit)
    )
    stories = [
        Story(
            touch.id,
            touch.asked_at,
            touch.category,
            touch.campaign_id,
            touch.state,
            as_it_stands(touch),
        )
        for touch in session.exec(query).all()
    ]
    return stories, _doors(session, member_id, now)


def _doors(session: Session, member_id: int, now: datetime) -> list[Door]:
    member = session.get(Member, member_id)
    if member is None:
        raise NotFound(f"There is no member {member_id}.")
    own_guide = select(Ownership.guide_id).where(
        Ownership.member_id == member_id, col(Ownership.until).is_(None)
    )
    guide_id = session.exec(own_guide).first()
    ways = [(channel, category) for channel in _TO_MEMBERS for category in Category]
    doors = []
    for channel, category in ways:
        # One at a time: in one dry run the first would use up what the next may have.
        ask = Ask(
            key="",
            member_id=member_id,
            channels=(channel,),
            category=category,
            brand_id=member.brand_id,
            guide_id=guide_id,
        )
        doors.append(Door(channel, category, dry_run(session, [ask], now=now)[0].verdict))
    return doors
