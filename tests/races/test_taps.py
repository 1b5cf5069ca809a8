"""Two taps at once on one care task: on send, on send and on told, at the desk and in the chat.

The member hears one thing, and the second tap finds the task where the first has taken it. Each
stands beside its twin without the locks.
"""

from collections.abc import Callable
from datetime import datetime
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select

from fatigue import facts, fencing, touch_rows
from fatigue.asks import Ask, KeyReused
from guide_tasks import asks, progress
from store.audit import AuditEntry
from store.campaigns import CareTask, TaskState
from store.db import Database
from store.errors import WrongState
from store.members import Member
from store.organisation import Guide
from store.touches import COUNTED, Channel, Touch
from tests.builders import a_guide
from tests.guide_tasks.people import a_customer, a_task
from tests.races.racing import SECONDS, Act, race
from web.workbench import acts

pytestmark = pytest.mark.race

_ROUNDS = range(3)


class Desk:
    """Wang's open task for Li, on two screens."""

    def __init__(self, database: Database, now: datetime) -> None:
        self.database, self.now = database, now
        with database.transaction() as session:
            self.wang = a_guide(session)
            li = a_customer(session, self.wang, now=now)
            task = a_task(session, self.wang, now=now, member=li)
            self.member_id, self.token = li.id, task.token

    def tapped(self, act: Callable[..., CareTask]) -> Act:
        """A tap on a button of the task's page; the words stay as they were."""

        def tap(session: Session) -> TaskState:
            guide = session.get_one(Guide, self.wang.id)
            return act(session, guide, self.token, text=None, now=self.now).state

        return tap

    def tapped_in_chat(self, session: Session) -> bool:
        """A tap on send in the toolbar of the chat: whether the page may send now."""
        guide = session.get_one(Guide, self.wang.id)
        li = session.get_one(Member, self.member_id)
        begun = acts.begin_in_chat(session, guide, self.token, to=li, text=None, now=self.now)
        assert begun is not None
        return begun.words is not None

    def end(self) -> tuple[TaskState, list[Channel], int]:
        """The task, the channels of what reaches the member, and how many taps are on record."""
        with self.database.transaction() as session:
            task = session.exec(select(CareTask)).one()
            touches = session.exec(select(Touch).where(col(Touch.state).in_(COUNTED))).all()
            taps = session.exec(select(AuditEntry).where(col(AuditEntry.act).like("task.%"))).all()
            return task.state, [touch.channel for touch in touches], len(taps)


@pytest.mark.parametrize("round_number", _ROUNDS)
def test_two_taps_on_send_are_one_message_and_one_answer(
    fresh_database: Database, now: datetime, round_number: int
) -> None:
    del round_number
    desk = Desk(fresh_database, now)

    found = race(fresh_database, [desk.tapped(acts.send)] * 3)

    assert found == [TaskState.SENDING] * 3
    assert desk.end() == (TaskState.SENDING, [Channel.WECOM_BROADCAST], 1)


def test_without_the_locks_both_taps_take_themselves_for_the_first(
    fresh_database: Database, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key still keeps one row: the tap that comes second is refused as another wish."""
    desk = Desk(fresh_database, now)
    seen = unlock(monkeypatch)

    found = race(fresh_database, [desk.tapped(acts.send)] * 2)

    assert seen == [TaskState.ASSIGNED] * 2
    assert broken(found) == [KeyReused]


@pytest.mark.parametrize("round_number", _ROUNDS)
def test_a_task_is_sent_or_reported_as_told(
    fresh_database: Database, now: datetime, round_number: int
) -> None:
    del round_number
    desk = Desk(fresh_database, now)

    found = race(fresh_database, [desk.tapped(acts.send), desk.tapped(acts.told)])

    assert (found, desk.end()) in [
        ([TaskState.SENDING] * 2, (TaskState.SENDING, [Channel.WECOM_BROADCAST], 1)),
        ([TaskState.SENT] * 2, (TaskState.SENT, [Channel.WECOM_SIDEBAR], 1)),
    ]


def test_without_the_locks_it_is_sent_and_reported_as_told(
    fresh_database: Database, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(fresh_database, now)
    seen = unlock(monkeypatch)

    found = race(fresh_database, [desk.tapped(acts.send), desk.tapped(acts.told)])

    assert seen == [TaskState.ASSIGNED] * 2
    # Whoever comes second breaks: the ask is refused, the word of what happened finds the key.
    assert broken(found) in ([KeyReused], [IntegrityError])


@pytest.mark.parametrize("round_number", _ROUNDS)
def test_a_tap_at_the_desk_and_one_in_the_chat_are_one_message(
    fresh_database: Database, now: datetime, round_number: int
) -> None:
    del round_number
    desk = Desk(fresh_database, now)

    at_desk, in_chat = race(fresh_database, [desk.tapped(acts.send), desk.tapped_in_chat])

    assert at_desk is TaskState.SENDING
    assert in_chat is True or isinstance(in_chat, WrongState)
    channel = Channel.WECOM_SIDEBAR if in_chat is True else Channel.WECOM_BROADCAST
    assert desk.end() == (TaskState.SENDING, [channel], 1)


def test_without_the_locks_the_desk_and_the_chat_both_take_themselves_for_the_first(
    fresh_database: Database, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(fresh_database, now)
    seen = unlock(monkeypatch)

    found = race(fresh_database, [desk.tapped(acts.send), desk.tapped_in_chat])

    assert seen == [TaskState.ASSIGNED] * 2
    assert broken(found) == [KeyReused]


def broken(found: list[Any]) -> list[type[Exception]]:
    """How the acts ended that were neither done nor told why not."""
    return [type(one) for one in found if isinstance(one, Exception)]


def unlock(monkeypatch: pytest.MonkeyPatch) -> list[TaskState]:
    """Take the locks of member and task away; gives what the racers read. Neither writes a touch
    before the other has looked for it and found none.
    """
    seen: list[TaskState] = []
    ask, insert, recorded = asks.of_guide, touch_rows.insert, fencing._recorded
    both_have_looked = Barrier(2)

    def of_guide(session: Session, task: CareTask, *channel: Channel) -> Ask:
        seen.append(task.state)
        return ask(session, task, *channel)

    def writing(write: Callable[..., Any]) -> Callable[..., Any]:
        def written(*args: Any, **facts: Any) -> Any:
            both_have_looked.wait(SECONDS)
            return write(*args, **facts)

        return written

    monkeypatch.setattr(facts, "locking", lambda *_: ("SELECT 1", {}))
    monkeypatch.setattr(progress, "_lock", lambda *_: None)
    monkeypatch.setattr(asks, "of_guide", of_guide)
    monkeypatch.setattr(touch_rows, "insert", writing(insert))
    monkeypatch.setattr(fencing, "_recorded", writing(recorded))
    return seen
