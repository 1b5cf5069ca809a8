"""A process that asks for touches: `python -m tests.chaos.asker FIRST STEP MEMBERS TARGET`.

It asks for every wish FIRST, FIRST + STEP, … below the number that stands in the file TARGET, in
batches, and whatever breaks it asks again: the same key is the same touch. It never ends by itself.
"""

import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar

from sqlalchemy.exc import DBAPIError
from sqlmodel import Session, col, select

from fatigue import gate
from sandbox import stage
from store import clock
from store.db import Database
from store.jobs import Job, after_commit
from store.settings import Settings
from store.touches import Touch, TouchState
from tests.chaos import plan, town
from web import wiring

_log = logging.getLogger(__name__)
_BATCH = 40
_PAUSE_SECONDS = 0.2
# Asked once more after a restart: the last that the killed process may not have nudged.
_AGAIN = 200
_Found = TypeVar("_Found")


def main(first: int, step: int, members: int, target: Path) -> None:
    """Ask until killed."""
    logging.basicConfig(level="WARNING")
    with wiring.build(Settings()) as parts:
        people = _patiently(parts.database, town.known)
        done = _patiently(parts.database, partial(_asked, first=first, step=step))
        for numbers in _batches(max(first, done - _AGAIN * step), step, target):
            wishes = [plan.wish(number, members) for number in numbers]
            _patiently(parts.database, partial(_ask, people=people, wishes=wishes))


def _batches(start: int, step: int, target: Path) -> Iterator[Sequence[int]]:
    place = start
    while True:
        end = min(int(target.read_text()), place + _BATCH * step)
        numbers = range(place, end, step)
        if numbers:
            place = numbers[-1] + step
            yield numbers
        else:
            time.sleep(_PAUSE_SECONDS)


def _asked(session: Session, first: int, step: int) -> int:
    """The first number of ours that nobody has asked for yet."""
    keys = set(session.exec(select(Touch.key).where(col(Touch.key).startswith("storm-"))))
    number = first
    while f"storm-{number}" in keys:
        number += step
    return number


def _ask(session: Session, people: town.Town, wishes: Sequence[plan.Wish]) -> None:
    for touch in gate.ask_many(session, [_ask_of(people, one) for one in wishes], now=clock.now()):
        if touch.state is TouchState.RESERVED:
            after_commit(session, Job.DELIVER_TOUCH, touch.id)


def _ask_of(people: town.Town, wish: plan.Wish) -> gate.Ask:
    member_id = people.members[wish.member]
    return gate.Ask(
        key=wish.key,
        member_id=member_id,
        channels=wish.channels,
        category=wish.category,
        brand_id=people.brand_id,
        campaign_id=None if wish.campaign is None else people.campaigns[wish.campaign],
        guide_id=people.guides[member_id],
        priority=wish.priority,
        text=wish.text,
        payload={"title": wish.text, "template_id": stage.NOTICE_TEMPLATE_ID},
        deadline_at=clock.now() + timedelta(hours=wish.hours),
    )


def _patiently(database: Database, act: Callable[[Session], _Found]) -> _Found:
    """What `act` gives in a transaction of its own, as often as it takes."""
    while True:
        try:
            with database.transaction() as session:
                return act(session)
        except DBAPIError as error:
            _log.warning("Asking again after %s.", type(error).__name__)
            time.sleep(_PAUSE_SECONDS)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
