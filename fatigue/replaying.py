"""Replays of policy drafts over the record: chunk by chunk, resumable, seen while they run."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, text
from sqlmodel import Session

from fatigue import facts, past
from fatigue.asks import Ask
from fatigue.policy_drafts import policy_of, replay_of
from fatigue.replay import Cell, Fate, Happened, Judged, Tally, walk
from fatigue.rules import LifetimeCap, Policy
from store.db import Database
from store.jobs import Job, after_commit
from store.policies import PolicyDraft, PolicyReplay, ReplayState
from store.touches import Category, Channel, TouchState

DAYS = 30
CHUNK = 500
# So many touches of each kind of change are kept to look at.
_EXAMPLES = 3
_LET_GO = frozenset({Fate.WENT, Fate.LATER})
_COUNT = text("""
    SELECT count(DISTINCT member_id) FROM touches WHERE asked_at >= :since AND asked_at < :until
""")
_MEMBERS = text("""
    SELECT DISTINCT member_id FROM touches
    WHERE member_id > :cursor AND asked_at >= :since AND asked_at < :until
    ORDER BY member_id LIMIT :limit
""")
# Those of the span, and earlier ones that a rule of the policy still counts.
_TOUCHES = text("""
    SELECT id, member_id, key, channels, channel, category, brand_id, campaign_id, guide_id,
        priority, coalesce(payload ->> 'template_id', '') AS template_id, deadline_at, asked_at,
        state, fenced_at, counted_at
    FROM touches
    WHERE member_id = ANY(CAST(:members AS bigint[])) AND asked_at < :until
        AND (asked_at >= :since
            OR state IN ('reserved', 'sending', 'sent', 'unknown') AND (counted_at > :horizon
                OR :has_lifetime AND campaign_id IS NOT NULL
                OR channel = ANY(CAST(:endless AS text[]))))
    ORDER BY member_id, asked_at, id
""")


@dataclass(frozen=True, slots=True)
class Example:
    """A touch that would have fared otherwise."""

    was: Fate
    would: Fate
    touch_id: int


@dataclass(frozen=True, slots=True)
class Found:
    """What a replay has found so far."""

    cells: Counter[Cell]
    shadows: Counter[str] = field(default_factory=Counter)
    examples: Sequence[Example] = ()


def start(session: Session, draft: PolicyDraft, *, now: datetime, days: int = DAYS) -> PolicyReplay:
    """Have a draft replayed over the last days; a repeat gives the replay that is there."""
    session.refresh(draft, with_for_update=True)
    known = replay_of(session, draft)
    if known is not None:
        return known
    span: dict[str, Any] = {"since": now - timedelta(days=days), "until": now}
    total = session.connection().execute(_COUNT, span).scalar_one()
    replay = PolicyReplay(draft_id=draft.id, members_total=total, started_at=now, **span)
    session.add(replay)
    session.flush()
    after_commit(session, Job.REPLAY_POLICY, replay.id)
    return replay


def run(database: Database, replay_id: int, *, now: datetime) -> None:
    """Go through all members. Safe to run again and twice at once: a chunk moves the cursor."""
    while _next_chunk(database, replay_id, now):
        pass


def found_by(replay: PolicyReplay) -> Found:
    """What the row of a replay says."""
    cells: Counter[Cell] = Counter()
    for was, would, rule, channel, campaign_id, brand_id, touches in replay.cells:
        cell = Cell(Fate(was), Fate(would), rule, Channel(channel), campaign_id, brand_id)
        cells[cell] += touches
    examples = [Example(Fate(was), Fate(would), key) for was, would, key in replay.examples]
    return Found(cells, Counter(replay.shadows), examples)


def judge_members(
    session: Session,
    policy: Policy,
    member_ids: Collection[int],
    *,
    since: datetime,
    until: datetime,
) -> Iterator[Judged]:
    """What a policy would have made of every touch of these members, read in two statements."""
    known = past.read(session, member_ids)
    for member_id, touches in _touches(session, policy, known, since=since, until=until).items():
        yield from walk(policy, known[member_id], touches, since=since, until=until)


def _next_chunk(database: Database, replay_id: int, now: datetime) -> bool:
    with database.transaction() as session:
        replay = session.get(PolicyReplay, replay_id, with_for_update=True)
        if replay is None or replay.state is ReplayState.DONE:
            return False
        span: dict[str, Any] = {"since": replay.since, "until": replay.until}
        wanted = span | {"cursor": replay.cursor, "limit": CHUNK}
        ids = session.connection().execute(_MEMBERS, wanted).scalars().all()
        if not ids:
            replay.state, replay.finished_at = ReplayState.DONE, now
            return False
        draft = session.get_one(PolicyDraft, replay.draft_id)
        policy = policy_of(session, draft)
        _add(replay, judge_members(session, policy, ids, **span))
        replay.cursor, replay.members_done = ids[-1], replay.members_done + len(ids)
        return True


def _add(replay: PolicyReplay, judged: Iterator[Judged]) -> None:
    found = found_by(replay)
    tally = Tally(found.cells, found.shadows)
    examples = list(found.examples)
    kept = Counter((one.was, one.would) for one in examples)
    for one in judged:
        tally.add(one)
        change = one.cell.was, one.cell.would
        if _is_changed(*change) and kept[change] < _EXAMPLES:
            kept[change] += 1
            examples.append(Example(*change, one.touch_id))
    replay.cells = [
        [cell.was, cell.would, cell.rule, cell.channel, cell.campaign_id, cell.brand_id, touches]
        for cell, touches in tally.cells.items()
    ]
    replay.shadows = dict(tally.shadows)
    replay.examples = [[one.was, one.would, one.touch_id] for one in examples]


def _is_changed(was: Fate, would: Fate) -> bool:
    """Whether a member would have got what they did not get, or the other way round."""
    return (was is Fate.WENT) != (would in _LET_GO) and Fate.FAILED not in {was, would}


def _touches(
    session: Session,
    policy: Policy,
    member_ids: Collection[int],
    *,
    since: datetime,
    until: datetime,
) -> dict[int, list[Happened]]:
    wanted = {
        "members": list(member_ids),
        "since": since,
        "until": until,
        "horizon": facts.horizon(policy, since),
        "has_lifetime": any(isinstance(rule, LifetimeCap) for rule in policy.rules),
        "endless": [channel.value for channel in facts.endless(policy)],
    }
    found: dict[int, list[Happened]] = {}
    for row in session.connection().execute(_TOUCHES, wanted):
        found.setdefault(row.member_id, []).append(_happened(row))
    return found


def _happened(row: Row[Any]) -> Happened:
    channel = Channel(row.channel)
    ask = Ask(
        key=row.key,
        member_id=row.member_id,
        channels=tuple(Channel(name) for name in row.channels) or (channel,),
        category=Category(row.category),
        brand_id=row.brand_id,
        campaign_id=row.campaign_id,
        guide_id=row.guide_id,
        priority=row.priority,
        payload={"template_id": row.template_id},
        deadline_at=row.deadline_at,
    )
    state = TouchState(row.state)
    return Happened(row.id, ask, row.asked_at, state, channel, row.fenced_at, row.counted_at)
