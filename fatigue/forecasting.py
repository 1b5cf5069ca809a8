"""Dry runs: what the gate would answer, without a lock and without a trace."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count as numbers_from

from sqlmodel import Session

from fatigue import desks
from fatigue.asking import at_once, count, decide
from fatigue.asks import Ask, Forecast, as_it_stands, ask_of
from fatigue.case import FIRST_IMAGINED, Answer
from fatigue.desks import Desk
from fatigue.judging import Gone, given_way
from fatigue.rules import Outcome


@dataclass(slots=True)
class _Run:
    """One dry run; what it reserves is only imagined."""

    desk: Desk
    now: datetime
    asked: dict[int, Gone]
    forecasts: dict[str, Forecast] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=lambda: numbers_from(FIRST_IMAGINED))


def dry_run(session: Session, asks: Sequence[Ask], *, now: datetime) -> list[Forecast]:
    """What `ask_many` would answer at `now`, any date, to all that is known today."""
    if not asks:
        return []
    desk = desks.read(session, asks, is_locking=False, now=now)
    known = {one.id: Gone(one.id, ask_of(one), one.asked_at) for one in desk.touches.values()}
    run = _Run(desk, now, known)
    for wish in desk.plain:
        run.forecasts[wish.key] = Forecast(wish.key, wish.member_id, at_once(wish).verdict)
    for wish in desk.rest:
        if wish.key not in run.forecasts:
            run.forecasts[wish.key] = _forecast(run, wish)
    return [run.forecasts[wish.key] for wish in asks]


def _forecast(run: _Run, wish: Ask) -> Forecast:
    touch = run.desk.touches.get(wish.key)
    told = decide(run.desk, wish, run.now)
    if told is None:
        assert touch is not None
        return Forecast(wish.key, wish.member_id, as_it_stands(touch), touch.id)
    if told.verdict.outcome is Outcome.OPEN:
        touch_id = touch.id if touch else next(run.numbers)
        run.asked[touch_id] = Gone(touch_id, wish, touch.asked_at if touch else run.now)
        _reserve(run, wish, touch_id, told)
    return Forecast(wish.key, wish.member_id, told.verdict, touch.id if touch else None)


def _reserve(run: _Run, wish: Ask, touch_id: int, told: Answer) -> None:
    """Count the imagined touch for the asks after it; who gives way to it is told so."""
    gone = told.verdict.displaces
    count(run.desk, wish, touch_id, told.verdict.channel, run.now, gone)
    standing = run.desk.standings[wish.member_id]
    for other in [run.asked[other_id] for other_id in gone if other_id in run.asked]:
        way = given_way(run.desk.policy, standing, other, touch_id, run.now)
        known = None if other.touch_id >= FIRST_IMAGINED else other.touch_id
        member_id, key = other.wish.member_id, other.wish.key
        run.forecasts[key] = Forecast(key, member_id, way.verdict, known)
