"""Judging an ask over all its channels: which is open, who gives way, and when to look again."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import NamedTuple

from fatigue.asks import Ask
from fatigue.case import FIRST_IMAGINED, Answer, Question, Recent, Verdict, Violation
from fatigue.quiet_hours import is_quiet
from fatigue.rules import DISPLACED, Outcome, Policy, QuietHours
from fatigue.standing import Standing, question
from fatigue.verdict import verdict
from store.touches import Category

_SECOND = timedelta(seconds=1)


class Gone(NamedTuple):
    """A reserved touch that gives way, with the ask it came from."""

    touch_id: int
    wish: Ask
    asked_at: datetime


def judge(
    policy: Policy,
    standing: Standing,
    wish: Ask,
    now: datetime,
    *,
    without: int | None = None,
    asked_at: datetime | None = None,
) -> Verdict:
    """The verdict over all channels of an ask: the first open one, else the first to open.

    `without` is a touch that does not count: the one that is being decided, asked for at
    `asked_at`.
    """
    recent = [touch for touch in standing.recent if touch.touch_id != without]
    closed: list[Verdict] = []
    for ask in _questions(policy, standing, wish, now, asked_at):
        found = verdict(policy, recent, ask, now)
        if found.outcome is Outcome.OPEN:
            passed_over = tuple(reason for past in closed for reason in past.violations)
            return replace(found, passed_over=passed_over)
        closed.append(found)
    return _best_of(closed)


def answer(
    policy: Policy,
    standing: Standing,
    wish: Ask,
    now: datetime,
    *,
    without: int | None = None,
    asked_at: datetime | None = None,
) -> Answer:
    """The verdict on an ask that reserves: where all is closed, lower bands may give way."""
    found = judge(policy, standing, wish, now, without=without, asked_at=asked_at)
    if found.outcome is Outcome.OPEN:
        return Answer(found, None)
    recent = [touch for touch in standing.recent if touch.touch_id != without]
    # Most often nothing is reserved that could give way.
    if any(touch.is_reserved for touch in recent):
        for ask in _questions(policy, standing, wish, now, asked_at):
            displaced = _displaced(policy, recent, ask, now)
            if displaced:
                kept = [touch for touch in recent if touch.touch_id not in displaced]
                open_now = verdict(policy, kept, ask, now)
                reasons = found.violations
                return Answer(replace(open_now, passed_over=reasons, displaces=displaced), None)
    return Answer(found, wakes_at(policy, standing, wish, found, without=without))


def given_way(policy: Policy, standing: Standing, gone: Gone, by_id: int, now: datetime) -> Answer:
    """What the ask of a displaced touch is told: by which touch, and when it may go.

    `standing` counts the touch `by_id`. What could go at once on another channel is due at once.
    """
    found = judge(policy, standing, gone.wish, now, without=gone.touch_id, asked_at=gone.asked_at)
    is_open = found.outcome is Outcome.OPEN
    opens = now if is_open else found.retry_at
    by = () if by_id >= FIRST_IMAGINED else (by_id,)
    reason = Violation(DISPLACED, found.channel, touches=by, retry_at=opens)
    told = Verdict(
        Outcome.DEFER if is_open else found.outcome,
        found.channel,
        (reason, *found.violations),
        opens,
        shadow=found.shadow,
    )
    wakes = now if is_open else wakes_at(policy, standing, gone.wish, found, without=gone.touch_id)
    return Answer(told, wakes)


def wakes_at(
    policy: Policy, standing: Standing, wish: Ask, found: Verdict, *, without: int | None = None
) -> datetime | None:
    """When a deferred ask is looked at again.

    What waits for the end of a night is spread over the span that its rule gives, by its key, so
    that not all come at once; where it could not go then any more, it stays with the opening.
    """
    if found.retry_at is None:
        return None
    opens = found.retry_at
    ask = question(policy, standing, wish, found.channel, opens)
    spans = [
        rule.spread_minutes
        for rule in policy.rules
        if isinstance(rule, QuietHours)
        and rule.spread_minutes is not None
        and not rule.is_shadow
        and rule.binds(ask)
        and is_quiet(rule, opens - _SECOND, standing.zone)
    ]
    if not spans:
        return opens
    later = opens + _own_moment(wish.key, timedelta(minutes=max(spans)))
    then = judge(policy, standing, wish, later, without=without)
    return later if then.outcome is Outcome.OPEN else opens


def _own_moment(key: str, span: timedelta) -> timedelta:
    number = int.from_bytes(sha256(key.encode()).digest()[:8])
    return timedelta(seconds=number % int(span.total_seconds()))


def _questions(
    policy: Policy, standing: Standing, wish: Ask, now: datetime, asked_at: datetime | None
) -> Iterator[Question]:
    for channel in wish.channels:
        yield question(policy, standing, wish, channel, now, asked_at=asked_at)


def _best_of(closed: Sequence[Verdict]) -> Verdict:
    retries = [found.retry_at for found in closed if found.retry_at is not None]
    first = min(retries, default=None)
    best = next(found for found in closed if found.retry_at == first)
    others = [reason for found in closed if found is not best for reason in found.violations]
    return replace(best, violations=(*best.violations, *others))


def _displaced(
    policy: Policy, recent: Sequence[Recent], ask: Question, now: datetime
) -> tuple[int, ...]:
    """The reserved touches of lower bands that must give way for the ask to go now; none helps, ().

    As few as possible: each one is spared that need not go, the higher bands first. What a member
    did themselves is answered in any case, so service touches never give way.
    """
    lower = [touch for touch in recent if _gives_way(policy, touch, ask)]
    kept = [touch for touch in recent if touch not in lower]
    if not lower or verdict(policy, kept, ask, now).outcome is not Outcome.OPEN:
        return ()
    gone = []
    for touch in sorted(lower, key=lambda one: (-policy.floor_of(one.band), one.at, one.touch_id)):
        if verdict(policy, [*kept, touch], ask, now).outcome is Outcome.OPEN:
            kept.append(touch)
        else:
            gone.append(touch.touch_id)
    return tuple(gone)


def _gives_way(policy: Policy, touch: Recent, ask: Question) -> bool:
    return (
        touch.is_reserved
        and touch.category is not Category.SERVICE
        and policy.floor_of(touch.band) < policy.floor_of(ask.band)
    )
