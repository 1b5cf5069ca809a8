"""A member as the gate sees them, and the question an ask puts to them, as plain values."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from fatigue.verdict import Block, Question, Recent, Window
from store.consents import Purpose
from store.members import IdentityChannel
from store.touches import HUMAN_PATIENCE, Category, Channel, TouchState

_PURPOSES = {Category.MARKETING: Purpose.MARKETING, Category.CARE: Purpose.CARE}
_IDENTITIES = {
    Channel.WECHAT_SERVICE: IdentityChannel.WECHAT,
    Channel.WECHAT_NOTICE: IdentityChannel.WECHAT,
    Channel.WECOM_BROADCAST: IdentityChannel.WECOM,
}
_NO_TIME = timedelta(0)


class Asking(Protocol):
    """What an ask and a touch have in common."""

    @property
    def category(self) -> Category: ...  # noqa: D102 -- see Touch
    @property
    def brand_id(self) -> int: ...  # noqa: D102 -- see Touch
    @property
    def campaign_id(self) -> int | None: ...  # noqa: D102 -- see Touch
    @property
    def guide_id(self) -> int | None: ...  # noqa: D102 -- see Touch
    @property
    def payload(self) -> dict[str, Any]: ...  # noqa: D102 -- see Touch
    @property
    def deadline_at(self) -> datetime | None: ...  # noqa: D102 -- see Touch


@dataclass(slots=True)
class Standing:
    """One member: who they are to us, what they allowed, and what they were told lately.

    `consents` and `stops` are keyed by channel, "" for all; `friends` are guides in post.
    """

    zone: ZoneInfo
    is_active: bool = True
    identities: set[IdentityChannel] = field(default_factory=set)
    consents: dict[tuple[str, Purpose], tuple[datetime, bool]] = field(default_factory=dict)
    stops: dict[str, datetime | None] = field(default_factory=dict)
    friends: set[int] = field(default_factory=set)
    windows: list[Window] = field(default_factory=list)
    recent: list[Recent] = field(default_factory=list)


def question(standing: Standing, ask: Asking, channel: Channel, now: datetime) -> Question:
    """The question that `ask` puts on one of its channels."""
    return Question(
        channel=channel,
        category=ask.category,
        brand_id=ask.brand_id,
        campaign_id=ask.campaign_id,
        zone=standing.zone,
        template_id=str(ask.payload.get("template_id", "")),
        blocks=tuple(_blocks(standing, ask, channel, now)),
        windows=tuple(standing.windows),
        deadline_at=ask.deadline_at,
    )


def landing(at: datetime, channel: Channel, state: TouchState) -> datetime:
    """The last moment a touch counted at `at` can reach the member."""
    is_pending = state is TouchState.SENDING
    return at + HUMAN_PATIENCE.get(channel, _NO_TIME) if is_pending else at


def _blocks(standing: Standing, ask: Asking, channel: Channel, now: datetime) -> Iterator[Block]:
    if not standing.is_active:
        yield Block("member_gone")
    if ask.deadline_at is not None and ask.deadline_at <= now:
        yield Block("past_deadline")
    for scope in ("", channel.value):
        if scope in standing.stops:
            yield Block("opted_out", standing.stops[scope])
    if not _has_consented(standing, ask.category, channel):
        yield Block("no_consent")
    if _IDENTITIES[channel] not in standing.identities:
        yield Block("no_identity")
    elif channel is Channel.WECOM_BROADCAST and ask.guide_id not in standing.friends:
        yield Block("no_friendship")


def _has_consented(standing: Standing, category: Category, channel: Channel) -> bool:
    """Whether the newest statement for this channel (or for all) and purpose is a yes."""
    purpose = _PURPOSES.get(category)
    if purpose is None:
        return True
    stated = [
        standing.consents[scope, purpose]
        for scope in ("", channel.value)
        if (scope, purpose) in standing.consents
    ]
    # Of two statements at one instant the no stands.
    return max(stated, key=lambda found: (found[0], not found[1]))[1] if stated else False
