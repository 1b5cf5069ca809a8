"""Making amends: a poor rating becomes a care task of the member's guide.

A care task belongs to a campaign, so each brand has one a day for this, made with its first task.
"""

from collections import Counter
from collections.abc import Collection
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, select

from content import drafts, notices, pieces
from content.ready_pieces import AMENDS
from guide_tasks import assign, duty
from store.campaigns import (
    WITH_GUIDE,
    Arm,
    AudienceMember,
    Campaign,
    CampaignState,
    CareTask,
    TaskState,
)
from store.feedback import Feedback
from store.members import Member
from store.notices import NoticeForm, NoticeKind, post
from store.organisation import Brand, Guide
from store.pieces import ContentPiece
from store.touches import Category

# Somebody who is cross waits no longer than a day.
_PATIENCE = timedelta(hours=24)
# The campaign of a day outlives the last task of that day.
_CAMPAIGN_LIFE = timedelta(days=2)
_PRIORITY = 90


def raise_task(
    session: Session, given: Feedback, *, public_url: str, now: datetime
) -> Guide | None:
    """Put a poor rating into the hands of a guide, who is told at once; none when there is nobody.

    Locks the member. A second poor rating of a day is a further line of the same task.
    """
    guide = duty.on_duty(session, given.member_id, load=lambda ids: _load(session, ids), now=now)
    if guide is None:
        return None
    member = session.get_one(Member, given.member_id)
    session.refresh(member, with_for_update=True)
    campaign = _campaign(session, given, now)
    task = _task(session, campaign, member, guide, given, now)
    given.care_task_id = task.id
    session.flush()
    message = notices.poor_rating(
        member=member.name,
        score=given.score,
        deadline_at=task.deadline_at,
        zone=_zone(session, given.brand_id),
        url=f"{public_url}/guide/t/{task.token}",
    )
    form = NoticeForm(f"feedback-{given.id}", guide.id, NoticeKind.FEEDBACK, message)
    post(session, form, now=now)
    return guide


def add_words(session: Session, given: Feedback, words: str) -> Guide | None:
    """Show the guide of a poor rating what the member said about it; gives that guide."""
    if given.care_task_id is None:
        return None
    task = session.get_one(CareTask, given.care_task_id)
    session.refresh(task, with_for_update=True)
    task.reason = f"{task.reason} {notices.one_line(words)}"
    session.flush()
    return session.get(Guide, task.guide_id) if task.guide_id is not None else None


def _task(
    session: Session,
    campaign: Campaign,
    member: Member,
    guide: Guide,
    given: Feedback,
    now: datetime,
) -> CareTask:
    query = select(CareTask).where(
        CareTask.campaign_id == campaign.id, CareTask.member_id == member.id
    )
    known = session.exec(query.with_for_update()).first()
    reason = notices.poor_rating_line(given.score)
    if known is not None:
        known.reason = f"{known.reason} {reason}"
        return known
    task = CareTask(
        campaign_id=campaign.id,
        assignment_id=assign.assignments_of(session, campaign.id, [guide.id], now=now)[guide.id],
        guide_id=guide.id,
        member_id=member.id,
        state=TaskState.ASSIGNED,
        reason=reason,
        draft=_draft(session, campaign, member.id, guide.id, now),
        deadline_at=now + _PATIENCE,
        created_at=now,
        moved_at=now,
    )
    session.add(AudienceMember(campaign_id=campaign.id, member_id=member.id, arm=Arm.TREATED))
    session.add(task)
    session.flush()
    return task


def _campaign(session: Session, given: Feedback, now: datetime) -> Campaign:
    """The brand's campaign of this day; its token says so, and two at once make one."""
    token = f"amends-{given.brand_id}-{given.given_on:%Y%m%d}"
    piece = session.exec(select(ContentPiece).where(ContentPiece.code == AMENDS.code)).first()
    fresh = Campaign(
        token=token,
        brand_id=given.brand_id,
        name=notices.amends_campaign(given.given_on),
        category=Category.CARE,
        state=CampaignState.RUNNING,
        audience={},
        holdout_percent=0,
        piece_id=(piece or pieces.publish(session, AMENDS, now=now)).id,
        priority=_PRIORITY,
        deadline_at=now + _CAMPAIGN_LIFE,
        created_at=now,
        launched_at=now,
    )
    values = fresh.model_dump(exclude={"id"})
    session.execute(insert(Campaign).values(**values).on_conflict_do_nothing())
    campaign = session.exec(select(Campaign).where(Campaign.token == token).with_for_update()).one()
    campaign.deadline_at = max(campaign.deadline_at, now + _PATIENCE)
    return campaign


def _draft(
    session: Session, campaign: Campaign, member_id: int, guide_id: int, now: datetime
) -> str:
    known = drafts.facts_of(session, [member_id], now=now)[member_id]
    speaker = drafts.speakers(session, [guide_id])[guide_id]
    piece = session.get_one(ContentPiece, campaign.piece_id)
    variables = drafts.variables(known, speaker, product="", coupon="", link="")
    return pieces.render(piece.text, variables)


def _load(session: Session, guide_ids: Collection[int]) -> Counter[int]:
    query = (
        select(CareTask.guide_id, func.count())
        .where(col(CareTask.guide_id).in_(guide_ids), col(CareTask.state).in_(WITH_GUIDE))
        .group_by(col(CareTask.guide_id))
    )
    return Counter({guide: tasks for guide, tasks in session.exec(query) if guide is not None})


def _zone(session: Session, brand_id: int) -> ZoneInfo:
    return ZoneInfo(session.get_one(Brand, brand_id).timezone)
