"""Launch: freeze the audience, hold some out, make care tasks chunk by chunk; resumable."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import String, case, cast, func, insert, literal
from sqlalchemy.dialects import postgresql
from sqlmodel import Session, col, select

from content import drafts, notices, picks, pieces
from fatigue import gate
from fatigue.gate import Ask
from fatigue.rules import Outcome
from guide_tasks import assign
from guide_tasks.campaigns import DeadlinePassed, audience_ids
from store import coupons
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
from store.coupons import CouponPlan
from store.db import Database
from store.errors import Refusal, WrongState
from store.jobs import Job, after_commit
from store.notices import NoticeForm, NoticeKind, post_all
from store.organisation import Brand
from store.pieces import ContentPiece
from store.tokens import new_token
from store.touches import Category, Channel

CHUNK = 500
_PERCENT = 100
_POSITIVE_INT4 = 0x7FFFFFFF


@dataclass(frozen=True, slots=True)
class _Words:
    """What every chunk of one launch shares."""

    piece: ContentPiece
    plan: CouponPlan | None
    best: picks.BestSellers
    house: drafts.Speaker
    public_url: str


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
    rows = select(literal(campaign.id), chosen.c.id, arm)
    frozen = session.connection().execute(
        insert(AudienceMember).from_select(["campaign_id", "member_id", "arm"], rows)
    )
    campaign.state, campaign.launched_at = CampaignState.LAUNCHING, now
    note(session, actor, "campaign.launch", subject=f"campaign:{campaign.id}", now=now)
    after_commit(session, Job.LAUNCH_CAMPAIGN, campaign.id)
    return frozen.rowcount


def run(database: Database, campaign_id: int, *, public_url: str, now: datetime) -> None:
    """Make all tasks of a launching campaign, a short transaction a chunk, then one card a guide.

    Safe to run again after a crash and by two workers: a chunk moves the cursor under a lock.
    """
    with database.transaction() as session:
        campaign = session.get_one(Campaign, campaign_id)
        if campaign.state is not CampaignState.LAUNCHING:
            return
        words = _words(session, campaign, public_url, now)
    while _next_chunk(database, campaign_id, words, now):
        pass
    with database.transaction() as session:
        _finish(session, campaign_id, public_url, now)


def _words(session: Session, campaign: Campaign, public_url: str, now: datetime) -> _Words:
    piece = session.get_one(ContentPiece, campaign.piece_id)
    plan = session.get(CouponPlan, campaign.coupon_plan_id) if campaign.coupon_plan_id else None
    house = drafts.house_speaker(session.get_one(Brand, campaign.brand_id).name)
    return _Words(piece, plan, picks.best_sellers(session, now=now), house, public_url)


def _next_chunk(database: Database, campaign_id: int, words: _Words, now: datetime) -> bool:
    with database.transaction() as session:
        campaign = session.get_one(Campaign, campaign_id)
        session.refresh(campaign, with_for_update=True)
        if campaign.state is not CampaignState.LAUNCHING:
            return False
        member_ids = _treated_after(session, campaign)
        if member_ids:
            _make_tasks(session, campaign, member_ids, words, now)
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


def _make_tasks(
    session: Session, campaign: Campaign, member_ids: Sequence[int], words: _Words, now: datetime
) -> None:
    choices = assign.choose(session, campaign.id, member_ids)
    facts = drafts.facts_of(session, member_ids, now=now)
    speakers = drafts.speakers(session, [choice.guide_id for choice in choices.values()])
    chosen = picks.picks_for(
        session, {member_id: facts[member_id].favourites for member_id in member_ids}, words.best
    )
    tasks = []
    for member_id in member_ids:
        choice = choices.get(member_id)
        speaker = speakers[choice.guide_id] if choice else words.house
        task = _task(campaign, member_id, choice, now)
        task.picks = [pick.product_id for pick in chosen[member_id]]
        task.reason = drafts.reason(facts[member_id])
        variables = drafts.variables(
            facts[member_id],
            speaker,
            product=chosen[member_id][0].name if chosen[member_id] else "",
            coupon=_give_coupon(session, campaign, member_id, words.plan, now),
            link=f"{words.public_url}/m/picks/{task.token}",
        )
        task.draft = pieces.render(words.piece.text, variables)
        tasks.append(task)
    _assign(session, campaign, tasks, now)
    _suppress(session, campaign, tasks, now)
    session.add_all(tasks)


def _task(
    campaign: Campaign, member_id: int, choice: assign.Choice | None, now: datetime
) -> CareTask:
    """A task with a guide who can write to the member; else it falls back at once."""
    has_voice = choice is not None and choice.is_friend
    return CareTask(
        campaign_id=campaign.id,
        member_id=member_id,
        token=new_token(),
        guide_id=choice.guide_id if choice and has_voice else None,
        state=TaskState.ASSIGNED if has_voice else TaskState.PLANNED,
        deadline_at=campaign.deadline_at if has_voice else now,
        created_at=now,
        moved_at=now,
    )


def _give_coupon(
    session: Session, campaign: Campaign, member_id: int, plan: CouponPlan | None, now: datetime
) -> str:
    """Issue the campaign's coupon and give its name; nothing when stock or limit say no."""
    if plan is None:
        return ""
    try:
        coupons.issue(
            session,
            plan.id,
            member_id,
            reason="campaign",
            source_id=f"{campaign.id}:{member_id}",
            now=now,
        )
    except Refusal:
        return ""
    return plan.name


def _assign(session: Session, campaign: Campaign, tasks: Sequence[CareTask], now: datetime) -> None:
    """Give every guide of the chunk an assignment, the same one in every chunk."""
    guide_ids = sorted({task.guide_id for task in tasks if task.guide_id is not None})
    if guide_ids:
        rows = [
            {"token": new_token(), "campaign_id": campaign.id, "guide_id": guide, "created_at": now}
            for guide in guide_ids
        ]
        upsert = postgresql.insert(Assignment).values(rows).on_conflict_do_nothing()
        session.connection().execute(upsert)
    assignments = assign.assignments_of(session, campaign.id)
    for task in tasks:
        if task.guide_id is not None:
            task.assignment_id = assignments[task.guide_id].id


def _suppress(
    session: Session, campaign: Campaign, tasks: Sequence[CareTask], now: datetime
) -> None:
    """Tasks that no channel may ever carry before the deadline are ended here, each with its rule.

    They are asked for real, so that the touch log holds the reason of every silence.
    """
    asks = [_first_ask(campaign, task) for task in tasks]
    hopeless = [
        place
        for place, found in enumerate(gate.dry_run(session, asks, now=now))
        if found.outcome is Outcome.WITHHOLD
    ]
    for place, touch in zip(
        hopeless, gate.ask_many(session, [asks[i] for i in hopeless], now=now), strict=True
    ):
        violations = touch.verdict.get("violations", [])
        tasks[place].state = TaskState.SUPPRESSED
        tasks[place].state_reason = violations[0]["rule"] if violations else ""


def _first_ask(campaign: Campaign, task: CareTask) -> Ask:
    """May anybody reach this member at all: the guide, or a fallback channel."""
    fallback = tuple(Channel(name) for name in campaign.fallback_channels)
    own = (Channel.WECOM_BROADCAST,) if task.guide_id is not None else ()
    return Ask(
        key=f"launch-{campaign.id}-{task.member_id}",
        member_id=task.member_id,
        channels=own + fallback,
        category=Category(campaign.category),
        brand_id=campaign.brand_id,
        campaign_id=campaign.id,
        guide_id=task.guide_id,
        priority=campaign.priority,
        deadline_at=campaign.deadline_at,
    )


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
