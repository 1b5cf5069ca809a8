"""`kill -9` in the middle of the demo: it says who died, the next run works, nobody hears twice."""

import time
from pathlib import Path
from zlib import crc32

import pytest

from tests.chaos.accounts import complaints, receipts
from tests.chaos.showing import INTERRUPTED, Show, left_running, record

pytestmark = pytest.mark.chaos

_LAUNCH = "HQ picks an audience"
_GUIDES = "guides open their cards"
_DELIVERY = "guides confirm in WeCom"
_MEMBERS = "members open the list"
_DEPARTURE = "a guide leaves"
_DEADLINE = "the deadline passes"
_BROADCAST = ("wecom", "cgi-bin/externalcontact/add_msg_template")
_MESSAGE = ("wechat", "cgi-bin/message/custom/send")
_NAMED = {
    "postgres": "PostgreSQL stopped by itself",
    "valkey": "Valkey stopped by itself",
    "keeper": "The keeper of the embedded servers has ended",
}
_STOPPED = "Everything else has been stopped."


def test_nobody_is_told_twice_when_the_worker_is_killed_in_the_middle_of_a_send(
    fresh_var: Path,
) -> None:
    with Show(fresh_var, "--once") as first:
        _kill_in_the_middle_of_a_send(first, _BROADCAST, "wecom_broadcast")
        told = first.said()
    left = left_running(fresh_var)

    with Show(fresh_var, "--once") as second:
        second.until(_DEADLINE)
        code = second.interrupt()

    assert ("The worker process ended by itself (exit code 137)." in told, left) == (True, [])
    assert (code, left_running(fresh_var)) == (INTERRUPTED, [])
    _assert_all_is_well(fresh_var)


def test_a_message_that_went_out_is_not_repeated_when_its_worker_was_killed(var: Path) -> None:
    with Show(var, "--once") as first:
        first.until(_DEADLINE)
        _kill_in_the_middle_of_a_send(first, _MESSAGE, "wechat_service")
    left = left_running(var)

    with Show(var, "--once") as second:
        code = second.end()

    assert (left, code, left_running(var)) == ([], 0, [])
    _assert_all_is_well(var)


@pytest.mark.parametrize(
    ("victim", "moment"),
    [
        ("worker", _LAUNCH),
        ("worker", _DELIVERY),
        ("web", _GUIDES),
        ("web", _MEMBERS),
        ("cron", _DEADLINE),
        ("sandbox", _GUIDES),
        ("postgres", _LAUNCH),
        ("postgres", _MEMBERS),
        ("valkey", _GUIDES),
        ("valkey", _DELIVERY),
        ("keeper", _DELIVERY),
    ],
)
def test_demo_says_who_was_killed_and_the_next_run_works(
    var: Path, victim: str, moment: str
) -> None:
    with Show(var, "--once") as first:
        first.until(moment)
        _wait_a_little(victim, moment)
        first.kill(victim)
        code, told = first.end(), first.said()
    left = left_running(var)

    _play_on(var)

    assert (code, left) == (1, [])
    assert _NAMED.get(victim, f"The {victim} process ended by itself (exit code 137)") in told
    assert told.count(_STOPPED) == 1
    _assert_all_is_well(var)


@pytest.mark.parametrize("moment", [_LAUNCH, _DELIVERY, _MEMBERS, _DEPARTURE])
def test_next_run_works_when_everything_was_killed_at_once(var: Path, moment: str) -> None:
    with Show(var, "--once") as first:
        first.until(moment)
        _wait_a_little("group", moment)
        first.kill("group")
        first.end()
    left = left_running(var)

    _play_on(var)

    assert left == []
    _assert_all_is_well(var)


@pytest.mark.parametrize("moment", [_LAUNCH, _MEMBERS])
def test_next_run_works_when_postgresql_fell_with_one_of_its_backends(
    var: Path, moment: str
) -> None:
    with Show(var, "--once") as first:
        first.until(moment)
        first.kill("backend")
        # It comes back by itself. Whether somebody asked it meanwhile is chance.
        if moment == _LAUNCH:
            time.sleep(10)
        code = first.interrupt() if first.process.poll() is None else first.end()
    left = left_running(var)

    _play_on(var)

    assert (code in {1, INTERRUPTED}, left) == (True, [])
    _assert_all_is_well(var)


@pytest.mark.parametrize("victim", ["keeper", "postgres", "group"])
def test_load_is_taken_up_again_when_it_was_killed(fresh_var: Path, victim: str) -> None:
    with Show(fresh_var, "--once") as first:
        first.until("orders: check")
        first.kill(victim)
        first.end()
        told = first.said()
    left = left_running(fresh_var)

    _play_on(fresh_var)

    assert (left, victim == "group" or _NAMED[victim] in told) == ([], True)
    _assert_all_is_well(fresh_var)


def _kill_in_the_middle_of_a_send(show: Show, call: tuple[str, str], channel: str) -> None:
    """Between the fence and the settling: the platform takes its time over every such call."""
    show.until(_LAUNCH)
    show.misbehave(*call, "slow", seconds=1.5)
    show.wait_until_sending(channel)
    show.kill("worker")
    assert show.end() == 1


def _wait_a_little(*what: str) -> None:
    """Another part of a second for every case, the same in every run."""
    time.sleep(crc32("-".join(what).encode()) % 1000 / 1000)


def _play_on(var: Path) -> None:
    """The next run plays through, up to the deadline."""
    with Show(var, "--once") as second:
        second.until(_DEADLINE)
        assert second.interrupt() == INTERRUPTED
    assert left_running(var) == []


def _assert_all_is_well(var: Path) -> None:
    assert receipts(var) != []
    with record(var) as engine:
        assert complaints(var, engine) == []
