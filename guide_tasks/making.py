"""Making the care tasks of a chunk: the guide, the goods, the coupon, the words, or the silence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.dialects import postgresql
from sqlmodel import Session, col, select

from content import drafts, picks, pieces
from content.drafts import DraftFacts, Speaker
from content.picks import Pick
from content.pieces import BadPiece
from fatigue import facts, gate
from fatigue.rules import Outcome
from guide_tasks import asks, assign
from guide_tasks.campaigns import voice
from guide_tasks.fallback import first_rule
from store import issuing
from store.campaigns import Assignment, Campaign, CareTask, TaskState
from store.coupons import CouponPlan
from store.members import Member
from store.organisation import Brand
from store.pieces import ContentPiece
from store.tokens import new_token
from store.touches import Channel, TouchState

# A piece that says nothing to this member; it was tried out when it was written.
_NO_WORDS = "no_words"


@dataclass(frozen=True, slots=True)
class Words:
    """What every chunk of one launch shares."""

    piece: ContentPiece
    plan: CouponPlan | None
    best: picks.BestSellers
    house: Speaker
    public_url: str


@dataclass(frozen=True, slots=True)
class _Chunk:
    """What is known about the members of a chunk; `coupons` are those who hold the campaign's."""

    facts: Mapping[int, DraftFacts]
    goods: Mapping[int, Sequence[Pick]]
    speakers: Mapping[int, Speaker]
    coupons: set[int]


@dataclass(frozen=True, slots=True)
class _Prospect:
    """A member, the guide who can speak to them if any, and whether anybody may at all."""

    member_id: int
    guide_id: int | None
    is_hopeless: bool


def words_of(session: Session, campaign: Campaign, *, public_url: str, now: datetime) -> Words:
    """Read what the chunks of a launch share."""
    piece = session.get_one(ContentPiece, campaign.piece_id)
    plan = session.get(CouponPlan, campaign.coupon_plan_id) if campaign.coupon_plan_id else None
    house = drafts.house_speaker(session.get_one(Brand, campaign.brand_id).name)
    return Words(piece, plan, picks.best_sellers(session, now=now), house, public_url)


def make_tasks(
    session: Session,
    campaign: Campaign,
    member_ids: Sequence[int],
    words: Words,
    *,
    now: datetime,
) -> None:
    """Make a task for every member who has none. Locks the members in id order."""
    _lock(session, member_ids)
    prospects = _look(session, campaign, _without_task(session, campaign, member_ids), now)
    chunk = _read(session, campaign, prospects, words, now)
    tasks = [_task(campaign, prospect, chunk, words, now) for prospect in prospects]
    _assign(session, campaign, tasks, now)
    hopeless = [task for task, found in zip(tasks, prospects, strict=True) if found.is_hopeless]
    _suppress(session, campaign, hopeless, now)
    session.add_all(tasks)


def _lock(session: Session, member_ids: Sequence[int]) -> None:
    """The strongest lock at once: coupons need it, and to ask for more later could deadlock."""
    query = select(Member.id).where(facts.among(Member.id, member_ids)).order_by(col(Member.id))
    session.exec(query.with_for_update()).all()


def _without_task(session: Session, campaign: Campaign, member_ids: Sequence[int]) -> list[int]:
    """A merge since an earlier chunk may have handed the task of another row to one of these."""
    query = select(CareTask.member_id).where(
        CareTask.campaign_id == campaign.id, facts.among(CareTask.member_id, member_ids)
    )
    served = set(session.exec(query).all())
    return [member_id for member_id in member_ids if member_id not in served]


def _look(
    session: Session, campaign: Campaign, member_ids: Sequence[int], now: datetime
) -> list[_Prospect]:
    """Ask the gate who may speak to whom, without a trace."""
    choices = assign.choose(session, campaign.id, member_ids)
    voices = {member_id: voice(choices.get(member_id)) for member_id in member_ids}
    wishes = [
        asks.first_look(campaign, member_id, guide_id=guide_id, occasion="launch")
        for member_id, guide_id in voices.items()
    ]
    return [
        _Prospect(
            found.member_id,
            None if _is_mute(found) else voices[found.member_id],
            found.outcome is Outcome.WITHHOLD,
        )
        for found in gate.dry_run(session, wishes, now=now)
    ]


def _is_mute(found: gate.Forecast) -> bool:
    """Whether a guide would never be let through, but the brand would."""
    reasons = (*found.verdict.violations, *found.verdict.passed_over)
    return found.outcome is not Outcome.WITHHOLD and any(
        reason.channel is Channel.WECOM_BROADCAST and reason.retry_at is None for reason in reasons
    )


def _read(
    session: Session,
    campaign: Campaign,
    prospects: Sequence[_Prospect],
    words: Words,
    now: datetime,
) -> _Chunk:
    known = drafts.facts_of(session, [found.member_id for found in prospects], now=now)
    favourites = {member_id: facts.favourites for member_id, facts in known.items()}
    guides = {found.guide_id for found in prospects if found.guide_id is not None}
    hopeful = [found.member_id for found in prospects if not found.is_hopeless]
    return _Chunk(
        known,
        picks.picks_for(session, favourites, words.best),
        drafts.speakers(session, sorted(guides)),
        _give_coupons(session, campaign, hopeful, words.plan, now),
    )


def _give_coupons(
    session: Session,
    campaign: Campaign,
    member_ids: Sequence[int],
    plan: CouponPlan | None,
    now: datetime,
) -> set[int]:
    if plan is None:
        return set()
    return issuing.issue_many(
        session, plan.id, member_ids, reason=f"campaign-{campaign.id}", now=now
    )


def _task(
    campaign: Campaign, prospect: _Prospect, chunk: _Chunk, words: Words, now: datetime
) -> CareTask:
    """A task for a guide who can write to the member; else one that falls back at once."""
    guide_id, member_id = prospect.guide_id, prospect.member_id
    task = CareTask(
        campaign_id=campaign.id,
        member_id=member_id,
        token=new_token(),
        guide_id=guide_id,
        state=TaskState.PLANNED if guide_id is None else TaskState.ASSIGNED,
        deadline_at=now if guide_id is None else campaign.deadline_at,
        created_at=now,
        moved_at=now,
        picks=[pick.product_id for pick in chunk.goods[member_id]],
        reason=drafts.reason(chunk.facts[member_id]),
    )
    try:
        task.draft = _draft(task, chunk, words)
    except BadPiece:
        task.state, task.state_reason = TaskState.SUPPRESSED, _NO_WORDS
    return task


def _draft(task: CareTask, chunk: _Chunk, words: Words) -> str:
    goods = chunk.goods[task.member_id]
    has_coupon = words.plan is not None and task.member_id in chunk.coupons
    variables = drafts.variables(
        chunk.facts[task.member_id],
        words.house if task.guide_id is None else chunk.speakers[task.guide_id],
        product=goods[0].name if goods else "",
        coupon=words.plan.name if words.plan is not None and has_coupon else "",
        link=f"{words.public_url}/m/picks/{task.token}",
    )
    return pieces.render(words.piece.text, variables)


def _assign(session: Session, campaign: Campaign, tasks: Sequence[CareTask], now: datetime) -> None:
    """Give every guide of the chunk an assignment, the same one in every chunk."""
    guide_ids = sorted({task.guide_id for task in tasks if task.guide_id is not None})
    if not guide_ids:
        return
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
    """End the tasks that no channel may carry before the deadline, each with its rule.

    They are asked for real, so that the touch log holds the reason of every silence.
    """
    wishes = [
        asks.first_look(campaign, task.member_id, guide_id=task.guide_id, occasion="launch")
        for task in tasks
    ]
    for task, touch in zip(tasks, gate.ask_many(session, wishes, now=now), strict=True):
        if touch.state is TouchState.WITHHELD:
            task.state, task.state_reason = TaskState.SUPPRESSED, first_rule(touch)
        else:
            # Something opened since the dry run: the task lives, and this touch was only a look.
            gate.release(session, touch.id, reason="only_a_look", now=now)
