"""Giving way: a reserved touch goes back to waiting, for one of a higher band (design.md §8).

It is never one past the fence. Each displacement is a row, so that whoever asked for the touch is
told exactly once.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlmodel import Session, col, select

from fatigue import facts
from fatigue.asks import ask_of, settle_verdict
from fatigue.judging import Gone, given_way
from fatigue.rules import Policy
from fatigue.standing import Standing
from store.holds import Displacement
from store.touches import Touch, TouchState


def displace(
    session: Session,
    policy: Policy,
    standings: Mapping[int, Standing],
    orders: Sequence[tuple[Touch, tuple[int, ...]]],
    *,
    now: datetime,
) -> list[Touch]:
    """Let touches give way, each to the reserved touch it is named with; gives those that did.

    Their members are locked, and their standings count the touch that takes the place already.
    """
    by = {touch_id: touch for touch, touch_ids in orders for touch_id in touch_ids}
    if not by:
        return []
    # What is locked without its member, by the sweeper, was not reserved any more.
    touches = [one for one in _locked(session, list(by)) if one.state is TouchState.RESERVED]
    for touch in touches:
        by_id = by[touch.id].id
        gone = Gone(touch.id, ask_of(touch), touch.asked_at)
        told = given_way(policy, standings[touch.member_id], gone, by_id, now)
        settle_verdict(touch, told, policy.version, now, now)
        session.add(Displacement(touch_id=touch.id, by_touch_id=by_id, displaced_at=now))
    session.flush()
    return touches


def _locked(session: Session, touch_ids: Sequence[int]) -> Sequence[Touch]:
    query = select(Touch).where(facts.among(Touch.id, touch_ids)).order_by(col(Touch.id))
    fresh = query.with_for_update().execution_options(populate_existing=True)
    return session.exec(fresh).all()


def untold(session: Session, limit: int = 500) -> list[Displacement]:
    """Displacements that nobody has been told of yet, locked; those another worker has are his."""
    query = (
        select(Displacement)
        .where(col(Displacement.told_at).is_(None))
        .order_by(col(Displacement.id))
        .limit(limit)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    )
    return list(session.exec(query).all())
