"""The desk: everything that the decisions of one batch look at, read in one trip under its lock."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlmodel import Session

from fatigue import facts, policies, screening, touch_rows
from fatigue.asks import Ask
from fatigue.rules import Policy
from fatigue.standing import Standing
from store import trips
from store.touches import Touch
from store.trips import Rows, Statement


@dataclass(slots=True)
class Desk:
    """The policy in force, the members by id, and the touches that have one of the keys already.

    `plain` asks are open beyond doubt, and their members were not read; the `rest` is to be judged.
    """

    policy: Policy
    standings: dict[int, Standing]
    touches: dict[str, Touch]
    rest: Sequence[Ask]
    plain: Sequence[Ask] = ()


def read(session: Session, asks: Sequence[Ask], *, is_locking: bool, now: datetime) -> Desk:
    """The desk for these asks; `is_locking` locks their members, then their touches, in id order.

    Refuses a member who is not there.
    """
    if len(asks) < screening.FEWEST:
        return _read(session, asks, is_locking=is_locking, now=now)
    if is_locking:
        facts.lock(session, {wish.member_id for wish in asks})
    policy = policies.current(session)
    plain, rest = screening.sift(session, policy, asks, now=now)
    if not rest:
        return Desk(policy, {}, {}, rest, plain)
    return replace(_read(session, rest, is_locking=is_locking, now=now), plain=plain)


def look(
    session: Session, member_ids: Collection[int], campaign_ids: Collection[int], *, now: datetime
) -> tuple[Policy, dict[int, Standing]]:
    """The policy in force and the members, with what counts of these campaigns for a lifetime.

    Refuses a member who is not there.
    """
    policy, standings, _ = _look(session, member_ids, campaign_ids, now)
    return policy, standings


def _read(session: Session, asks: Sequence[Ask], *, is_locking: bool, now: datetime) -> Desk:
    members = {wish.member_id for wish in asks}
    campaigns = {wish.campaign_id for wish in asks if wish.campaign_id is not None}
    # One that locks and reads would read what stood there before it waited.
    more = [facts.locking(members)] if is_locking else []
    more.append(touch_rows.knowing([wish.key for wish in asks]))
    policy, standings, (*_, known) = _look(session, members, campaigns, now, more)
    return Desk(policy, standings, touch_rows.find(session, known, is_locked=is_locking), asks)


def _look(
    session: Session,
    member_ids: Collection[int],
    campaign_ids: Collection[int],
    now: datetime,
    first: Sequence[Statement] = (),
) -> tuple[Policy, dict[int, Standing], list[Rows]]:
    """Both, after `first` statements of the same trip, and what those gave."""
    # How far back to look is for the policy to say, which comes with the same trip: few look back
    # further than this.
    since = facts.horizon(policies.DEFAULT, now)
    look = [*first, policies.NEWEST, facts.reading(member_ids, since, now)]
    *told, newest, rows = trips.fetch_each(session, look)
    policy = policies.in_force(newest)
    if facts.horizon(policy, now) < since:
        since = facts.horizon(policy, now)
        rows = trips.fetch(session, *facts.reading(member_ids, since, now))
    standings = facts.standings(rows, member_ids, policy)
    facts.add_older(session, standings, policy, campaign_ids, (since, now))
    return policy, standings, told
