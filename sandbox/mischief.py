"""How the stand-in misbehaves when it is told to: its API, and the ways of its callbacks.

API calls (`Call`): `error` refuses with a code; `slow` waits first; `hang` waits and then breaks
off, with nothing done; `drop` does the work and loses the answer; `down` is a gateway's error
page; `expired_token` ends the caller's token.
Callbacks (`Carriage`): `late` waits first; `duplicate` pushes twice at once; `reorder` lets the
next callback of the same door go ahead; `lost` never arrives; `cut` loses the door's first answer,
so that the platform tries again what the door has already done.
The WeCom client (`Client`): `user_cancels` when a page wants to send, or `client_refuses`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Literal

from sandbox.push import Delivery, Rules
from sandbox.state import Switch

Call = Literal["error", "slow", "hang", "drop", "down", "expired_token"]
Carriage = Literal["late", "duplicate", "reorder", "lost", "cut"]
Client = Literal["user_cancels", "client_refuses"]

# How long a callback lets others go ahead when none comes.
_WAIT_SECONDS = 10.0
Once = Callable[[Rules], Awaitable[Delivery]]


class Roads:
    """The ways to the doors, where callbacks wait that have to let another pass."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._waiting: dict[str, asyncio.Event] = {}

    async def carry(self, door: str, once: Once, switch: Switch | None) -> Delivery:
        """Push once to a door, or as the switch says."""
        if switch is not None and switch.how == "reorder":
            await self._let_another_pass(door)
            return await once(self._rules)
        delivery = await (self._misled(once, switch) if switch else once(self._rules))
        if waiting := self._waiting.pop(door, None):
            waiting.set()
        return delivery

    async def _let_another_pass(self, door: str) -> None:
        passed = self._waiting.setdefault(door, asyncio.Event())
        try:
            async with asyncio.timeout(_WAIT_SECONDS):
                await passed.wait()
        except TimeoutError:
            self._waiting.pop(door, None)

    async def _misled(self, once: Once, switch: Switch) -> Delivery:
        if switch.how == "lost":
            return Delivery(problem="Lost on the way, as asked.")
        if switch.how == "duplicate":
            both = await asyncio.gather(once(self._rules), once(self._rules))
            # A door that knows a repeat answers one of the two, and not always the same.
            first, second = sorted(both, key=lambda one: one.reply is None)
            return replace(first, again=second)
        if switch.how == "cut":
            return await once(replace(self._rules, lost_answers=1))
        await asyncio.sleep(switch.seconds)
        return await once(self._rules)
