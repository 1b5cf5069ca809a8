"""Launch: freeze the audience, hold some out, make care tasks chunk by chunk; resumable."""

from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import String, case, cast, func, insert, literal
from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from content import notices
from guide_tasks import making
from guide_tasks.campaigns import DeadlinePassed, audience_ids
from store.audit import note
from store.campaigns import (
    Arm,
    Assignment,
    AudienceMember,
    Campaign,
    CampaignState,
    CareTask,
    TaskState,
)
from store.db import Database
from store.errors import WrongState
from store.jobs import Job, after_commit
from store.notices import NoticeForm, NoticeKind, post_all
from store.organisation import Brand

CHUNK = 500
_PERCENT = 100
_POSITIVE_INT4 = 0x7FFFFFFF


def freeze(session: Session, campaign: Campaign, *, actor: str, now: datetime) -> int:
    """Freeze the audience, an arm for each member, and nudge the launch; gives the audience's size.

    Chance is a hash of campaign token and member, so that nobody can steer it and a repeat agrees.
    """
    session.refresh(campaign, with_for_update=True)
    if campaign.state is not CampaignState.DRAFT:
        raise WrongState("campaign", campaign.state, CampaignState.LAUNCHING)
    if campaign.deadline_at <= now:
        raise DeadlinePassed(campaign.deadline_at)
    chosen = audience_ids(campaign, now=now).subquery()
    chance = func.hashtext(literal(campaign.token).concat(cast(chosen.c.id, String)))
    ticket = chance.op("&")(_POSITIVE_INT4) % _PERCENT
    arm = case((ticket < campaign.holdout_percent, Arm.HOLDOUT.value), else_=Arm.TREATED.value)
    # Each row locks the key of its member: in id order, as every act on members does.
    rows = select(literal(campaign.id), chosen.c.id, arm).order_by(chosen.c.id)
    session.exec(insert(AudienceMember).from_select(["campaign_id", "member_id", "arm"], rows))
    campaign.state, campaign.launched_at = CampaignState.LAUNCHING, now
    note(session, actor, "campaign.launch", subject=f"campaign:{campaign.id}", now=now)
    after_commit(session, Job.LAUNCH_CAMPAIGN, campaign.id)
    # Reading flushes, so that a second call in this transaction sees the state.
    return session.exec(_size(campaign.id)).one()


def _size(campaign_id: int) -> SelectOfScalar[int]:
    return (
        select(func.count())
        .select_from(AudienceMember)
        .where(AudienceMember.campaign_id == campaign_id)
    )


def run(database: Database, campaign_id: int, *, public_url: str, now: datetime) -> None:
    """Make all tasks of a launching campaign, a short transaction a chunk, then one card a guide.

    Safe to run again after a crash and by two workers: a chunk moves the cursor under a lock.
    """
    with database.transaction() as session:
        campaign = session.get_one(Campaign, campaign_id)
        if campaign.state is not CampaignState.LAUNCHING:
            return
        words = making.words_of(session, campaign, public_url=public_url, now=now)
    while _next_chunk(database, campaign_id, words, now):
        pass
    with database.transaction() as session:
        _finish(session, campaign_id, public_url, now)


def _next_chunk(database: Database, campaign_id: int, words: making.Words, now: datetime) -> bool:
    with database.transaction() as session:
        campaign = session.get_one(Campaign, campaign_id)
        # The key stays free, so that guides who send already do not wait for the launch.
        session.refresh(campaign, with_for_update={"key_share": True})
        if campaign.state is not CampaignState.LAUNCHING:
            return False
        member_ids = _treated_after(session, campaign)
        if member_ids:
            making.make_tasks(session, campaign, member_ids, words, now=now)
            campaign.launch_cursor = member_ids[-1]
        return bool(member_ids)


def _treated_after(session: Session, campaign: Campaign) -> list[int]:
    query = (
        select(AudienceMember.member_id)
        .where(AudienceMember.campaign_id == campaign.id, AudienceMember.arm == Arm.TREATED)
        .where(AudienceMember.member_id > campaign.launch_cursor)
        .order_by(col(AudienceMember.member_id))
        .limit(CHUNK)
    )
    return list(session.exec(query).all())


def _finish(session: Session, campaign_id: int, public_url: str, now: datetime) -> None:
    """Start the campaign: one card in the outbox for every guide who has something to do."""
    campaign = session.get_one(Campaign, campaign_id)
    session.refresh(campaign, with_for_update=True)
    if campaign.state is not CampaignState.LAUNCHING:
        return
    zone = ZoneInfo(session.get_one(Brand, campaign.brand_id).timezone)
    cards = [
        NoticeForm(
            key=f"card-{assignment.id}",
            guide_id=assignment.guide_id,
            kind=NoticeKind.CARD,
            message=notices.task_card(
                campaign=campaign.name,
                tasks=tasks,
                deadline_at=campaign.deadline_at,
                zone=zone,
                url=f"{public_url}/guide/a/{assignment.token}",
            ),
            assignment_id=assignment.id,
        )
        for assignment, tasks in _open_tasks(session, campaign_id)
    ]
    post_all(session, cards, now=now)
    campaign.state = CampaignState.RUNNING


def _open_tasks(session: Session, campaign_id: int) -> list[tuple[Assignment, int]]:
    query = (
        select(Assignment, func.count())
        .join(CareTask, col(CareTask.assignment_id) == Assignment.id)
        .where(Assignment.campaign_id == campaign_id, CareTask.state == TaskState.ASSIGNED)
        .group_by(col(Assignment.id))
        .order_by(col(Assignment.id))
    )
    return list(session.exec(query).all())
