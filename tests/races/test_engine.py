"""Races of the engine: guide and deadline, two workers with one order; one wins, once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from threading import Barrier, Event
from typing import Any, TypeVar

import pytest
from sqlalchemy import func
from sqlmodel import Session, select

from fatigue import facts
from guide_tasks import attribution, deadlines, launch, progress
from store import members
from store.attributions import Attribution, Commission
from store.campaigns import Campaign, CareTask, TaskState
from store.db import Database
from store.errors import WrongState
from store.members import Member
from store.notices import Notice
from store.orders import MemberFacts, Order
from store.touches import Channel, Touch, TouchState
from tests.builders import a_guide, a_member, an_order
from tests.guide_tasks.people import URL, a_customer, a_sent_touch, a_task, write_in
from tests.guide_tasks.test_launch import a_draft
from tests.races.racing import race

pytestmark = pytest.mark.race

_SECONDS = 120
T = TypeVar("T")


def at_once(acts: list[Callable[[], T]]) -> list[T]:
    """Run every act in its own thread; they start together."""
    start = Barrier(len(acts))

    def run(act: Callable[[], T]) -> T:
        start.wait(_SECONDS)
        return act()

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts, timeout=_SECONDS))


def a_task_at_its_end(database: Database, now: datetime) -> CareTask:
    """A guide's open task; the member has written in, so the brand could speak too."""
    with database.transaction() as session:
        wang = a_guide(session)
        member = a_customer(session, wang, now=now)
        write_in(session, member, now=now)
        return a_task(session, wang, now=now, member=member)


def guide_sends(database: Database, task: CareTask, *, now: datetime) -> bool:
    """The guide's tap; whether it got through."""
    try:
        with database.transaction() as session:
            mine = session.get_one(CareTask, task.id)
            progress.send(session, mine, actor="guide:wang", now=now)
    except WrongState:
        return False
    return True


def on_their_way(database: Database) -> list[Channel]:
    """Channels of the touches that will reach the member."""
    with database.transaction() as session:
        query = select(Touch).where(Touch.state == TouchState.RESERVED)
        return sorted(touch.channel for touch in session.exec(query).all())


@pytest.mark.parametrize("round_number", range(5))
def test_guide_and_deadline_at_once_reach_the_member_once(
    fresh_database: Database, now: datetime, round_number: int
) -> None:
    del round_number
    task = a_task_at_its_end(fresh_database, now)
    # The guide's clock is a moment behind, so that both may.
    acts: list[Callable[[], Any]] = [
        lambda: guide_sends(fresh_database, task, now=now),
        lambda: deadlines.pass_due(fresh_database, now=task.deadline_at),
    ]

    is_sent, passed = at_once(acts)

    channels = on_their_way(fresh_database)
    assert (is_sent, passed, channels) in [
        (True, 0, [Channel.WECOM_BROADCAST]),
        (False, 1, [Channel.WECHAT_SERVICE]),
    ]


def test_the_brand_stays_silent_while_the_guide_is_sending(
    fresh_database: Database, now: datetime
) -> None:
    """The guide's transaction is open: the deadline waits for it, and then finds nothing to do."""
    task = a_task_at_its_end(fresh_database, now)
    has_sent, may_commit = Event(), Event()

    def guide() -> None:
        with fresh_database.transaction() as session:
            mine = session.get_one(CareTask, task.id)
            progress.send(session, mine, actor="guide:wang", now=now)
            session.flush()
            has_sent.set()
            assert may_commit.wait(_SECONDS)

    with ThreadPoolExecutor(2) as pool:
        sending = pool.submit(guide)
        assert has_sent.wait(_SECONDS)
        passing = pool.submit(deadlines.pass_due, fresh_database, now=task.deadline_at)
        assert not passing.done()
        may_commit.set()
        sending.result(_SECONDS)
        passed = passing.result(_SECONDS)

    assert passed == 0
    assert on_their_way(fresh_database) == [Channel.WECOM_BROADCAST]


def test_the_guide_is_refused_while_the_brand_is_speaking(
    fresh_database: Database, now: datetime
) -> None:
    task = a_task_at_its_end(fresh_database, now)
    has_passed, may_commit = Event(), Event()

    def brand() -> None:
        with fresh_database.transaction() as session:
            deadlines._pass_chunk(session, task.deadline_at)
            session.flush()
            has_passed.set()
            assert may_commit.wait(_SECONDS)

    with ThreadPoolExecutor(2) as pool:
        passing = pool.submit(brand)
        assert has_passed.wait(_SECONDS)
        sending = pool.submit(guide_sends, fresh_database, task, now=now)
        assert not sending.done()
        may_commit.set()
        passing.result(_SECONDS)
        is_sent = sending.result(_SECONDS)

    assert is_sent is False
    assert on_their_way(fresh_database) == [Channel.WECHAT_SERVICE]


def test_without_locks_guide_and_brand_both_speak(
    fresh_database: Database, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same race with the locks taken away: what the tests above would see if none held."""
    task = a_task_at_its_end(fresh_database, now)
    monkeypatch.setattr(facts, "locking", lambda *_: ("SELECT 1", {}))
    monkeypatch.setattr(progress, "_lock", lambda *_: None)
    monkeypatch.setattr(deadlines, "_still_open", _read_unlocked)
    both_have_read = Barrier(2)

    def guide() -> TouchState:
        with Session(fresh_database.engine) as session:
            mine = session.get_one(CareTask, task.id)
            both_have_read.wait(_SECONDS)
            state = progress.send(session, mine, actor="guide:wang", now=now).state
            both_have_read.wait(_SECONDS)
            # The state of the task is of no matter here: one row would wait for the other.
            session.expunge(mine)
            session.commit()
            return state

    def brand() -> TouchState:
        with Session(fresh_database.engine) as session:
            both_have_read.wait(_SECONDS)
            deadlines._pass_chunk(session, task.deadline_at)
            query = select(Touch).where(Touch.channel == Channel.WECHAT_SERVICE)
            state = session.exec(query).one().state
            both_have_read.wait(_SECONDS)
            session.commit()
            return state

    states = at_once([guide, brand])

    assert states == [TouchState.RESERVED] * 2
    assert on_their_way(fresh_database) == [Channel.WECHAT_SERVICE, Channel.WECOM_BROADCAST]


def _read_unlocked(session: Session, task_ids: list[int]) -> list[CareTask]:
    return [session.get_one(CareTask, task_id) for task_id in task_ids]


def an_order_after_a_touch(database: Database, now: datetime, *, is_due: bool = True) -> int:
    with database.transaction() as session:
        task = a_task(session, a_guide(session), now=now, state=TaskState.DELIVERED)
        a_sent_touch(session, task, at=now)
        member = session.get_one(Member, task.member_id)
        order = an_order(session, member, now=now).order
        # Else the first to clear the mark would hold the row, and hide what a test takes away.
        order.is_attribution_due = is_due
        return order.id


def attribute(session: Session, order_id: int, *, now: datetime) -> bool:
    found = attribution.attribute(session, order_id, public_url=URL, now=now)
    return found is not None


def test_two_workers_with_one_order_credit_it_once(fresh_database: Database, now: datetime) -> None:
    order_id = an_order_after_a_touch(fresh_database, now)

    def act() -> bool:
        with fresh_database.transaction() as session:
            return attribute(session, order_id, now=now)

    found = at_once([act] * 4)

    assert found == [True] * 4
    with fresh_database.transaction() as session:
        for table in (Attribution, Commission, Notice):
            assert session.exec(select(func.count()).select_from(table)).one() == 1


def test_without_the_members_lock_both_workers_believe_that_nobody_has_the_sale(
    fresh_database: Database, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The constraint still keeps one row; without it there would be two."""
    order_id = an_order_after_a_touch(fresh_database, now, is_due=False)
    monkeypatch.setattr(attribution, "_locked", lambda session, key: session.get_one(Order, key))
    both_have_looked = Barrier(2)
    look = attribution._last_touch

    def last_touch(*args: Any) -> Touch | None:
        both_have_looked.wait(_SECONDS)
        return look(*args)

    monkeypatch.setattr(attribution, "_last_touch", last_touch)

    def act() -> bool:
        with fresh_database.transaction() as session:
            return attribute(session, order_id, now=now)

    assert sorted(at_once([act, act])) == [False, True]


def test_a_launch_and_batches_of_orders_do_not_wait_for_each_other_for_ever(
    fresh_database: Database, now: datetime
) -> None:
    """A limit takes the best customers first, whatever their ids; batches go by id."""
    with fresh_database.transaction() as session:
        ids = [a_spender(session, fen, now=now) for fen in range(40)]
        drafts = [a_draft(session, now=now, audience_limit=40).id for _ in range(8)]

    def launching(session: Session, campaign_id: int) -> int:
        campaign = session.get_one(Campaign, campaign_id)
        return launch.freeze(session, campaign, actor="test", now=now)

    def locking(session: Session) -> int:
        return len([members.lock(session, member_id) for member_id in ids])

    found = [race(fresh_database, [partial(launching, campaign_id=one), locking]) for one in drafts]

    assert found == [[40, 40]] * 8


def a_spender(session: Session, fen: int, *, now: datetime) -> int:
    member = a_member(session, now=now)
    session.add(MemberFacts(member_id=member.id, spent_365_fen=fen, updated_at=now))
    return member.id
