"""A lane serves what waits together, and lends a hand more only for a lot."""

import asyncio
from collections.abc import Sequence

import pytest

from web.lane import Lane


class Counter:
    """Doubles numbers, a batch each time it is let; `batches` says which it got, in order."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.lets = asyncio.Semaphore(0)

    async def __call__(self, numbers: Sequence[int]) -> list[int]:
        """Twice each."""
        self.batches.append(list(numbers))
        await asyncio.wait_for(self.lets.acquire(), timeout=60)
        if -1 in numbers:
            raise ValueError
        return [2 * number for number in numbers]


async def _asked(
    counter: Counter, first: Sequence[int], then: Sequence[int], *, lets: int = 5
) -> list[int | BaseException]:
    """The answers to the first numbers and to those that came while these were at work."""
    lane = Lane(counter, hands=2, lot=3)
    asked = [asyncio.create_task(lane.put(number)) for number in first]
    while not counter.batches:
        await asyncio.sleep(0.001)
    asked += [asyncio.create_task(lane.put(number)) for number in then]
    # More turns of the loop than the lane needs to begin whatever it will.
    for _ in range(100):
        await asyncio.sleep(0)
    batches_at_once = len(counter.batches)
    for _ in range(lets):
        counter.lets.release()
    answers = await asyncio.gather(*asked, return_exceptions=True)
    return [batches_at_once, *answers]


def test_what_comes_meanwhile_is_served_together_when_the_hand_is_back() -> None:
    counter = Counter()

    told = asyncio.run(_asked(counter, [1], [2, 3]))

    assert told == [1, 2, 4, 6]
    assert counter.batches == [[1], [2, 3]]


def test_a_lot_gets_a_hand_of_its_own() -> None:
    counter = Counter()

    told = asyncio.run(_asked(counter, [1], [2, 3, 4]))

    assert told == [2, 2, 4, 6, 8]
    assert counter.batches == [[1], [2, 3, 4]]


def test_nobody_is_left_waiting_when_both_hands_come_back() -> None:
    counter = Counter()

    told = asyncio.run(_asked(counter, [1], [2, 3, 4, 5, 6]))

    assert told == [2, 2, 4, 6, 8, 10, 12]


def test_a_batch_that_fails_fails_for_each_in_it_and_for_nobody_else() -> None:
    counter = Counter()

    _, one, *others = asyncio.run(_asked(counter, [1], [-1, 3]))

    assert one == 2
    assert [type(fault) for fault in others] == [ValueError, ValueError]


async def _doubled(numbers: Sequence[int]) -> list[int]:
    await asyncio.sleep(0)
    return [2 * number for number in numbers]


@pytest.mark.parametrize("number", [1, 5, 40])
def test_every_one_of_a_crowd_gets_its_own_answer(number: int) -> None:
    async def crowd() -> list[int]:
        lane: Lane[int, int] = Lane(_doubled, hands=2, lot=3, most=4)
        return list(await asyncio.gather(*(lane.put(one) for one in range(number))))

    assert asyncio.run(crowd()) == [2 * one for one in range(number)]
