"""A lane: what arrives while others are being served is served together, next."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Lane(Generic[Item, Result]):
    """Hands waiting items to `act` in batches, so that a trip to the database is shared.

    Nobody waits for a batch to fill: an item that finds every hand free goes at once, and what
    comes meanwhile goes when the first hand is back. A hand more is lent as soon as `lot` wait: a
    trip costs about as much for one as for some. A failure of `act` is that of its whole batch.
    """

    def __init__(
        self,
        act: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]],
        *,
        hands: int = 2,
        lot: int = 8,
        most: int = 32,
    ) -> None:
        self._act, self._hands, self._lot, self._most = act, hands, lot, most
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._at_work = 0
        # The loop itself holds its tasks only weakly.
        self._tasks: set[asyncio.Task[None]] = set()

    async def put(self, item: Item) -> Result:
        """The result for one item."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._is_due(others=self._at_work):
            self._at_work += 1
            task = asyncio.create_task(self._serve())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await future

    def _is_due(self, *, others: int) -> bool:
        """What waits is worth a hand while `others` are at work."""
        if others:
            return others < self._hands and len(self._waiting) >= self._lot
        return bool(self._waiting)

    async def _serve(self) -> None:
        try:
            while self._is_due(others=self._at_work - 1):
                batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
                await self._answer(batch)
        finally:
            self._at_work -= 1

    async def _answer(self, batch: Sequence[tuple[Item, asyncio.Future[Result]]]) -> None:
        try:
            results = await self._act([item for item, _ in batch])
        except Exception as fault:  # noqa: BLE001 -- every one of the batch must hear of it
            _settle(batch, fault)
        else:
            for (_, future), result in zip(batch, results, strict=True):
                if not future.done():
                    future.set_result(result)


def _settle(batch: Sequence[tuple[object, asyncio.Future[Result]]], fault: Exception) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(fault)
