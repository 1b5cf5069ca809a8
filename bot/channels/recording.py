"""A channel that sends nowhere and remembers everything; for tests and rehearsals."""

from collections.abc import Callable
from dataclasses import dataclass, field

from bot.channels.base import Address, Outgoing, Powers, Receipt
from store.accounts import Account
from store.touches import Channel, Evidence


@dataclass
class RecordingChannel:
    """Remembers what it was given; `react` may raise or give another receipt."""

    name: Channel = Channel.WECHAT_SERVICE
    powers: Powers = field(default_factory=Powers)
    react: Callable[[Outgoing], Receipt] = field(
        default=lambda _out: Receipt(evidence=Evidence.PLATFORM)
    )
    sent: list[tuple[Outgoing, Address]] = field(default_factory=list)

    def send(self, out: Outgoing, to: Address, account: Account) -> Receipt:  # noqa: ARG002 -- contract
        """Remember, then react."""
        self.sent.append((out, to))
        return self.react(out)
