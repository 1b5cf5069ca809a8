"""Asking the gate: every ask is decided under its member's lock and leaves one touch row.

The first channel on which every rule is open is reserved for a lease; else the ask waits for the
exact first instant when one opens; else it is withheld, and the row says by which rules.
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import Session, col, select

from fatigue import desks, facts, touch_rows
from fatigue.asks import (
    STATES,
    Ask,
    KeyReused,
    as_json,
    ask_of,
    check_same,
    facts_of,
    settle_verdict,
)
from fatigue.case import Answer, Verdict
from fatigue.desks import Desk
from fatigue.displacing import displace
from fatigue.judging import answer
from fatigue.rules import Outcome
from fatigue.standing import reserved
from store.touches import Channel, Touch, TouchState

LEASE_MINUTES = 15
_OPEN = {channel: Answer(Verdict(Outcome.OPEN, channel), None) for channel in Channel}


def ask(session: Session, ask: Ask, *, now: datetime, lease_minutes: int = LEASE_MINUTES) -> Touch:
    """Decide one ask; gives its touch `reserved`, `asked` (deferred) or `withheld`.

    Locks the member. A repeat gives the same touch, decided again only once its lease is over or
    its retry is due. Refuses a key that stands for another touch.
    """
    return ask_many(session, [ask], now=now, lease_minutes=lease_minutes)[0]


def ask_many(
    session: Session, asks: Sequence[Ask], *, now: datetime, lease_minutes: int = LEASE_MINUTES
) -> list[Touch]:
    """Decide a batch as if one by one in its order; gives the touches in that order.

    They are for reading: of a large batch the session does not know those that pass at once.
    """
    if not asks:
        return []
    desk = desks.read(session, asks, is_locking=True, now=now)
    lease_until = now + timedelta(minutes=lease_minutes)
    _insert(session, desk, list(_plain_rows(desk, lease_until, now)), is_kept=False)
    for wave in _waves(desk.rest):
        _write(session, desk, [(wish, decide(desk, wish, now)) for wish in wave], lease_until, now)
    return [desk.touches[wish.key] for wish in asks]


def _plain_rows(desk: Desk, lease_until: datetime, now: datetime) -> Iterator[dict[str, Any]]:
    """What is open beyond doubt has one answer a channel."""
    known: dict[Channel, dict[str, Any]] = {}
    for wish in desk.plain:
        channel = wish.channels[0]
        if channel not in known:
            known[channel] = _told(at_once(wish), desk.policy.version, lease_until, now)
        yield facts_of(wish) | known[channel]


def at_once(wish: Ask) -> Answer:
    """The answer to an ask that is plainly open."""
    return _OPEN[wish.channels[0]]


def ask_again(
    session: Session,
    touch_ids: Sequence[int],
    *,
    now: datetime,
    lease_minutes: int = LEASE_MINUTES,
) -> list[Touch]:
    """Ask once more for touches that are due, as they were asked for the first time.

    A touch that a merge hands to another member right now is left out, for the next time.
    """
    wanted = facts.among(Touch.id, touch_ids)
    members = set(session.exec(select(Touch.member_id).where(wanted)).all())
    facts.lock(session, members)
    query = select(Touch).where(wanted, facts.among(Touch.member_id, members))
    fresh = query.order_by(col(Touch.id)).execution_options(populate_existing=True)
    asks = [ask_of(touch) for touch in session.exec(fresh).all()]
    return ask_many(session, asks, now=now, lease_minutes=lease_minutes)


def due(session: Session, now: datetime, limit: int = 500) -> list[int]:
    """Deferred touches whose retry has come, the longest waiting first."""
    query = (
        select(Touch.id)
        .where(Touch.state == TouchState.ASKED, col(Touch.retry_at) <= now)
        .order_by(col(Touch.retry_at), col(Touch.id))
        .limit(limit)
    )
    return list(session.exec(query).all())


def _waves(asks: Sequence[Ask]) -> Iterator[list[Ask]]:
    """Split a batch so that no member is in one wave twice: later asks must see earlier touches."""
    rest = list(asks)
    while rest:
        wave: dict[int, Ask] = {}
        left = []
        for wish in rest:
            if wish.member_id in wave:
                left.append(wish)
            else:
                wave[wish.member_id] = wish
        yield list(wave.values())
        rest = left


def decide(desk: Desk, wish: Ask, now: datetime) -> Answer | None:
    """An answer, or None where the touch stays as it is."""
    touch = desk.touches.get(wish.key)
    standing = desk.standings[wish.member_id]
    if touch is None:
        return answer(desk.policy, standing, wish, now)
    check_same(touch, wish)
    if not _is_undecided(touch, now):
        return None
    return answer(desk.policy, standing, wish, now, without=touch.id, asked_at=touch.asked_at)


def _is_undecided(touch: Touch, now: datetime) -> bool:
    """Whether a lease is over or a retry is due."""
    if touch.state is TouchState.RESERVED:
        return touch.lease_until is not None and touch.lease_until <= now
    if touch.state is TouchState.ASKED:
        return touch.retry_at is None or touch.retry_at <= now
    return False


def _write(
    session: Session,
    desk: Desk,
    wave: Sequence[tuple[Ask, Answer | None]],
    lease_until: datetime,
    now: datetime,
) -> None:
    decided = [(wish, told) for wish, told in wave if told is not None]
    fresh = []
    for wish, told in decided:
        touch = desk.touches.get(wish.key)
        if touch is None:
            fresh.append(facts_of(wish) | _told(told, desk.policy.version, lease_until, now))
        else:
            settle_verdict(touch, told, desk.policy.version, lease_until, now)
    session.flush()
    _insert(session, desk, fresh, is_kept=True)
    orders = [
        (desk.touches[wish.key], told.verdict.displaces)
        for wish, told in decided
        if told.verdict.outcome is Outcome.OPEN
    ]
    for touch, gone in orders:
        count(desk, touch, touch.id, touch.channel, now, gone)
    moved = displace(session, desk.policy, desk.standings, orders, now=now)
    desk.touches |= {touch.key: touch for touch in moved if touch.key in desk.touches}


def _told(told: Answer, version: int, lease_until: datetime, now: datetime) -> dict[str, Any]:
    """What an answer says, as columns of a touch."""
    found = told.verdict
    is_open = found.outcome is Outcome.OPEN
    is_over = found.outcome is Outcome.WITHHOLD
    return {
        "channel": found.channel,
        "state": STATES[found.outcome],
        "verdict": as_json(found, version),
        "asked_at": now,
        "retry_at": told.wakes_at,
        "lease_until": lease_until if is_open else None,
        "counted_at": now if is_open else None,
        "settled_at": now if is_over else None,
    }


def _insert(session: Session, desk: Desk, rows: Sequence[dict[str, Any]], *, is_kept: bool) -> None:
    made = touch_rows.insert(session, rows, is_kept=is_kept) if rows else {}
    for row in rows:
        # Another transaction took the key for another member while we held the lock of this one, or
        # another member of this batch has it.
        touch = made.get(row["key"])
        if touch is None or touch.member_id != row["member_id"]:
            raise KeyReused(row["key"])
    desk.touches |= made


def count(
    desk: Desk,
    wish: Ask | Touch,
    touch_id: int,
    channel: Channel,
    now: datetime,
    gone: Collection[int] = (),
) -> None:
    """Let later asks of a batch see a reservation, and no more what had to give way to it."""
    standing = desk.standings[wish.member_id]
    kept = [one for one in standing.recent if one.touch_id not in {touch_id, *gone}]
    standing.recent = [*kept, reserved(desk.policy, wish, touch_id, channel, now)]
