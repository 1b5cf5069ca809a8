"""Races for a task in hand: taken once; sent or given away or handed over, never two of them.

Each stands beside its twin without the lock, in which both racers believe that they have won.
"""

from collections.abc import Sequence
from datetime import datetime
from threading import Barrier

import pytest
from sqlmodel import Session, col, select

from guide_tasks import progress, tasks
from guide_tasks.progress import HandedOn
from guide_tasks.tasks import TakenAlready
from store.campaigns import CareTask, TaskState
from store.db import Database
from store.errors import WrongState
from store.organisation import Guide, GuideStatus
from store.touches import Touch, TouchState
from tests.builders import a_guide, a_shop
from tests.guide_tasks.people import a_customer, a_task, befriend
from tests.races.racing import SECONDS, Act, race, waiting, winners

pytestmark = pytest.mark.race

_ROUNDS = range(4)


class Shop:
    """Wang's task for Li; Sun is a colleague whom Li knows, too."""

    def __init__(self, database: Database, now: datetime) -> None:
        self.database, self.now = database, now
        # Who looks a task up that is a colleague's already finds none, and does not race for it.
        self.both_have_it = Barrier(2)
        with database.transaction() as session:
            shop = a_shop(session)
            self.wang, self.sun = (a_guide(session, shop=shop) for _ in range(2))
            li = a_customer(session, self.wang, now=now, shop_id=shop.id)
            befriend(session, li, self.sun, now=now)
            self.task_id = a_task(session, self.wang, now=now, member=li).id

    def open_to_all(self) -> None:
        """The task is anyone's in the shop."""
        with self.database.transaction() as session:
            task = session.get_one(CareTask, self.task_id)
            task.guide_id, task.shop_id = None, self.wang.shop_id

    def taken_by(self, guide: Guide) -> Act:
        """The guide's tap on a task of the shop."""

        def act(session: Session) -> int | None:
            token = session.get_one(CareTask, self.task_id).token
            mine = session.get_one(Guide, guide.id)
            return tasks.take(session, token, mine, now=self.now).guide_id

        return act

    def sent(self, session: Session) -> str:
        """Wang taps send."""
        task = session.get_one(CareTask, self.task_id)
        task = progress.task_of_guide(session, task.token, self.wang.id)
        self.both_have_it.wait(SECONDS)
        progress.send(session, task, actor="guide:wang", now=self.now)
        return "sent"

    def given_to_sun(self, session: Session) -> str:
        """The manager gives the task to Sun."""
        task = session.get_one(CareTask, self.task_id)
        sun = session.get_one(Guide, self.sun.id)
        self.both_have_it.wait(SECONDS)
        tasks.reassign(session, task, sun, actor="manager:zhou", now=self.now)
        return "given"

    def handed_over(self, session: Session) -> str | WrongState:
        """Wang leaves, and what is open goes to colleagues."""
        self.both_have_it.wait(SECONDS)
        session.get_one(Guide, self.wang.id).status = GuideStatus.LEFT
        session.flush()
        moved = tasks.hand_over(session, self.wang.id, why="left", now=self.now)
        return "handed over" if moved else WrongState("care task", "sent", "reassigned")

    def end(self) -> tuple[TaskState, int | None, int]:
        """State and guide of the task, and how many messages are on their way to the member."""
        with self.database.transaction() as session:
            task = session.get_one(CareTask, self.task_id)
            query = select(Touch).where(col(Touch.state) == TouchState.RESERVED)
            return task.state, task.guide_id, len(session.exec(query).all())


@pytest.mark.parametrize("round_number", _ROUNDS)
def test_of_two_guides_one_takes_the_task(
    fresh_database: Database, now: datetime, round_number: int
) -> None:
    del round_number
    shop = Shop(fresh_database, now)
    shop.open_to_all()

    found = race(fresh_database, [shop.taken_by(shop.wang), shop.taken_by(shop.sun)])

    (winner,) = winners(found)
    assert shop.end()[:2] == (TaskState.SEEN, winner)
    assert [type(one) for one in found if one != winner] == [TakenAlready]


def test_without_the_lock_both_believe_to_have_taken_it(
    fresh_database: Database, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop(fresh_database, now)
    shop.open_to_all()
    monkeypatch.setattr(tasks, "lock", waiting(2, _read))

    found = race(fresh_database, [shop.taken_by(shop.wang), shop.taken_by(shop.sun)])

    assert winners(found) == [shop.wang.id, shop.sun.id]


@pytest.mark.parametrize("round_number", _ROUNDS)
def test_a_task_is_sent_by_its_guide_or_given_to_a_colleague(
    fresh_database: Database, now: datetime, round_number: int
) -> None:
    del round_number
    shop = Shop(fresh_database, now)

    found = race(fresh_database, [shop.sent, shop.given_to_sun])

    assert (winners(found), shop.end()) in [
        (["sent"], (TaskState.SENDING, shop.wang.id, 1)),
        (["given"], (TaskState.REASSIGNED, shop.sun.id, 0)),
    ]
    assert [type(one) for one in found if isinstance(one, Exception)] in [[WrongState], [HandedOn]]


def test_without_the_lock_it_is_sent_and_given_away(
    fresh_database: Database, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop(fresh_database, now)
    monkeypatch.setattr(tasks, "lock", waiting(2, _read))

    found = race(fresh_database, [shop.sent, shop.given_to_sun])

    assert winners(found) == ["sent", "given"]


@pytest.mark.parametrize("round_number", _ROUNDS)
def test_a_leaving_guide_sends_or_hands_over(
    fresh_database: Database, now: datetime, round_number: int
) -> None:
    del round_number
    shop = Shop(fresh_database, now)

    found = race(fresh_database, [shop.sent, shop.handed_over])

    assert (winners(found), shop.end()) in [
        (["sent"], (TaskState.SENDING, shop.wang.id, 1)),
        (["handed over"], (TaskState.REASSIGNED, shop.sun.id, 0)),
    ]


def test_without_the_locks_it_is_sent_and_handed_over(
    fresh_database: Database, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop(fresh_database, now)
    read_by_both = waiting(2, _read)

    def unlocked(session: Session, task_ids: Sequence[int], _guide_id: int) -> list[CareTask]:
        found = [session.get_one(CareTask, task_id) for task_id in task_ids]
        read_by_both(session, found[0])
        return found

    monkeypatch.setattr(tasks, "lock", read_by_both)
    monkeypatch.setattr(tasks, "_locked", unlocked)

    found = race(fresh_database, [shop.sent, shop.handed_over])

    assert winners(found) == ["sent", "handed over"]


def _read(session: Session, task: CareTask) -> None:
    """What the lock does, without locking anything."""
    session.refresh(task)
