"""A batch: fenced at once, sent side by side, written down at once, and nothing is sent twice."""

import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError
from sqlmodel import Session, select

from bot import delivery, sending, settling
from bot.addresses import addresses_of
from bot.channels import base
from bot.channels.base import ChannelError, Outgoing, Receipt
from bot.channels.recording import RecordingChannel
from store import clock, consents
from store.jobs import Job
from store.letters import Letter
from store.organisation import Brand
from store.touches import Evidence, Touch, TouchState
from tests.bot.delivering import BROADCAST, House, failing, the_member_li
from tests.queries import counted


@pytest.fixture
def many(house: House) -> list[int]:
    """Reserved touches, each of another member."""
    return [ask_other(house, number) for number in range(12)]


def ask_other(house: House, number: int) -> int:
    """A touch of somebody else, like Li's."""
    with house.database.transaction() as session:
        brand = session.exec(select(Brand)).one()
        member_id = the_member_li(session, brand, house.wang, house.now, number=number)
    return house.ask(member_id=member_id)


def states(house: House, ids: list[int]) -> Counter[str]:
    """How many are in each state."""
    return Counter(house.touch(touch_id).state.value for touch_id in ids)


def work(house: House) -> int:
    """Send what waits."""
    return delivery.deliver_waiting(house.database, house.channels, 0, clock=house.clock)


def test_everything_that_waits_is_sent_once(house: House, many: list[int]) -> None:
    work(house)
    work(house)

    keys = Counter(out.key for out, _ in house.service.sent)
    assert states(house, many) == {"sent": len(many)}
    assert set(keys.values()) == {1}
    assert len(keys) == len(many)


@pytest.mark.race
def test_workers_side_by_side_send_everything_once(house: House, many: list[int]) -> None:
    barrier = threading.Barrier(4)

    def one() -> None:
        barrier.wait()
        work(house)

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    work(house)

    assert Counter(out.key for out, _ in house.service.sent).most_common(1)[0][1] == 1
    assert states(house, many) == {"sent": len(many)}


@pytest.mark.race
def test_workers_that_do_not_ask_the_fence_send_twice(house: House, many: list[int]) -> None:
    """The twin without the lock: the same two workers, each with what it read before."""
    barrier = threading.Barrier(2)

    def careless() -> None:
        with house.database.transaction() as session:
            query = select(Touch).where(Touch.state == TouchState.RESERVED)
            found = session.exec(query).all()
        barrier.wait()
        for touch in found:
            house.service.sent.append((Outgoing(touch.key, touch.text), base.Address("")))

    threads = [threading.Thread(target=careless) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert Counter(out.key for out, _ in house.service.sent).most_common(1)[0][1] == 2
    assert len(house.service.sent) == 2 * len(many)


def test_one_who_said_stop_is_left_out_of_the_batch(house: House, many: list[int]) -> None:
    stopped = house.touch(many[3])
    with house.database.transaction() as session:
        consents.stop(session, stopped.member_id, reason="chat", now=house.now)

    work(house)

    assert states(house, many) == {"sent": len(many) - 1, "withheld": 1}
    assert stopped.key not in {out.key for out, _ in house.service.sent}


def test_each_touch_of_a_batch_has_its_own_end(house: House, many: list[int]) -> None:
    ends = {
        house.touch(many[0]).key: ChannelError(base.BAD_CONTENT, code=40037),
        house.touch(many[1]).key: ChannelError(base.LOST, is_unsure=True),
        house.touch(many[2]).key: ChannelError(base.BUSY, code=-1),
    }

    def react(out: Outgoing) -> Receipt:
        if out.key in ends:
            raise ends[out.key]
        return Receipt(provider_id=out.key, evidence=Evidence.PLATFORM)

    house.service.react = react
    work(house)

    found = [house.touch(touch_id) for touch_id in many[:4]]
    assert [(one.state.value, one.failure) for one in found] == [
        ("failed", "bad_content"),
        ("unknown", "no_answer"),
        ("asked", "platform_busy"),
        ("sent", None),
    ]
    assert found[3].provider_id == found[3].key
    with house.database.transaction() as session:
        assert session.exec(select(Letter.touch_id)).all() == [many[0]]


def test_touch_that_breaks_its_batch_keeps_no_other_waiting(
    house: House, many: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def found(session: Session, touches: Sequence[Touch]) -> Any:
        assert many[0] not in {touch.id for touch in touches}, "This one cannot be looked at."
        return addresses_of(session, touches)

    monkeypatch.setattr(delivery, "addresses_of", found)
    with pytest.raises(AssertionError):
        work(house)
    for _job, touch_id in list(house.nudged):
        with suppress(AssertionError):
            house.deliver(touch_id)

    assert {job for job, _ in house.nudged} == {Job.DELIVER_TOUCH}
    assert states(house, many) == {"reserved": 1, "sent": len(many) - 1}


def test_fault_in_a_channel_keeps_no_other_result(house: House, many: list[int]) -> None:
    broken = house.touch(many[5]).key

    def react(out: Outgoing) -> Receipt:
        if out.key == broken:
            raise ZeroDivisionError
        return Receipt()

    house.service.react = react
    with pytest.raises(ZeroDivisionError):
        work(house)

    assert states(house, many) == {"sent": len(many) - 1, "sending": 1}


def test_what_was_held_up_after_the_fence_is_not_sent(
    house: House, many: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that was stopped must not act on what the fence saw long ago."""
    later = clock.real() + timedelta(minutes=2)
    monkeypatch.setattr(sending, "real", lambda: later)

    work(house)

    assert house.service.sent == []
    assert states(house, many) == {"asked": len(many)}


def test_database_that_restarts_costs_no_result(
    house: House, many: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only this process knows what went out: it keeps on until it is written down."""
    falls = iter([True, True, False])
    real = settling.write
    slept: list[float] = []

    def write(*facts: Any, **more: Any) -> None:
        if next(falls, False):
            raise OperationalError("COMMIT", {}, Exception("the server closed the connection"))
        real(*facts, **more)

    monkeypatch.setattr(settling, "write", write)
    monkeypatch.setattr(settling, "_sleep", slept.append)

    work(house)

    assert states(house, many) == {"sent": len(many)}
    assert slept == [0.2, 0.5]


def test_word_about_an_earlier_attempt_is_not_heard(house: House) -> None:
    """A worker that comes back late must not settle what another one is sending now."""
    touch_id = house.ask()
    house.service.react = failing(base.BUSY)
    house.deliver(touch_id)
    first = house.touch(touch_id)
    late = sending.Outcome(house.ready(first), ChannelError(base.BUSY, code=-1))
    house.now += timedelta(minutes=2)
    house.sweep()
    with house.database.transaction() as session:
        delivery._fenced(session, [touch_id], house.now)

    settling.write_down(house.database, [late], clock=house.clock)

    assert (house.touch(touch_id).state, house.touch(touch_id).attempts) == (TouchState.SENDING, 2)


def test_waits_grow_with_each_attempt(house: House) -> None:
    touch_id = house.ask()
    house.service.react = failing(base.BUSY)
    waits = []
    for _ in range(6):
        house.deliver(touch_id)
        retry_at = house.touch(touch_id).retry_at
        assert retry_at is not None
        waits.append((retry_at - house.now).total_seconds())
        house.now = retry_at
        house.sweep()

    assert waits[0] < 2 + 10
    assert waits[-1] >= 2**6
    assert house.touch(touch_id).attempts == 6


def test_many_are_nudged_by_lanes_and_few_by_name(house: House, many: list[int]) -> None:
    house.nudged.clear()
    with house.database.transaction() as session:
        delivery.nudge(session, many[:2])
        delivery.nudge(session, many)

    assert house.nudged == [
        (Job.DELIVER_TOUCH, many[0]),
        (Job.DELIVER_TOUCH, many[1]),
        (Job.DELIVER_WAITING, 0),
    ]


def test_a_heap_too_large_for_one_turn_asks_for_another(
    house: House, many: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "BATCH", 2)
    monkeypatch.setattr(delivery, "_BATCHES_AT_ONCE", 2)
    house.nudged.clear()

    assert work(house) == 4
    assert house.nudged == [(Job.DELIVER_WAITING, 1)]
    assert states(house, many)["sent"] == 4


def test_three_are_fenced_and_addressed_in_as_many_statements_as_one(house: House) -> None:
    counts = []
    for numbers in ([101], [102, 103, 104]):
        ids = [ask_other(house, number) for number in numbers]
        with counted(house.database.engine) as statements, house.database.transaction() as session:
            assert len(delivery._fenced(session, ids, house.now)) == len(ids)
        counts.append(len(statements))

    assert counts[0] == counts[1]


def test_channel_that_the_deployment_lacks_is_told_to_a_person(house: House) -> None:
    touch_id = house.ask()

    house.deliver(touch_id, {BROADCAST: RecordingChannel()})

    with house.database.transaction() as session:
        reasons = session.exec(select(Letter.reason)).all()
    assert (house.touch(touch_id).state, reasons) == (TouchState.FAILED, ["no_channel"])
