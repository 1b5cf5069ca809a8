"""Why was this member not touched, and could they be now? Reads only."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from sqlmodel import Session, col, or_, select

from fatigue import desks, facts
from fatigue.asks import Ask, as_it_stands
from fatigue.case import Verdict
from fatigue.judging import judge
from fatigue.quiet_hours import day_of
from store.campaigns import Arm, AudienceMember, Campaign, CampaignState, CareTask
from store.errors import NotFound
from store.members import Member
from store.relations import Ownership
from store.touches import Category, Channel, Touch, TouchState

_TO_MEMBERS = tuple(channel for channel in Channel if channel is not Channel.WECOM_APP)
_REACHED = frozenset({TouchState.SENDING, TouchState.SENT, TouchState.UNKNOWN})
_WAITING = frozenset({TouchState.ASKED, TouchState.RESERVED})


class Cause(StrEnum):
    """What it comes down to, the nearest to a message first."""

    REACHED = "reached"
    WAITING = "waiting"
    TASK_ENDED = "task_ended"
    WITHHELD = "withheld"
    FAILED = "failed"
    CALLED_OFF = "called_off"
    HELD_OUT = "held_out"
    WITH_GUIDE = "with_guide"
    NOT_CHOSEN = "not_chosen"
    NOT_LAUNCHED = "not_launched"
    NOT_ASKED = "not_asked"


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


@dataclass(frozen=True, slots=True)
class Silence:
    """Why a member heard nothing, or that they did; `reason` is that of the care task, if any."""

    cause: Cause
    stories: tuple[Story, ...] = ()
    reason: str = ""


def explain(
    session: Session, member_id: int, *, now: datetime, limit: int = 50
) -> tuple[list[Story], list[Door]]:
    """The member's newest touches with their verdicts, and every door as it stands now."""
    query = select(Touch).where(Touch.member_id == member_id)
    newest = query.order_by(col(Touch.asked_at).desc(), col(Touch.id).desc()).limit(limit)
    return [_story(touch) for touch in session.exec(newest)], _doors(session, member_id, now)


def why_silent_in(session: Session, member_id: int, campaign_id: int) -> Silence:
    """Why a campaign did not reach a member: the gate, the guide, chance, or never chosen."""
    campaign = session.get(Campaign, campaign_id)
    if campaign is None:
        raise NotFound(f"There is no campaign {campaign_id}.")
    stories = _stories(session, member_id, Touch.campaign_id == campaign_id)
    of_member = (CareTask.campaign_id == campaign_id, CareTask.member_id == member_id)
    task = session.exec(select(CareTask).where(*of_member)).first()
    cause = _of_stories(stories)
    if cause in {Cause.REACHED, Cause.WAITING}:
        return Silence(cause, stories)
    if task is not None and task.state_reason:
        return Silence(Cause.TASK_ENDED, stories, task.state_reason)
    if cause is not None:
        return Silence(cause, stories)
    if task is not None:
        return Silence(Cause.WITH_GUIDE, reason=task.state)
    return Silence(_never_asked(session, member_id, campaign))


def why_silent_on(session: Session, member_id: int, day: date) -> Silence:
    """Why a member heard nothing on a day of their own calendar: all that was asked or waited."""
    start, end = day_of(day, facts.zone_of(session, member_id))
    was_there = col(Touch.asked_at) < end
    was_not_over = or_(col(Touch.settled_at).is_(None), col(Touch.settled_at) >= start)
    stories = _stories(session, member_id, was_there & was_not_over)
    return Silence(_of_stories(stories) or Cause.NOT_ASKED, stories)


def _of_stories(stories: Sequence[Story]) -> Cause | None:
    """What the touches come down to; nothing where there are none."""
    states = {story.state for story in stories}
    if states & _REACHED:
        return Cause.REACHED
    if states & _WAITING:
        return Cause.WAITING
    causes = {
        TouchState.WITHHELD: Cause.WITHHELD,
        TouchState.FAILED: Cause.FAILED,
        TouchState.RELEASED: Cause.CALLED_OFF,
    }
    return next((cause for state, cause in causes.items() if state in states), None)


def _never_asked(session: Session, member_id: int, campaign: Campaign) -> Cause:
    if campaign.state in {CampaignState.DRAFT, CampaignState.SCHEDULED, CampaignState.LAUNCHING}:
        return Cause.NOT_LAUNCHED
    chosen = session.get(AudienceMember, (campaign.id, member_id))
    if chosen is None:
        return Cause.NOT_CHOSEN
    return Cause.HELD_OUT if chosen.arm is Arm.HOLDOUT else Cause.NOT_ASKED


def _stories(session: Session, member_id: int, which: object) -> tuple[Story, ...]:
    query = select(Touch).where(Touch.member_id == member_id, which)  # type: ignore[arg-type]  # a comparison of a column reads as bool
    ordered = query.order_by(col(Touch.asked_at), col(Touch.id))
    return tuple(_story(touch) for touch in session.exec(ordered))


def _story(touch: Touch) -> Story:
    return Story(
        touch.id,
        touch.asked_at,
        touch.category,
        touch.campaign_id,
        touch.state,
        as_it_stands(touch),
    )


def _doors(session: Session, member_id: int, now: datetime) -> list[Door]:
    """Each by itself: of one door that is open, the next does not know."""
    member = session.get(Member, member_id)
    if member is None:
        raise NotFound(f"There is no member {member_id}.")
    own_guide = select(Ownership.guide_id).where(
        Ownership.member_id == member_id, col(Ownership.until).is_(None)
    )
    guide_id = session.exec(own_guide).first()
    policy, standings = desks.look(session, [member_id], [], now=now)
    doors = []
    for channel in _TO_MEMBERS:
        for category in Category:
            ask = Ask(
                key="",
                member_id=member_id,
                channels=(channel,),
                category=category,
                brand_id=member.brand_id,
                guide_id=guide_id,
            )
            doors.append(Door(channel, category, judge(policy, standings[member_id], ask, now)))
    return doors
