"""Asking the gate: every ask is decided under its member's lock and leaves one touch row.

The first channel on which every rule is open is reserved for a lease; else the ask waits for the
exact first instant when one opens; else it is withheld, and the row says by which rules.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import Session, col, select

from fatigue import facts, policies, touch_rows
from fatigue.asks import (
    Ask,
    Forecast,
    KeyReused,
    as_it_stands,
    as_json,
    ask_of,
    check_same,
    facts_of,
)
from fatigue.rules import Outcome, Policy
from fatigue.standing import Standing, landing, question
from fatigue.verdict import Recent, Verdict, verdict
from store.touches import Channel, Touch, TouchState, move_touch

LEASE_MINUTES = 15
_STATES = {
    Outcome.OPEN: TouchState.RESERVED,
    Outcome.DEFER: TouchState.ASKED,
    Outcome.WITHHOLD: TouchState.WITHHELD,
}


@dataclass(slots=True)
class _Desk:
    """Everything that the decisions of one batch look at."""

    policy: Policy
    standings: dict[int, Standing]
    touches: dict[str, Touch]


def ask(session: Session, ask: Ask, *, now: datetime, lease_minutes: int = LEASE_MINUTES) -> Touch:
    """Decide one ask; gives its touch `reserved`, `asked` (deferred) or `withheld`.

    Locks the member. A repeat gives the same touch, decided again only once its lease is over or
    its retry is due. Refuses a key that stands for another touch.
    """
    return ask_many(session, [ask], now=now, lease_minutes=lease_minutes)[0]


def ask_many(
    session: Session, asks: Sequence[Ask], *, now: datetime, lease_minutes: int = LEASE_MINUTES
) -> list[Touch]:
    """Decide a batch as if one by one in its order; gives the touches in that order."""
    if not asks:
        return []
    facts.lock(session, {wish.member_id for wish in asks})
    desk = _desk(session, asks, is_locked=True, now=now)
    lease_until = now + timedelta(minutes=lease_minutes)
    for wave in _waves(asks):
        _write(session, desk, [(wish, _decide(desk, wish, now)) for wish in wave], lease_until, now)
    return [desk.touches[wish.key] for wish in asks]


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


def dry_run(session: Session, asks: Sequence[Ask], *, now: datetime) -> list[Forecast]:
    """What `ask_many` would answer at `now`, without a lock and without a trace."""
    if not asks:
        return []
    desk = _desk(session, asks, is_locked=False, now=now)
    forecasts = {}
    for wish in asks:
        if wish.key not in forecasts:
            forecasts[wish.key] = _forecast(desk, wish, now)
    return [forecasts[wish.key] for wish in asks]


def judge(
    policy: Policy, standing: Standing, wish: Ask, now: datetime, *, without: int | None = None
) -> Verdict:
    """The verdict over all channels of an ask: the first open one, else the first to open.

    `without` is a touch that does not count: the one that is being decided.
    """
    recent = [touch for touch in standing.recent if touch.touch_id != without]
    closed: list[Verdict] = []
    for channel in wish.channels:
        found = verdict(policy, recent, question(standing, wish, channel, now), now)
        if found.outcome is Outcome.OPEN:
            passed_over = tuple(reason for past in closed for reason in past.violations)
            return Verdict(Outcome.OPEN, channel, passed_over=passed_over)
        closed.append(found)
    return _best_of(closed)


def _best_of(closed: Sequence[Verdict]) -> Verdict:
    retries = [found.retry_at for found in closed if found.retry_at is not None]
    first = min(retries, default=None)
    best = next(found for found in closed if found.retry_at == first)
    others = [reason for found in closed if found is not best for reason in found.violations]
    return Verdict(best.outcome, best.channel, (*best.violations, *others), best.retry_at)


def _desk(session: Session, asks: Sequence[Ask], *, is_locked: bool, now: datetime) -> _Desk:
    policy = policies.current(session)
    standings = facts.read(
        session,
        {wish.member_id for wish in asks},
        policy,
        campaign_ids={wish.campaign_id for wish in asks if wish.campaign_id is not None},
        now=now,
    )
    known = touch_rows.find(session, [wish.key for wish in asks], is_locked=is_locked)
    return _Desk(policy, standings, known)


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


def _decide(desk: _Desk, wish: Ask, now: datetime) -> Verdict | None:
    """A verdict, or None where the touch stays as it is."""
    touch = desk.touches.get(wish.key)
    if touch is not None:
        check_same(touch, wish)
        if not _is_undecided(touch, now):
            return None
    standing = desk.standings[wish.member_id]
    return judge(desk.policy, standing, wish, now, without=touch.id if touch else None)


def _is_undecided(touch: Touch, now: datetime) -> bool:
    """Whether a lease is over or a retry is due."""
    if touch.state is TouchState.RESERVED:
        return touch.lease_until is not None and touch.lease_until <= now
    if touch.state is TouchState.ASKED:
        return touch.retry_at is None or touch.retry_at <= now
    return False


def _write(
    session: Session,
    desk: _Desk,
    wave: Sequence[tuple[Ask, Verdict | None]],
    lease_until: datetime,
    now: datetime,
) -> None:
    fresh = []
    for wish, found in wave:
        touch = desk.touches.get(wish.key)
        if found is None:
            continue
        if touch is None:
            fresh.append(_row(wish, found, desk.policy.version, lease_until, now))
        else:
            settle_verdict(touch, found, desk.policy.version, lease_until, now)
    session.flush()
    _insert(session, desk, fresh)
    for wish, found in wave:
        if found is not None and found.outcome is Outcome.OPEN:
            _count(desk.standings[wish.member_id], desk.touches[wish.key])


def settle_verdict(
    touch: Touch, found: Verdict, version: int, lease_until: datetime, now: datetime
) -> None:
    """Write a new verdict into a locked touch."""
    move_touch(touch, _STATES[found.outcome], now=now)
    touch.channel = found.channel
    touch.retry_at = found.retry_at
    touch.verdict = as_json(found, version)
    touch.lease_until = lease_until if found.outcome is Outcome.OPEN else None
    touch.counted_at = now if found.outcome is Outcome.OPEN else None


def _row(
    wish: Ask, found: Verdict, version: int, lease_until: datetime, now: datetime
) -> dict[str, Any]:
    is_open = found.outcome is Outcome.OPEN
    is_over = found.outcome is Outcome.WITHHOLD
    return facts_of(wish) | {
        "channel": found.channel,
        "state": _STATES[found.outcome],
        "verdict": as_json(found, version),
        "asked_at": now,
        "retry_at": found.retry_at,
        "lease_until": lease_until if is_open else None,
        "counted_at": now if is_open else None,
        "settled_at": now if is_over else None,
    }


def _insert(session: Session, desk: _Desk, rows: Sequence[dict[str, Any]]) -> None:
    made = touch_rows.insert(session, rows) if rows else {}
    for row in rows:
        # Another transaction took the key for another member while we held the lock of this one, or
        # another member of this batch has it.
        touch = made.get(row["key"])
        if touch is None or touch.member_id != row["member_id"]:
            raise KeyReused(row["key"])
    desk.touches |= made


def _count(standing: Standing, touch: Touch) -> None:
    standing.recent = [known for known in standing.recent if known.touch_id != touch.id]
    standing.recent.append(_recent(touch.id, touch, touch.channel, touch.counted_at))


def _recent(touch_id: int, wish: Any, channel: Channel, at: datetime | None) -> Recent:
    assert at is not None
    until = landing(at, channel, TouchState.RESERVED)
    template_id = str(wish.payload.get("template_id", ""))
    return Recent(
        touch_id, channel, wish.category, wish.brand_id, wish.campaign_id, at, until, template_id
    )


def _forecast(desk: _Desk, wish: Ask, now: datetime) -> Forecast:
    touch = desk.touches.get(wish.key)
    found = _decide(desk, wish, now)
    if found is None:
        assert touch is not None
        return Forecast(wish.key, wish.member_id, as_it_stands(touch), touch.id)
    if found.outcome is Outcome.OPEN:
        # An imagined touch has no id; it still counts for the asks after it.
        imagined = _recent(0, wish, found.channel, now)
        desk.standings[wish.member_id].recent.append(imagined)
    return Forecast(wish.key, wish.member_id, found, touch.id if touch else None)
