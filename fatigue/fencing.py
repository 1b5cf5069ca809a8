"""From a reservation to the provider: the fence, and what happens when someone dies.

`fence` is the last look before the call: nothing is sent without it, and it asks every rule again.
After it a touch counts until a definite failure frees it; a crash leaves it `unknown`, counted.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement
from sqlmodel import Session, col, select

from fatigue import desks, facts
from fatigue.asks import Ask, KeyReused, as_json, ask_of, facts_of, settle_verdict
from fatigue.case import Answer
from fatigue.judging import judge, wakes_at
from fatigue.rules import Outcome, Policy
from fatigue.settling import land, locked, wake
from fatigue.standing import Standing
from store.errors import WrongState
from store.touches import HUMAN_PATIENCE, Channel, Evidence, Touch, TouchState, move_touch

_OPEN = frozenset({TouchState.ASKED, TouchState.RESERVED})
_IN_FLIGHT = frozenset({TouchState.SENDING, TouchState.UNKNOWN})


class FenceRefusal(StrEnum):
    """Why a touch may not go to the provider now; its row says by which rules."""

    NOT_RESERVED = "not_reserved"
    LEASE_OVER = "lease_over"
    DEFERRED = "deferred"
    WITHHELD = "withheld"


@dataclass(frozen=True, slots=True)
class Fenced:
    """A touch that may go out now, exactly when there is no refusal."""

    touch: Touch
    refusal: FenceRefusal | None = None


def fence(session: Session, touch_id: int, *, now: datetime) -> Fenced:
    """The last look before the provider call: reserved → sending, if every rule is open now.

    Locks the member, then the touch. A lapsed touch is due again at once; a closed one is deferred
    or withheld.
    """
    return fence_many(session, [touch_id], now=now)[0]


def fence_many(session: Session, touch_ids: Sequence[int], *, now: datetime) -> list[Fenced]:
    """`fence` for many touches, as if one by one in their order; locks members in id order."""
    touches = locked(session, touch_ids)
    fenced: dict[int, Fenced] = {}
    waiting = [touches[touch_id] for touch_id in dict.fromkeys(touch_ids)]
    while waiting:
        # No member twice: what is fenced first counts from then on.
        wave = list({touch.member_id: touch for touch in reversed(waiting)}.values())
        fenced |= _fence(session, wave, now)
        waiting = [touch for touch in waiting if touch.id not in fenced]
    return [fenced[touch_id] for touch_id in touch_ids]


def _fence(session: Session, touches: Sequence[Touch], now: datetime) -> dict[int, Fenced]:
    """Fence touches of different members."""
    over = {touch.id: why for touch in touches if (why := _why_over(touch, now))}
    ready = [touch for touch in touches if touch.id not in over]
    fenced = {touch.id: Fenced(touch, over[touch.id]) for touch in touches if touch.id in over}
    if not ready:
        return fenced
    campaigns = {touch.campaign_id for touch in ready if touch.campaign_id is not None}
    members = {touch.member_id for touch in ready}
    policy, standings = desks.look(session, members, campaigns, now=now)
    for touch in ready:
        told = _asked_once_more(policy, standings[touch.member_id], touch, now)
        fenced[touch.id] = Fenced(touch, _passed(touch, told, policy, now))
    return fenced


def _why_over(touch: Touch, now: datetime) -> FenceRefusal | None:
    if touch.state is not TouchState.RESERVED:
        return FenceRefusal.NOT_RESERVED
    if touch.lease_until is not None and touch.lease_until <= now:
        _free(touch, now)
        return FenceRefusal.LEASE_OVER
    return None


def _asked_once_more(policy: Policy, standing: Standing, touch: Touch, now: datetime) -> Answer:
    """Nobody has to give way here: whoever is late at the fence waits."""
    wish = _only(touch)
    found = judge(policy, standing, wish, now, without=touch.id, asked_at=touch.asked_at)
    return Answer(found, wakes_at(policy, standing, wish, found, without=touch.id))


def _passed(touch: Touch, told: Answer, policy: Policy, now: datetime) -> FenceRefusal | None:
    outcome = told.verdict.outcome
    if outcome is not Outcome.OPEN:
        settle_verdict(touch, told, policy.version, now, now)
        is_over = outcome is Outcome.WITHHOLD
        return FenceRefusal.WITHHELD if is_over else FenceRefusal.DEFERRED
    move_touch(touch, TouchState.SENDING, now=now)
    touch.fenced_at = touch.counted_at = now
    touch.tried_since = touch.tried_since or now
    touch.attempts += 1
    return None


def fence_again(session: Session, touch_id: int, *, now: datetime) -> bool:
    """Whether an unknown touch may go to a platform that drops repeats once more. It counts from
    now on, for this call may be the first to reach the member. Locks the member, then the touch.
    """
    touch = locked(session, [touch_id])[touch_id]
    if touch.state is not TouchState.UNKNOWN:
        return False
    campaigns = [touch.campaign_id] if touch.campaign_id is not None else []
    policy, standings = desks.look(session, [touch.member_id], campaigns, now=now)
    found = judge(policy, standings[touch.member_id], _only(touch), now, without=touch.id)
    if found.outcome is not Outcome.OPEN:
        return False
    touch.counted_at = now
    return True


def release(session: Session, touch_id: int, *, reason: str, now: datetime) -> Touch:
    """Give up a touch that was not fenced yet; twice, or after its end, is harmless.

    Refuses one that is in flight: it may have reached the member.
    """
    touch = locked(session, [touch_id])[touch_id]
    if touch.state in _OPEN:
        move_touch(touch, TouchState.RELEASED, now=now)
        touch.failure = reason
        wake(session, touch, now)
    elif touch.state in _IN_FLIGHT:
        raise WrongState("touch", touch.state, TouchState.RELEASED)
    return touch


def record(
    session: Session, ask: Ask, *, channel: Channel, sent_at: datetime, now: datetime
) -> Touch:
    """Write down a human's touch that happened anyway, even over a cap; its row says over which.

    Evidence is the human's word. Refuses a key that stands for another touch.
    """
    facts.lock(session, [ask.member_id])
    touch = session.exec(
        select(Touch)
        .where(Touch.key == ask.key)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).first()
    if touch is None:
        touch = _recorded(session, ask, channel, sent_at, now)
        session.add(touch)
    elif (touch.member_id, touch.campaign_id) != (ask.member_id, ask.campaign_id):
        raise KeyReused(ask.key)
    elif touch.state is not TouchState.SENT:
        move_touch(touch, TouchState.SENT, now=now)
        touch.channel, touch.text, touch.counted_at = channel, ask.text, sent_at
        touch.evidence = touch.evidence or Evidence.SELF_REPORTED
    session.flush()
    return touch


def free_leases(session: Session, now: datetime, limit: int = 1000) -> int:
    """Make touches whose worker never came due again; gives how many."""
    lapsed = _abandoned(session, TouchState.RESERVED, col(Touch.lease_until) <= now, limit)
    for touch in lapsed:
        _free(touch, now)
    session.flush()
    return len(lapsed)


def mark_unknown(
    session: Session, *, older_than: timedelta, now: datetime, limit: int = 1000
) -> list[int]:
    """Touches whose sender went silent for `older_than` become `unknown`: counted, never resent.

    A broadcast that lies before its guide waits for them first. Gives their ids.
    """
    patience = {channel: HUMAN_PATIENCE.get(channel, older_than) for channel in Channel}
    marked = []
    for channel, wait in patience.items():
        is_late = col(Touch.fenced_at) <= now - wait
        if channel is Channel.WECOM_BROADCAST:
            # Without the provider's id no guide is known to have it: the call never came back.
            is_late |= col(Touch.provider_id).is_(None) & (col(Touch.fenced_at) <= now - older_than)
        is_late &= col(Touch.channel) == channel
        for touch in _abandoned(session, TouchState.SENDING, is_late, limit):
            land(touch, TouchState.UNKNOWN, now)
            marked.append(touch.id)
    session.flush()
    return sorted(marked)


def _only(touch: Touch) -> Ask:
    """The ask again, for the reserved channel alone: another channel needs another decision."""
    return replace(ask_of(touch), channels=(touch.channel,))


def _recorded(
    session: Session, ask: Ask, channel: Channel, sent_at: datetime, now: datetime
) -> Touch:
    campaigns = [ask.campaign_id] if ask.campaign_id is not None else []
    policy, standings = desks.look(session, [ask.member_id], campaigns, now=now)
    found = judge(policy, standings[ask.member_id], replace(ask, channels=(channel,)), sent_at)
    return Touch(
        **facts_of(ask),
        channel=channel,
        state=TouchState.SENT,
        verdict=as_json(found, policy.version),
        asked_at=now,
        counted_at=sent_at,
        settled_at=now,
        evidence=Evidence.SELF_REPORTED,
    )


def _abandoned(
    session: Session, state: TouchState, is_late: ColumnElement[bool], limit: int
) -> Collection[Touch]:
    """Touches that nobody works on now; those that somebody has locked are left to them."""
    query = (
        select(Touch)
        .where(Touch.state == state, is_late)
        .order_by(col(Touch.id))
        .limit(limit)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    )
    return session.exec(query).all()


def _free(touch: Touch, now: datetime) -> None:
    move_touch(touch, TouchState.ASKED, now=now)
    touch.retry_at = now
    touch.counted_at = None
