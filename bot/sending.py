"""Making the calls of a batch: several at once, none that came too late, and none into a wall."""

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bot.addresses import Addressed
from bot.channels.base import Cause, Channel, ChannelError, Outgoing, Receipt
from store.circuits import MOST_FAILURES, Way
from store.clock import real
from store.touches import Channel as ChannelName
from store.touches import Touch

Channels = Mapping[ChannelName, Channel]
Clock = Callable[[], datetime]

# As many as a client keeps connections open (bot/calls.py).
_HANDS = 8
# What the fence looked at is old by then. A process that was stopped meanwhile must not send.
_FRESH = timedelta(minutes=1)

STALE = Cause("not_sent_in_time", is_permanent=False, retry_after=1)
PAUSED = Cause("platform_failing", is_permanent=False, retry_after=30)
NO_CHANNEL = Cause("no_channel", is_mendable=True)


@dataclass(frozen=True)
class Ready:
    """A touch past the fence, with all that the call needs."""

    touch: Touch
    to: Addressed
    # When the fence began to look, by the clock of the machine.
    since: datetime = field(default_factory=real)

    @property
    def way(self) -> Way:
        """The account and channel that its circuit is kept for."""
        return Way(self.to.account.app_id, self.touch.channel)


@dataclass(frozen=True)
class Outcome:
    """What came of one call."""

    ready: Ready
    found: Receipt | ChannelError


@dataclass
class _Walls:
    """Ways that failed too often in a row while this batch was sent."""

    failures: dict[Way, int] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, way: Way, error: ChannelError | None) -> None:
        """A call ended: the platform's fault, or proof that it works."""
        is_failure = error is not None and (error.cause.is_platforms or error.cause.is_pause)
        with self.lock:
            self.failures[way] = self.failures.get(way, 0) + 1 if is_failure else 0

    def stands_before(self, way: Way) -> bool:
        """Whether to stop: every further call could be lost, and then nobody may repeat it."""
        with self.lock:
            return self.failures.get(way, 0) >= MOST_FAILURES


def send_all(
    channels: Channels, batch: Sequence[Ready]
) -> tuple[list[Outcome], BaseException | None]:
    """Make the calls; gives what came of each, and the first fault that no channel should have.

    A touch with such a fault is in no outcome: nobody knows what became of it.
    """
    walls = _Walls()
    with ThreadPoolExecutor(max_workers=min(_HANDS, len(batch))) as hands:
        calls: list[Future[Receipt | ChannelError]] = [
            hands.submit(_send, channels, ready, walls) for ready in batch
        ]
    faults = [call.exception() for call in calls]
    done = [
        Outcome(ready, call.result())
        for ready, call, fault in zip(batch, calls, faults, strict=True)
        if fault is None
    ]
    return done, next((fault for fault in faults if fault is not None), None)


def _send(channels: Channels, ready: Ready, walls: _Walls) -> Receipt | ChannelError:
    touch = ready.touch
    channel = channels.get(touch.channel)
    if channel is None:
        return ChannelError(NO_CHANNEL)
    if walls.stands_before(ready.way):
        return ChannelError(PAUSED)
    if real() - ready.since > _FRESH:
        return ChannelError(STALE)
    out = Outgoing(touch.key, touch.text, touch.payload, touch.category)
    try:
        receipt = channel.send(out, ready.to.address, ready.to.account)
    except ChannelError as error:
        walls.note(ready.way, error)
        return error
    walls.note(ready.way, None)
    return receipt
