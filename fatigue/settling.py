"""What became of a touch that was sent, one by one or a batch at once (design.md §8).

A touch counts from its fence until a definite failure frees it; what is not known stays counted.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import update
from sqlmodel import Session, col, select

from fatigue import facts
from fatigue.standing import landing
from store.errors import NotFound, WrongState
from store.touches import HUMAN_PATIENCE, Evidence, Touch, TouchState, move_touch

_IN_FLIGHT = frozenset({TouchState.SENDING, TouchState.UNKNOWN})


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """What a platform, a guide or a person says of a fenced touch.

    `asked` means that surely nothing was sent, and that it may be tried from `retry_at` on.
    """

    touch_id: int
    state: TouchState
    # Of which attempt it is said, where that is known: what is said of an earlier one is not heard.
    attempt: int | None = None
    provider_id: str | None = None
    evidence: Evidence | None = None
    failure: str | None = None
    retry_at: datetime | None = None
    # When it reached the member, where the platform says so: it counts from then.
    reached_at: datetime | None = None


def settle(  # noqa: PLR0913 -- all that a provider may tell about a touch
    session: Session,
    touch_id: int,
    state: TouchState,
    *,
    provider_id: str | None = None,
    evidence: Evidence | None = None,
    failure: str | None = None,
    reached_at: datetime | None = None,
    now: datetime,
) -> Touch:
    """Write what became of a fenced touch: sent, failed or unknown; the same again is harmless.

    A broadcast counts from the moment its guide confirmed it; a failure frees what it held. With
    `sending` it only keeps the provider's id of a broadcast that waits for its guide.
    """
    word = Word(
        touch_id=touch_id,
        state=state,
        provider_id=provider_id,
        evidence=evidence,
        failure=failure,
        reached_at=reached_at,
    )
    return settle_many(session, [word], now=now)[0]


def put_back(
    session: Session, touch_id: int, *, retry_at: datetime, failure: str, now: datetime
) -> Touch:
    """The provider surely sent nothing, and may be tried later: the touch is due at `retry_at`."""
    word = Word(touch_id=touch_id, state=TouchState.ASKED, failure=failure, retry_at=retry_at)
    return settle_many(session, [word], now=now)[0]


def settle_many(session: Session, words: Sequence[Word], *, now: datetime) -> list[Touch]:
    """`settle` and `put_back` for many touches, in the order of `words`; all of them or none.

    Locks the members in id order, then the touches.
    """
    touches = locked(session, [word.touch_id for word in words])
    for word in words:
        _settle(session, touches[word.touch_id], word, now)
    session.flush()
    return [touches[word.touch_id] for word in words]


def locked(session: Session, touch_ids: Collection[int]) -> dict[int, Touch]:
    """The touches under their members' locks, also when a merge moves some of them meanwhile."""
    wanted = facts.among(Touch.id, touch_ids)
    while True:
        session.flush()
        members = dict(session.exec(select(Touch.id, Touch.member_id).where(wanted)).all())
        missing = set(touch_ids) - members.keys()
        if missing:
            raise NotFound(f"There is no touch {min(missing)}.")
        facts.lock(session, set(members.values()))
        query = select(Touch).where(wanted).order_by(col(Touch.id)).with_for_update()
        fresh = session.exec(query.execution_options(populate_existing=True)).all()
        if all(touch.member_id == members[touch.id] for touch in fresh):
            return {touch.id: touch for touch in fresh}


def land(touch: Touch, state: TouchState, now: datetime) -> None:
    """Move a touch in flight to where it came down."""
    was_pending = touch.state in _IN_FLIGHT and touch.channel in HUMAN_PATIENCE
    if was_pending and touch.counted_at is not None and state is TouchState.SENT:
        # Known only to within its span: count it at the end, when caps free it last.
        touch.counted_at = min(now, landing(touch.counted_at, touch.channel, touch.state))
    move_touch(touch, state, now=now)


def wake(session: Session, freed: Touch, now: datetime) -> None:
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


def _settle(session: Session, touch: Touch, word: Word, now: datetime) -> None:
    if word.attempt is not None and word.attempt != touch.attempts:
        raise WrongState("touch", f"attempt {touch.attempts}", word.state)
    if word.state is TouchState.ASKED:
        move_touch(touch, TouchState.ASKED, now=now)
        touch.retry_at, touch.counted_at = word.retry_at, None
    elif touch.state is not word.state:
        is_taken_back = touch.state is TouchState.SENT and word.state is TouchState.FAILED
        if touch.state not in _IN_FLIGHT and not is_taken_back:
            raise WrongState("touch", touch.state, word.state)
        land(touch, word.state, now)
        touch.counted_at = word.reached_at or touch.counted_at
        if word.state is TouchState.FAILED:
            wake(session, touch, now)
    touch.provider_id = word.provider_id or touch.provider_id
    touch.evidence = _better(touch.evidence, word.evidence)
    touch.failure = word.failure or touch.failure


def _better(one: Evidence | None, other: Evidence | None) -> Evidence | None:
    """The better of two; a platform's report may have overtaken the answer to its call."""
    found = [evidence for evidence in Evidence if evidence in {one, other}]
    return found[0] if found else None
