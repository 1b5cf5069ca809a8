"""Making the care tasks of a chunk: the guide, the goods, the coupon, the words, or the silence.

A chunk is some thousands of members and a fixed number of statements; the tasks go in as one COPY.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import text
from sqlmodel import Session, col, select

from content import drafts, picks, pieces
from content.drafts import DraftFacts, Speaker
from content.picks import Pick
from fatigue import gate
from guide_tasks import assign, load
from guide_tasks.fallback import first_rule
from guide_tasks.looking import Prospect, look
from store import issuing
from store.bulk import copy_rows, id_array
from store.campaigns import Campaign, CareTask, TaskState
from store.coupons import CouponPlan
from store.organisation import Brand
from store.pieces import ContentPiece
from store.tokens import new_token
from store.touches import TouchState

# A piece that says nothing to this member; it was tried out when it was written.
_NO_WORDS = "no_words"
# The strongest lock at once: coupons need it, and to ask for more later could deadlock.
_LOCK = text("""
    SELECT id FROM members WHERE id = ANY(CAST(:members AS bigint[])) ORDER BY id FOR UPDATE
""")
_COLUMNS = (
    *("token", "campaign_id", "assignment_id", "guide_id", "shop_id", "member_id", "state"),
    *("state_reason", "reason", "draft", "picks", "deadline_at", "waits_until"),
    *("created_at", "moved_at"),
)


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


@dataclass(slots=True)
class _Plan:
    """One task before it is a row."""

    prospect: Prospect
    begins_at: datetime
    state: TaskState
    state_reason: str = ""
    draft: str = ""
    token: str = ""


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
) -> int:
    """Make a task for every member who has none; gives how many. Locks the members in id order."""
    session.connection().execute(_LOCK, {"members": id_array(member_ids)})
    prospects = look(session, campaign, _without_task(session, campaign, member_ids), now=now)
    plans = [_plan(*found) for found in _begin(session, campaign, prospects, now)]
    chunk = _read(session, campaign, plans, words, now)
    _write_words(plans, chunk, words)
    _suppress(session, plans, now)
    guides = [plan.prospect.guide_id for plan in plans if plan.prospect.guide_id is not None]
    shares = assign.assignments_of(session, campaign.id, guides, now=now)
    copy_rows(session, CareTask.__tablename__, _COLUMNS, _rows(campaign, plans, chunk, shares, now))
    return len(plans)


def _without_task(session: Session, campaign: Campaign, member_ids: Sequence[int]) -> list[int]:
    """A merge since an earlier chunk may have handed the task of another row to one of these."""
    if not member_ids:
        return []
    # A span, not a list: while a table grows its statistics lag, and a list can mean a full scan.
    query = select(CareTask.member_id).where(
        CareTask.campaign_id == campaign.id,
        col(CareTask.member_id).between(min(member_ids), max(member_ids)),
    )
    served = set(session.exec(query).all())
    return [member_id for member_id in member_ids if member_id not in served]


def _begin(
    session: Session, campaign: Campaign, prospects: Sequence[Prospect], now: datetime
) -> Iterator[tuple[Prospect, datetime]]:
    """Spread the tasks over the days of their guides; what is too much for one is the shop's."""
    takes_time = {found.member_id: found.guide_id for found in prospects if not found.hopeless}
    guides = [guide_id for guide_id in takes_time.values() if guide_id is not None]
    beginnings = iter(load.beginnings(session, campaign, guides, now=now))
    for found in prospects:
        begins_at = next(beginnings) if takes_time.get(found.member_id) is not None else now
        if begins_at is None:
            yield replace(found, guide_id=None), now
        else:
            yield found, begins_at


def _plan(prospect: Prospect, begins_at: datetime) -> _Plan:
    """A task for a guide or a shop that can write to the member; else one that falls back."""
    is_in_hands = prospect.guide_id is not None or prospect.shop_id is not None
    state = TaskState.ASSIGNED if is_in_hands else TaskState.PLANNED
    return _Plan(prospect, begins_at, state, token=new_token())


def _read(
    session: Session, campaign: Campaign, plans: Sequence[_Plan], words: Words, now: datetime
) -> _Chunk:
    prospects = [plan.prospect for plan in plans]
    known = drafts.facts_of(session, [found.member_id for found in prospects], now=now)
    favourites = {member_id: facts.favourites for member_id, facts in known.items()}
    guides = {found.guide_id for found in prospects if found.guide_id is not None}
    hopeful = [found.member_id for found in prospects if found.hopeless is None]
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


def _write_words(plans: Sequence[_Plan], chunk: _Chunk, words: Words) -> None:
    rows = [_variables(plan, chunk, words) for plan in plans]
    for plan, draft in zip(plans, pieces.render_many(words.piece.text, rows), strict=True):
        if draft is None:
            plan.state, plan.state_reason = TaskState.SUPPRESSED, _NO_WORDS
        else:
            plan.draft = draft


def _variables(plan: _Plan, chunk: _Chunk, words: Words) -> pieces.MemberVariables:
    member_id, guide_id = plan.prospect.member_id, plan.prospect.guide_id
    goods = chunk.goods[member_id]
    has_coupon = words.plan is not None and member_id in chunk.coupons
    return drafts.variables(
        chunk.facts[member_id],
        words.house if guide_id is None else chunk.speakers[guide_id],
        product=goods[0].name if goods else "",
        coupon=words.plan.name if words.plan is not None and has_coupon else "",
        link=f"{words.public_url}/m/picks/{plan.token}",
    )


def _suppress(session: Session, plans: Sequence[_Plan], now: datetime) -> None:
    """End the tasks that no channel may carry before the deadline, each with its rule.

    They are asked for real, so that the touch log holds the reason of every silence.
    """
    hopeless = [plan for plan in plans if plan.prospect.hopeless is not None]
    wishes = [plan.prospect.hopeless for plan in hopeless if plan.prospect.hopeless is not None]
    for plan, touch in zip(hopeless, gate.ask_many(session, wishes, now=now), strict=True):
        if touch.state is TouchState.WITHHELD:
            plan.state, plan.state_reason = TaskState.SUPPRESSED, first_rule(touch)
        else:
            # Something opened since the dry run: the task lives, and this touch was only a look.
            gate.release(session, touch.id, reason="only_a_look", now=now)


def _rows(
    campaign: Campaign,
    plans: Sequence[_Plan],
    chunk: _Chunk,
    shares: Mapping[int, int],
    now: datetime,
) -> Iterator[tuple[object, ...]]:
    """The tasks in the order of the columns; what nobody has in hands is due at once."""
    deadline_at, made_at = campaign.deadline_at.isoformat(), now.isoformat()
    for plan in plans:
        found = plan.prospect
        goods = [pick.product_id for pick in chunk.goods[found.member_id]]
        is_in_hands = plan.state is TaskState.ASSIGNED
        yield (
            plan.token,
            campaign.id,
            None if found.guide_id is None else shares[found.guide_id],
            found.guide_id,
            found.shop_id if found.guide_id is None else None,
            found.member_id,
            plan.state.value,
            plan.state_reason,
            drafts.reason(chunk.facts[found.member_id]),
            plan.draft,
            str(goods),
            deadline_at if is_in_hands else made_at,
            None if plan.begins_at == now else plan.begins_at,
            made_at,
            made_at,
        )
