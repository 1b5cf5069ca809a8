"""Scheduled campaigns: the clock launches them, and until then the gate holds for their members."""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from fatigue import gate
from guide_tasks import launch
from guide_tasks.campaigns import DeadlinePassed, audience_ids
from store.audit import note
from store.campaigns import UNLAUNCHED, Arm, Campaign, CampaignState
from store.db import Database
from store.errors import WrongState
from store.jobs import Job, after_commit
from store.touches import Category, Channel

_log = logging.getLogger(__name__)

CHUNK = 1_000
# A guide who was given a card acts on it within a day, or hardly at all.
SPAN = timedelta(days=1)
_CLOCK = "schedule"


class LaunchTimePassed(WrongState):
    """A campaign cannot be scheduled for a moment that is over."""

    def __init__(self, launch_at: datetime) -> None:
        self.launch_at = launch_at
        super().__init__("campaign", "past the time given", CampaignState.SCHEDULED)


def schedule(
    session: Session, campaign: Campaign, *, launch_at: datetime, actor: str, now: datetime
) -> None:
    """Let the clock launch a draft at `launch_at`; a scheduled one is put to the new time.

    Refuses a time that is over, or not before the deadline.
    """
    session.refresh(campaign, with_for_update={"key_share": True})
    if campaign.state not in UNLAUNCHED:
        raise WrongState("campaign", campaign.state, CampaignState.SCHEDULED)
    if launch_at <= now:
        raise LaunchTimePassed(launch_at)
    if launch_at >= campaign.deadline_at:
        raise DeadlinePassed(campaign.deadline_at)
    campaign.state, campaign.launch_at = CampaignState.SCHEDULED, launch_at
    campaign.hold_cursor, campaign.held_at = 0, None
    facts = {"launch_at": launch_at.isoformat()}
    note(session, actor, "campaign.schedule", subject=_subject(campaign), now=now, **facts)
    after_commit(session, Job.HOLD_CAMPAIGN, campaign.id)


def unschedule(session: Session, campaign: Campaign, *, actor: str, now: datetime) -> None:
    """Make a scheduled campaign a draft again, and give back what it held."""
    session.refresh(campaign, with_for_update={"key_share": True})
    if campaign.state is not CampaignState.SCHEDULED:
        raise WrongState("campaign", campaign.state, CampaignState.DRAFT)
    campaign.state, campaign.launch_at = CampaignState.DRAFT, None
    campaign.hold_cursor, campaign.held_at = 0, None
    gate.lift(session, campaign.id, now=now)
    note(session, actor, "campaign.unschedule", subject=_subject(campaign), now=now)


def hold_audience(database: Database, campaign_id: int, *, now: datetime) -> None:
    """Hold for every treated member of a scheduled campaign, a short transaction a chunk.

    Safe to run again after a crash and by two workers: a chunk moves the cursor under a lock.
    """
    with database.transaction() as session:
        campaign = session.get_one(Campaign, campaign_id)
        member_ids = _treated(session, campaign, now)
    while _hold_chunk(database, campaign_id, member_ids, now):
        pass


def unheld() -> SelectOfScalar[int]:
    """The query of scheduled campaigns that do not hold for all their members yet."""
    return select(Campaign.id).where(
        Campaign.state == CampaignState.SCHEDULED, col(Campaign.held_at).is_(None)
    )


def launch_due(database: Database, *, now: datetime) -> int:
    """Launch what is due, and cancel what came to its deadline before; gives how many launched."""
    launched = 0
    while True:
        with database.transaction() as session:
            campaign = _next_due(session, now)
            if campaign is None:
                return launched
            launched += _launch(session, campaign, now)


def _treated(session: Session, campaign: Campaign, now: datetime) -> Sequence[int]:
    """Whom the launch would treat if it were now; whoever joins the audience later is not held."""
    chosen = audience_ids(campaign, now=now).subquery()
    arm = launch.arm_of(campaign, chosen.c.id)
    query = select(chosen.c.id).where(arm == Arm.TREATED.value).order_by(chosen.c.id)
    return session.exec(query).all()


def _hold_chunk(
    database: Database, campaign_id: int, member_ids: Sequence[int], now: datetime
) -> bool:
    """Whether there was something left to do."""
    with database.transaction() as session:
        campaign = session.get_one(Campaign, campaign_id)
        session.refresh(campaign, with_for_update={"key_share": True})
        if campaign.state is not CampaignState.SCHEDULED or campaign.held_at is not None:
            return False
        chunk = [one for one in member_ids if one > campaign.hold_cursor][:CHUNK]
        gate.hold(session, [_plan(campaign, member_id) for member_id in chunk], now=now)
        if chunk:
            campaign.hold_cursor = chunk[-1]
        else:
            campaign.held_at = now
        return bool(chunk)


def _plan(campaign: Campaign, member_id: int) -> gate.Plan:
    assert campaign.launch_at is not None
    return gate.Plan(
        campaign_id=campaign.id,
        member_id=member_id,
        channels=(
            Channel.WECOM_BROADCAST,
            *(Channel(name) for name in campaign.fallback_channels),
        ),
        category=Category(campaign.category),
        brand_id=campaign.brand_id,
        priority=campaign.priority,
        planned_from=campaign.launch_at,
        planned_until=min(campaign.launch_at + SPAN, campaign.deadline_at),
    )


def _next_due(session: Session, now: datetime) -> Campaign | None:
    query = (
        select(Campaign)
        .where(Campaign.state == CampaignState.SCHEDULED, col(Campaign.launch_at) <= now)
        .order_by(col(Campaign.launch_at), col(Campaign.id))
        .limit(1)
        .with_for_update(skip_locked=True, key_share=True)
        .execution_options(populate_existing=True)
    )
    return session.exec(query).first()


def _launch(session: Session, campaign: Campaign, now: datetime) -> int:
    try:
        launch.freeze(session, campaign, actor=_CLOCK, now=now)
    except DeadlinePassed:
        _log.warning("Campaign %s came to its deadline before its launch.", campaign.id)
        campaign.state = CampaignState.CANCELLED
        gate.lift(session, campaign.id, now=now)
        note(session, _CLOCK, "campaign.cancel", subject=_subject(campaign), now=now)
        return 0
    return 1


def _subject(campaign: Campaign) -> str:
    return f"campaign:{campaign.id}"
