"""A member as the gate sees them, and the question an ask puts to them, as plain values."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from fatigue.bands import Band
from fatigue.case import Block, Held, Question, Recent, Window
from fatigue.rules import Policy
from store.consents import Purpose
from store.members import IdentityChannel
from store.touches import HUMAN_PATIENCE, Category, Channel, TouchState, chosen_as

PURPOSES = {Category.MARKETING: Purpose.MARKETING, Category.CARE: Purpose.CARE}
# Where each channel writes to.
IDENTITIES = {
    Channel.WECHAT_SERVICE: IdentityChannel.WECHAT,
    Channel.WECHAT_NOTICE: IdentityChannel.WECHAT,
    Channel.WECHAT_TEMPLATE: IdentityChannel.WECHAT,
    Channel.WECOM_BROADCAST: IdentityChannel.WECOM,
    Channel.WECOM_SIDEBAR: IdentityChannel.WECOM,
    Channel.WECOM_WELCOME: IdentityChannel.WECOM,
}
# A guide speaks here, and only to those who are still friends. A welcome needs none: its code opens
# the way, also to whom the guide has yet to agree to (wecom.md §1.4).
OF_FRIENDS = frozenset({Channel.WECOM_BROADCAST, Channel.WECOM_SIDEBAR})
_NO_TIME = timedelta(0)
# So long an ask gives way to what is only planned; then it goes by what was really said.
HOLD_PATIENCE = timedelta(days=7)


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
    def priority(self) -> int: ...  # noqa: D102 -- see Touch
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
    has_mobile: bool = False
    holds: list[Held] = field(default_factory=list)


def question(
    policy: Policy,
    standing: Standing,
    ask: Asking,
    channel: Channel,
    now: datetime,
    *,
    asked_at: datetime | None = None,
) -> Question:
    """The question that `ask`, first put at `asked_at`, puts on one of its channels."""
    band = policy.band_of(ask.priority)
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
        guide_id=ask.guide_id,
        band=band.name,
        holds=tuple(_above(band, standing, ask, (asked_at or now) + HOLD_PATIENCE)),
    )


def _above(band: Band, standing: Standing, ask: Asking, ends_at: datetime) -> Iterator[Held]:
    """Holds of higher bands that no touch of their campaign has taken the place of."""
    if not standing.holds:
        return
    made = {touch.campaign_id for touch in standing.recent} | {ask.campaign_id}
    for hold in standing.holds:
        if hold.holder.floor > band.floor and hold.campaign_id not in made:
            yield hold if hold.expires_at <= ends_at else replace(hold, expires_at=ends_at)


def reserved(policy: Policy, ask: Asking, touch_id: int, channel: Channel, at: datetime) -> Recent:
    """A touch that is reserved just now, as caps see it."""
    return Recent(
        touch_id,
        channel,
        ask.category,
        ask.brand_id,
        ask.campaign_id,
        at,
        landing(at, channel, TouchState.RESERVED),
        str(ask.payload.get("template_id", "")),
        ask.guide_id,
        policy.band_of(ask.priority).name,
        is_reserved=True,
    )


def landing(at: datetime, channel: Channel, state: TouchState) -> datetime:
    """The last moment a touch counted at `at` can reach the member.

    A broadcast whose fate nobody knows may still lie before its guide.
    """
    is_pending = state in {TouchState.SENDING, TouchState.UNKNOWN}
    return at + HUMAN_PATIENCE.get(channel, _NO_TIME) if is_pending else at


def _blocks(standing: Standing, ask: Asking, channel: Channel, now: datetime) -> Iterator[Block]:
    if not standing.is_active:
        yield Block("member_gone")
    if ask.deadline_at is not None and ask.deadline_at <= now:
        yield Block("past_deadline")
    for scope in _scopes(channel):
        if scope in standing.stops:
            yield Block("opted_out", standing.stops[scope])
    if not _has_consented(standing, ask.category, channel):
        yield Block("no_consent")
    if not _is_known(standing, channel):
        yield Block("no_identity")
    elif channel in OF_FRIENDS and ask.guide_id not in standing.friends:
        yield Block("no_friendship")


def _is_known(standing: Standing, channel: Channel) -> bool:
    if channel is Channel.SMS:
        return standing.has_mobile
    return IDENTITIES[channel] in standing.identities


def _scopes(channel: Channel) -> tuple[str, str]:
    """Where a stop or a consent that holds for the channel can stand."""
    return "", chosen_as(channel).value


def _has_consented(standing: Standing, category: Category, channel: Channel) -> bool:
    """Whether the newest statement for this channel (or for all) and purpose is a yes."""
    purpose = PURPOSES.get(category)
    if purpose is None:
        return True
    stated = [
        standing.consents[scope, purpose]
        for scope in _scopes(channel)
        if (scope, purpose) in standing.consents
    ]
    # Of two statements at one instant the no stands.
    return max(stated, key=lambda found: (found[0], not found[1]))[1] if stated else False
