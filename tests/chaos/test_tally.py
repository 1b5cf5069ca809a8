"""The reckoning finds every way in which an account can be wrong; no storm is needed for that."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from store.touches import Category, Channel, TouchState
from tests.chaos import plan, tally
from tests.chaos.plan import BROADCAST, SERVICE, SMS, Wish
from tests.chaos.tally import Arrival, Row
from tests.times import at

_NOON = at("2026-03-02 12:00")
_SENT = TouchState.SENT


def _wishes(number: int, category: Category = Category.CARE) -> list[Wish]:
    ways = (SERVICE, BROADCAST)
    return [Wish(one, 0, ways, category, None, 12, 50) for one in range(number)]


def _arrival(number: int, when: datetime = _NOON, channel: Channel = SERVICE) -> Arrival:
    return Arrival(number, 0, channel, when)


def _row(number: int, when: datetime = _NOON, state: TouchState = _SENT) -> Row:
    return Row(number, state, SERVICE, when)


def test_an_account_that_agrees_has_no_complaints() -> None:
    later = _NOON + timedelta(minutes=20)

    found = tally.complaints(
        [_arrival(0), _arrival(1, later)],
        [_row(0), _row(1, later), _row(2, state=TouchState.WITHHELD)],
        _wishes(3),
    )

    assert found == []


@pytest.mark.parametrize(
    ("arrivals", "row", "complaint"),
    [
        ([_arrival(0), _arrival(0)], _row(0), "0 is sent and was received 2 times"),
        ([], _row(0), "0 is sent and was received 0 times"),
        ([_arrival(0)], _row(0, state=TouchState.FAILED), "0 is failed and was received 1 times"),
        (
            [_arrival(0)],
            _row(0, state=TouchState.WITHHELD),
            "0 is withheld and was",
        ),
        ([_arrival(0)], _row(0, state=TouchState.UNKNOWN), "0 is unknown for ever"),
        ([replace(_arrival(0), member=7)], _row(0), "0 reached 7 instead of 0"),
        ([_arrival(0, channel=Channel.SMS)], _row(0), "0 came by sms, which nobody asked for"),
        (
            [_arrival(0)],
            _row(0, _NOON + timedelta(seconds=1)),
            "0 was received before its fence",
        ),
        (
            [_arrival(0, _NOON + timedelta(minutes=2))],
            _row(0),
            "0 was received 0:02:00 after its fence",
        ),
        (
            [_arrival(0, at("2026-03-02 22:00"))],
            _row(0, at("2026-03-02 22:00")),
            "0 was sent at night, at 22:00:00",
        ),
    ],
)
def test_what_does_not_agree_is_told(arrivals: list[Arrival], row: Row, complaint: str) -> None:
    found = tally.complaints(arrivals, [row], _wishes(1))

    assert any(line.startswith(complaint) for line in found), found


def test_a_wish_that_nobody_heard_of_is_told() -> None:
    assert tally.complaints([], [], _wishes(1)) == ["0 was lost"]


@pytest.mark.parametrize(
    ("cap", "category", "apart"),
    [
        ("gap", Category.CARE, timedelta(minutes=20) - timedelta(seconds=1)),
        ("six hours", Category.MARKETING, timedelta(hours=6) - timedelta(seconds=1)),
        ("day", Category.CARE, timedelta(hours=2)),
        ("week", Category.CARE, timedelta(days=1)),
        ("hour", Category.SERVICE, timedelta(minutes=29)),
        ("guides", Category.SERVICE, timedelta(hours=23)),
        ("mobile", Category.SERVICE, timedelta(hours=5)),
    ],
)
def test_one_more_than_a_cap_allows_is_told(cap: str, category: Category, apart: timedelta) -> None:
    most = next(one.most for one in plan.CAPS if one.name == cap)
    channel = {"guides": BROADCAST, "mobile": SMS}.get(cap, SERVICE)
    got = [_arrival(number, _NOON + apart * number, channel) for number in range(most + 1)]

    def told(some: list[Arrival]) -> bool:
        found = tally.breaches(some, _wishes(most + 1, category), slack=timedelta(0))
        return any(line.startswith(f"{cap}: ") for line in found)

    assert (told(got), told(got[1:])) == (True, False)


def test_a_third_message_of_a_campaign_is_told_however_late() -> None:
    wishes = [replace(one, campaign=4) for one in _wishes(3)]
    got = [_arrival(number, _NOON + timedelta(days=20 * number)) for number in range(3)]

    found = tally.breaches(got, wishes, slack=timedelta(0))

    told = {line.partition(",")[0] for line in found}
    assert told == {"campaign: member 0 got 3 where 2 are allowed"}
