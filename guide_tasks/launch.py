"""Launch: freeze the audience, hold some out, make care tasks chunk by chunk; resumable."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, String, case, cast, func, insert, literal, text, update
from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from content import notices
from guide_tasks import making
from guide_tasks.campaigns import DeadlinePassed, audience_ids
from store import launches
from store.audit import note
from store.campaigns import (
    UNLAUNCHED,
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

# Members of one transaction: few enough that nobody waits long for one of them.
CHUNK = 5_000
# While one waits for the database the other writes drafts.
_HANDS = 2
_PERCENT = 100
_POSITIVE_INT4 = 0x7FFFFFFF
_CARDS_AT_ONCE = 1_000
_CUT = text("""
    INSERT INTO launch_chunks (campaign_id, number, first_id, last_id)
    SELECT :campaign, place / :size, min(member_id), max(member_id)
    FROM (SELECT member_id, row_number() OVER (ORDER BY member_id) - 1 AS place
          FROM audience_members WHERE campaign_id = :campaign AND arm = 'treated') AS treated
    GROUP BY place / :size
""")
# A set less a set: a plan by rows would take for ever where statistics are not up to date.
_OVERLOOKED = text("""
    SELECT id FROM members WHERE status = 'active' AND id IN (
        SELECT member_id FROM audience_members WHERE campaign_id = :campaign AND arm = 'treated'
        EXCEPT SELECT member_id FROM care_tasks WHERE campaign_id = :campaign)
    ORDER BY id
""")


def freeze(session: Session, campaign: Campaign, *, actor: str, now: datetime) -> int:
    """Freeze the audience, an arm for each member, and nudge the launch; gives its size."""
    session.refresh(campaign, with_for_update=True)
    if campaign.state not in UNLAUNCHED:
        raise WrongState("campaign", campaign.state, CampaignState.LAUNCHING)
    if campaign.deadline_at <= now:
        raise DeadlinePassed(campaign.deadline_at)
    chosen = audience_ids(campaign, now=now).subquery()
    arm = arm_of(campaign, chosen.c.id)
    # Each row locks the key of its member: in id order, as every act on members does.
    rows = select(literal(campaign.id), chosen.c.id, arm).order_by(chosen.c.id)
    session.exec(insert(AudienceMember).from_select(["campaign_id", "member_id", "arm"], rows))
    session.connection().execute(_CUT, {"campaign": campaign.id, "size": CHUNK})
    campaign.tasks_planned = session.exec(_size(campaign.id, Arm.TREATED)).one()
    campaign.state, campaign.launched_at = CampaignState.LAUNCHING, now
    note(session, actor, "campaign.launch", subject=f"campaign:{campaign.id}", now=now)
    after_commit(session, Job.LAUNCH_CAMPAIGN, campaign.id)
    # Reading flushes, so that a second call in this transaction sees the state.
    return session.exec(_size(campaign.id, *Arm)).one()


def arm_of(campaign: Campaign, member_id: ColumnElement[int]) -> ColumnElement[str]:
    """SQL: the arm that chance gives a member.

    It is a hash of campaign token and member, so that nobody can steer it and a repeat agrees.
    """
    chance = func.hashtext(literal(campaign.token).concat(cast(member_id, String)))
    ticket = chance.op("&")(_POSITIVE_INT4) % _PERCENT
    return case((ticket < campaign.holdout_percent, Arm.HOLDOUT.value), else_=Arm.TREATED.value)


def _size(campaign_id: int, *arms: Arm) -> SelectOfScalar[int]:
    return (
        select(func.count())
        .select_from(AudienceMember)
        .where(AudienceMember.campaign_id == campaign_id, col(AudienceMember.arm).in_(arms))
    )


def run(database: Database, campaign_id: int, *, public_url: str, now: datetime) -> None:
    """Make all tasks of a launching campaign, a short transaction a chunk, then one card a guide.

    Safe to run again after a crash and by several workers: each takes the next chunk that is free.
    """
    with database.transaction() as session:
        campaign = session.get_one(Campaign, campaign_id)
        if campaign.state is not CampaignState.LAUNCHING:
            return
        words = making.words_of(session, campaign, public_url=public_url, now=now)
    with ThreadPoolExecutor(_HANDS) as pool:
        for hand in [pool.submit(_make, database, campaign_id, words, now) for _ in range(_HANDS)]:
            hand.result()
    with database.transaction() as session:
        _finish(session, campaign_id, words, now)


def _make(database: Database, campaign_id: int, words: making.Words, now: datetime) -> None:
    while _next_chunk(database, campaign_id, words, now):
        pass


def _next_chunk(database: Database, campaign_id: int, words: making.Words, now: datetime) -> bool:
    with database.transaction() as session:
        chunk = launches.take(session, campaign_id)
        campaign = session.get_one(Campaign, campaign_id)
        if chunk is None or campaign.state is not CampaignState.LAUNCHING:
            return False
        members = _treated(session, chunk)
        made = making.make_tasks(session, campaign, members, words, now=now)
        chunk.done_at = now
        _count(session, campaign_id, made)
        return True


def _treated(session: Session, chunk: launches.LaunchChunk) -> list[int]:
    query = (
        select(AudienceMember.member_id)
        .where(AudienceMember.campaign_id == chunk.campaign_id, AudienceMember.arm == Arm.TREATED)
        .where(col(AudienceMember.member_id).between(chunk.first_id, chunk.last_id))
        .order_by(col(AudienceMember.member_id))
    )
    return list(session.exec(query).all())


def _count(session: Session, campaign_id: int, made: int) -> None:
    """The last act of a chunk: others who count wait only for its commit."""
    session.flush()
    more = update(Campaign).where(col(Campaign.id) == campaign_id)
    session.exec(
        more.values(tasks_made=Campaign.tasks_made + made).execution_options(
            synchronize_session=False
        )
    )


def _finish(session: Session, campaign_id: int, words: making.Words, now: datetime) -> None:
    """Start the campaign: one card in the outbox for every guide who has something to do.

    Whoever is not the last leaves it to the last, or to the sweeper.
    """
    campaign = session.get_one(Campaign, campaign_id)
    # The key stays free, so that guides who send already do not wait for the launch.
    session.refresh(campaign, with_for_update={"key_share": True})
    if campaign.state is not CampaignState.LAUNCHING or not launches.is_done(session, campaign_id):
        return
    # A merge can hand a place in the audience to a member whose chunk was done by then.
    late = _overlooked(session, campaign)
    if late:
        campaign.tasks_made += making.make_tasks(session, campaign, late, words, now=now)
    _post_cards(session, campaign, words.public_url, now)
    campaign.state = CampaignState.RUNNING


def _overlooked(session: Session, campaign: Campaign) -> list[int]:
    """Treated members without a task; as long as the numbers agree there are none."""
    session.flush()
    if campaign.tasks_made == campaign.tasks_planned:
        return []
    found = session.connection().execute(_OVERLOOKED, {"campaign": campaign.id})
    return list(found.scalars())


def _post_cards(session: Session, campaign: Campaign, public_url: str, now: datetime) -> None:
    zone = ZoneInfo(session.get_one(Brand, campaign.brand_id).timezone)
    cards = [
        NoticeForm(
            key=f"card-{assignment_id}",
            guide_id=guide_id,
            kind=NoticeKind.CARD,
            message=notices.task_card(
                campaign=campaign.name,
                tasks=tasks,
                deadline_at=campaign.deadline_at,
                zone=zone,
                url=f"{public_url}/guide/a/{token}",
            ),
            assignment_id=assignment_id,
        )
        for assignment_id, guide_id, token, tasks in _shares(session, campaign.id)
    ]
    _post_in_blocks(session, cards, now)


def _post_in_blocks(session: Session, cards: Sequence[NoticeForm], now: datetime) -> None:
    """A statement takes 65,535 values at most."""
    for start in range(0, len(cards), _CARDS_AT_ONCE):
        post_all(session, cards[start : start + _CARDS_AT_ONCE], now=now)


def _shares(session: Session, campaign_id: int) -> list[tuple[int, int, str, int]]:
    """Assignments with something to do: id, guide, token and tasks."""
    tasks = (
        select(CareTask.assignment_id, func.count().label("open"))
        .where(CareTask.campaign_id == campaign_id, CareTask.state == TaskState.ASSIGNED)
        .group_by(col(CareTask.assignment_id))
        .subquery()
    )
    query = (
        select(Assignment.id, Assignment.guide_id, Assignment.token, tasks.c.open)
        .join(tasks, tasks.c.assignment_id == Assignment.id)
        .order_by(col(Assignment.id))
    )
    return list(session.exec(query).all())
