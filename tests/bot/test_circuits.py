"""Circuits: a platform that fails is left in peace, one message tries, and all goes on."""

import threading
from datetime import timedelta

import pytest
from sqlmodel import select

from bot import delivery
from bot.channels import base
from bot.channels.base import ChannelError, Receipt
from store import circuits
from store.circuits import MOST_FAILURES, Circuit, CircuitState, Way
from store.letters import Letter
from store.touches import TouchState
from tests.bot.builders import APP_ID
from tests.bot.delivering import SERVICE, House, failing
from tests.bot.test_batches import ask_other, states, work

_WAY = Way(APP_ID, SERVICE)
_MANY = 12


@pytest.fixture
def many(house: House) -> list[int]:
    """Reserved touches, each of another member."""
    return [ask_other(house, number) for number in range(_MANY)]


def circuit(house: House) -> Circuit:
    """The circuit of the account's messages."""
    with house.database.transaction() as session:
        return session.exec(select(Circuit)).one()


def break_down(house: House) -> None:
    """The platform answers nothing but `busy`, until its circuit opens."""
    house.service.react = failing(base.BUSY)
    work(house)
    assert circuit(house).state is CircuitState.OPEN


def test_platform_that_fails_is_left_in_peace_within_the_batch(
    house: House, many: list[int]
) -> None:
    """Each further call could be lost, and what is lost nobody may repeat."""
    house.service.react = failing(base.LOST, is_unsure=True)

    work(house)

    asked = len(house.service.sent)
    assert MOST_FAILURES <= asked < _MANY
    assert states(house, many) == {"unknown": asked, "asked": _MANY - asked}


def test_touches_wait_while_a_circuit_is_open_and_none_is_lost(
    house: House, many: list[int]
) -> None:
    break_down(house)
    tried = len(house.service.sent)
    fresh = ask_other(house, 99)

    house.deliver(fresh)

    waiting = house.touch(fresh)
    assert len(house.service.sent) == tried
    assert (waiting.state, waiting.failure) == (TouchState.ASKED, "platform_busy")
    assert waiting.attempts == 0
    assert waiting.retry_at is not None
    assert circuit(house).retry_at is not None
    assert states(house, many) == {"asked": _MANY}


def test_one_message_tries_and_the_rest_follow_once_it_went(house: House, many: list[int]) -> None:
    break_down(house)
    house.service.sent.clear()
    house.service.react = lambda _out: Receipt()

    house.now += timedelta(minutes=2)
    house.sweep()
    work(house)
    first = len(house.service.sent)
    house.now += timedelta(minutes=2)
    house.sweep()
    work(house)

    assert first == 1
    assert states(house, many) == {"sent": _MANY}
    assert circuit(house).state is CircuitState.CLOSED


def test_trial_that_fails_waits_twice_as_long(house: House, many: list[int]) -> None:
    break_down(house)
    waits = []
    for _ in range(7):
        found = circuit(house)
        assert found.retry_at is not None
        waits.append((found.retry_at - house.now).total_seconds())
        house.now = max(found.retry_at, house.now) + timedelta(minutes=15)
        house.sweep()
        work(house)

    assert waits == [30, 60, 120, 240, 480, 600, 600]
    assert states(house, many)["sent"] == 0


def test_trial_whose_worker_died_is_followed_by_another(house: House, many: list[int]) -> None:
    break_down(house)
    house.now += timedelta(minutes=2)
    house.sweep()
    with house.database.transaction() as session:
        assert len(delivery._fenced(session, many, house.now)) == 1
    house.service.react = lambda _out: Receipt()

    house.now += timedelta(minutes=5)
    house.sweep()
    house.sweep()
    work(house)

    assert circuit(house).state is CircuitState.CLOSED


def test_refusal_for_one_recipients_sake_opens_nothing(house: House, many: list[int]) -> None:
    def react(_out: object) -> Receipt:
        raise ChannelError(base.GONE, code=40003)

    house.service.react = react
    work(house)

    with house.database.transaction() as session:
        assert session.exec(select(Circuit)).all() == []
    assert states(house, many) == {"failed": _MANY}


def test_quota_that_is_used_up_pauses_at_once_for_as_long_as_it_must(house: House) -> None:
    touch_id = house.ask()
    house.service.react = failing(base.QUOTA)

    house.deliver(touch_id)

    found = circuit(house)
    assert found.state is CircuitState.OPEN
    assert found.retry_at == house.now + timedelta(hours=1)


def test_outage_of_more_than_a_day_is_told_to_a_person(house: House) -> None:
    touch_id = house.ask()
    house.service.react = failing(base.BUSY)
    for _ in range(400):
        house.now += timedelta(minutes=10)
        house.sweep()
        if house.touch(touch_id).state is not TouchState.RESERVED:
            continue
        house.deliver(touch_id)
        if house.touch(touch_id).state is TouchState.FAILED:
            break

    with house.database.transaction() as session:
        letter = session.exec(select(Letter)).one()
    assert (letter.touch_id, letter.reason) == (touch_id, "platform_busy")


@pytest.mark.race
def test_of_two_workers_one_tries(house: House, many: list[int]) -> None:
    assert _trials(house, many, is_locked=True) == 1


@pytest.mark.race
def test_of_two_workers_that_only_look_both_try(house: House, many: list[int]) -> None:
    """The twin without the lock."""
    assert _trials(house, many, is_locked=False) == 2


def _trials(house: House, many: list[int], *, is_locked: bool) -> int:
    assert many
    break_down(house)
    now = house.now + timedelta(minutes=2)
    barrier, tries = threading.Barrier(2), []

    def one() -> None:
        with house.database.transaction() as session:
            found = session.exec(select(Circuit)).one()
            barrier.wait()
            if is_locked:
                pause = circuits.pauses(session, [_WAY], now=now)[_WAY]
                tries.append(pause.may_try)
            else:
                tries.append(found.retry_at is not None and found.retry_at <= now)

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(tries)
