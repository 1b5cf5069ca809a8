"""From a reservation to the provider and back: fence, settle, and what happens when someone dies.

`fence` is the last look before the call: nothing is sent without it, and it asks every rule again.
After it a touch counts until a definite failure frees it; a crash leaves it `unknown`, counted.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, update
from sqlmodel import Session, col, select

from fatigue import facts, policies
from fatigue.asking import judge, settle_verdict
from fatigue.asks import Ask, KeyReused, as_json, ask_of, facts_of
from fatigue.rules import Outcome
from fatigue.standing import landing
from store.errors import NotFound, WrongState
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
    touch = _locked(session, touch_id)
    if touch.state is not TouchState.RESERVED:
        return Fenced(touch, FenceRefusal.NOT_RESERVED)
    if touch.lease_until is not None and touch.lease_until <= now:
        _free(touch, now)
        return Fenced(touch, FenceRefusal.LEASE_OVER)
    policy = policies.current(session)
    campaigns = [touch.campaign_id] if touch.campaign_id is not None else []
    read = facts.read(session, [touch.member_id], policy, campaign_ids=campaigns, now=now)
    found = judge(policy, read[touch.member_id], _only(touch), now, without=touch.id)
    if found.outcome is not Outcome.OPEN:
        settle_verdict(touch, found, policy.version, now, now)
        is_over = found.outcome is Outcome.WITHHOLD
        return Fenced(touch, FenceRefusal.WITHHELD if is_over else FenceRefusal.DEFERRED)
    move_touch(touch, TouchState.SENDING, now=now)
    touch.fenced_at = touch.counted_at = now
    return Fenced(touch)


def settle(  # noqa: PLR0913 -- all that a provider may tell about a touch
    session: Session,
    touch_id: int,
    state: TouchState,
    *,
    provider_id: str | None = None,
    evidence: Evidence | None = None,
    failure: str | None = None,
    now: datetime,
) -> Touch:
    """Write what became of a fenced touch: sent, failed or unknown; the same again is harmless.

    A broadcast counts from the moment its guide confirmed it; a failure frees what it held. With
    `sending` it only keeps the provider's id of a broadcast that waits for its guide.
    """
    touch = _locked(session, touch_id)
    if touch.state is not state:
        if touch.state not in _IN_FLIGHT:
            raise WrongState("touch", touch.state, state)
        _land(touch, state, now)
        if state is TouchState.FAILED:
            _wake(session, touch, now)
    touch.provider_id = provider_id or touch.provider_id
    touch.evidence = evidence or touch.evidence
    touch.failure = failure or touch.failure
    return touch


def put_back(
    session: Session, touch_id: int, *, retry_at: datetime, failure: str, now: datetime
) -> Touch:
    """The provider surely sent nothing, and may be tried later: the touch is due at `retry_at`."""
    touch = _locked(session, touch_id)
    move_touch(touch, TouchState.ASKED, now=now)
    touch.retry_at = retry_at
    touch.counted_at = None
    touch.failure = failure
    return touch


def release(session: Session, touch_id: int, *, reason: str, now: datetime) -> Touch:
    """Give up a touch that was not fenced yet; twice, or after its end, is harmless.

    Refuses one that is in flight: it may have reached the member.
    """
    touch = _locked(session, touch_id)
    if touch.state in _OPEN:
        move_touch(touch, TouchState.RELEASED, now=now)
        touch.failure = reason
        _wake(session, touch, now)
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

    A broadcast waits for its guide first. Gives their ids.
    """
    patience = {channel: HUMAN_PATIENCE.get(channel, older_than) for channel in Channel}
    marked = []
    for channel, wait in patience.items():
        is_late = (col(Touch.channel) == channel) & (col(Touch.fenced_at) <= now - wait)
        for touch in _abandoned(session, TouchState.SENDING, is_late, limit):
            _land(touch, TouchState.UNKNOWN, now)
            marked.append(touch.id)
    session.flush()
    return sorted(marked)


def _locked(session: Session, touch_id: int) -> Touch:
    """The touch under its member's lock, also when a merge hands it to another member meanwhile."""
    while True:
        member_id = session.exec(select(Touch.member_id).where(Touch.id == touch_id)).first()
        if member_id is None:
            raise NotFound(f"There is no touch {touch_id}.")
        facts.lock(session, [member_id])
        touch = session.get_one(Touch, touch_id)
        session.refresh(touch, with_for_update=True)
        if touch.member_id == member_id:
            return touch


def _only(touch: Touch) -> Ask:
    """The ask again, for the reserved channel alone: another channel needs another decision."""
    return replace(ask_of(touch), channels=(touch.channel,))


def _recorded(
    session: Session, ask: Ask, channel: Channel, sent_at: datetime, now: datetime
) -> Touch:
    policy = policies.current(session)
    campaigns = [ask.campaign_id] if ask.campaign_id is not None else []
    read = facts.read(session, [ask.member_id], policy, campaign_ids=campaigns, now=now)
    found = judge(policy, read[ask.member_id], replace(ask, channels=(channel,)), sent_at)
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


def _wake(session: Session, freed: Touch, now: datetime) -> None:
    """What waited for the slot of `freed` is decided anew, sooner than it was promised."""
    session.exec(
        update(Touch)
        .where(
            col(Touch.member_id) == freed.member_id,
            col(Touch.state) == TouchState.ASKED,
            col(Touch.retry_at) > now,
        )
        .values(retry_at=now)
    )


def _free(touch: Touch, now: datetime) -> None:
    move_touch(touch, TouchState.ASKED, now=now)
    touch.retry_at = now
    touch.counted_at = None


def _land(touch: Touch, state: TouchState, now: datetime) -> None:
    was_pending = touch.state is TouchState.SENDING and touch.channel in HUMAN_PATIENCE
    if was_pending and touch.counted_at is not None and state is not TouchState.FAILED:
        # Known only to within its span: count it at the end, when caps free it last.
        touch.counted_at = min(now, landing(touch.counted_at, touch.channel, touch.state))
    move_touch(touch, state, now=now)
