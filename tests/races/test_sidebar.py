"""Races about the toolbar of a chat: two taps at once, and a tap as the deadline passes."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from threading import Barrier
from typing import Any

import pytest
from sqlmodel import Session, col, select

from fatigue import facts, gate
from guide_tasks import deadlines, progress, sidebar
from store.campaigns import CareTask
from store.db import Database
from store.errors import WrongState
from store.touches import COUNTED, Channel, Touch
from tests.builders import a_guide
from tests.guide_tasks.people import a_customer, a_task, write_in

pytestmark = pytest.mark.race

_SECONDS = 120
_ACTOR = "guide:wang"


def at_once(acts: list[Callable[[], Any]]) -> list[Any]:
    """Run every act in its own thread; they start together."""
    start = Barrier(len(acts))

    def run(act: Callable[[], Any]) -> Any:
        start.wait(_SECONDS)
        return act()

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts, timeout=_SECONDS))


@pytest.fixture
def task(fresh_database: Database, now: datetime) -> CareTask:
    """An open task of a member who has written in, so that the brand could speak too."""
    with fresh_database.transaction() as session:
        wang = a_guide(session)
        member = a_customer(session, wang, now=now)
        write_in(session, member, now=now)
        return a_task(session, wang, now=now, member=member)


def tap(session: Session, task: CareTask, *, now: datetime) -> bool:
    """Whether the page may send."""
    assert task.guide_id is not None
    try:
        mine = progress.own_locked(session, task.token, task.guide_id)
        return sidebar.begin(session, mine, actor=_ACTOR, now=now).words is not None
    except WrongState:
        return False


def voices(database: Database) -> list[Channel]:
    """Channels of the touches that reach the member, or may."""
    with database.transaction() as session:
        query = select(Touch).where(col(Touch.state).in_(COUNTED))
        return sorted(touch.channel for touch in session.exec(query).all())


def test_two_taps_at_once_let_one_page_send(
    fresh_database: Database, task: CareTask, now: datetime
) -> None:
    def act() -> bool:
        with fresh_database.transaction() as session:
            return tap(session, task, now=now)

    assert sorted(at_once([act] * 3)) == [False, False, True]
    assert voices(fresh_database) == [Channel.WECOM_SIDEBAR]


def test_without_the_lock_both_taps_believe_that_they_are_the_first(
    fresh_database: Database, task: CareTask, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key still keeps one row: who asks for it second finds it past the fence, and breaks."""
    monkeypatch.setattr(progress, "_lock", lambda *_: None)
    both_may_ask, look, ask = Barrier(2), sidebar.in_doubt, gate.ask
    seen: list[Touch | None] = []

    def in_doubt(*args: Any) -> Touch | None:
        found = look(*args)
        seen.append(found)
        return found

    def asked(*args: Any, **facts: Any) -> Touch:
        both_may_ask.wait(_SECONDS)
        return ask(*args, **facts)

    monkeypatch.setattr(sidebar, "in_doubt", in_doubt)
    monkeypatch.setattr(gate, "ask", asked)

    def act() -> bool:
        with fresh_database.transaction() as session:
            return tap(session, task, now=now)

    with pytest.raises(AssertionError):
        at_once([act, act])
    assert seen == [None, None]


@pytest.mark.parametrize("round_number", range(3))
def test_tap_and_deadline_at_once_reach_the_member_once(
    fresh_database: Database, task: CareTask, now: datetime, round_number: int
) -> None:
    del round_number

    def act() -> bool:
        with fresh_database.transaction() as session:
            return tap(session, task, now=now)

    # The guide's clock is a moment behind, so that both may.
    may_send, passed = at_once(
        [act, lambda: deadlines.pass_due(fresh_database, now=task.deadline_at)]
    )

    assert (may_send, passed, voices(fresh_database)) in [
        (True, 0, [Channel.WECOM_SIDEBAR]),
        (False, 1, [Channel.WECHAT_SERVICE]),
    ]


def test_without_locks_tap_and_deadline_both_speak(
    fresh_database: Database, task: CareTask, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same race with the locks taken away: what the test above would see if none held."""
    monkeypatch.setattr(facts, "locking", lambda *_: ("SELECT 1", {}))
    monkeypatch.setattr(progress, "_lock", lambda *_: None)
    monkeypatch.setattr(deadlines, "_still_open", _read_unlocked)
    both = Barrier(2)

    def speak(act: Callable[[Session], object]) -> None:
        with Session(fresh_database.engine) as session:
            mine = session.get_one(CareTask, task.id)
            both.wait(_SECONDS)
            act(session)
            both.wait(_SECONDS)
            # The state of the task is of no matter here: one row would wait for the other.
            session.expunge(mine)
            session.commit()

    at_once(
        [
            lambda: speak(lambda session: tap(session, task, now=now)),
            lambda: speak(lambda session: deadlines._pass_chunk(session, task.deadline_at)),
        ]
    )

    assert voices(fresh_database) == [Channel.WECHAT_SERVICE, Channel.WECOM_SIDEBAR]


def _read_unlocked(session: Session, task_ids: list[int]) -> list[CareTask]:
    return [session.get_one(CareTask, task_id) for task_id in task_ids]
