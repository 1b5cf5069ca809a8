"""Touches: one attempt to reach a member on one channel, unasked (design.md §4, §8, §9)."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Index
from sqlmodel import Field, Session, SQLModel, col, select

from store.columns import big_key, json_column, link, one_of, status
from store.errors import WrongState


class Channel(StrEnum):
    """Every way a message can leave the house: WECOM_APP reaches guides, the others members."""

    WECHAT_SERVICE = "wechat_service"
    WECHAT_NOTICE = "wechat_notice"
    WECHAT_TEMPLATE = "wechat_template"
    WECOM_BROADCAST = "wecom_broadcast"
    WECOM_SIDEBAR = "wecom_sidebar"
    WECOM_WELCOME = "wecom_welcome"
    WECOM_APP = "wecom_app"
    SMS = "sms"


class Category(StrEnum):
    """Service touches follow the member's own business: they pass brand caps, no platform limit."""

    MARKETING = "marketing"
    CARE = "care"
    SERVICE = "service"


class TouchState(StrEnum):
    """`asked` waits for `retry_at`; `reserved` holds a slot; `sending` is past the fence."""

    ASKED = "asked"
    RESERVED = "reserved"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"
    UNKNOWN = "unknown"
    WITHHELD = "withheld"
    RELEASED = "released"


COUNTED = frozenset({TouchState.RESERVED, TouchState.SENDING, TouchState.SENT, TouchState.UNKNOWN})
FINAL = frozenset({TouchState.SENT, TouchState.FAILED, TouchState.WITHHELD, TouchState.RELEASED})


# A broadcast is only a task until the guide confirms it in WeCom, which may take days (wecom.md
# §5). Until then it can reach the member at any moment, so it counts at every moment of this span.
# A sidebar message is sent, or not, while its page is open.
HUMAN_PATIENCE: dict[Channel, timedelta] = {
    Channel.WECOM_BROADCAST: timedelta(days=3),
    Channel.WECOM_SIDEBAR: timedelta(minutes=10),
}

# To a person these are one: who stops the first has stopped the second.
_SAME: dict[Channel, Channel] = {
    Channel.WECHAT_TEMPLATE: Channel.WECHAT_NOTICE,
    Channel.WECOM_SIDEBAR: Channel.WECOM_BROADCAST,
    Channel.WECOM_WELCOME: Channel.WECOM_BROADCAST,
}
# What comes to where a member talks with the bot.
_IN_CHAT = (Channel.WECHAT_SERVICE, Channel.WECHAT_NOTICE, Channel.WECHAT_TEMPLATE)
# What a person may choose among.
CHOSEN = tuple(one for one in Channel if one not in _SAME and one is not Channel.WECOM_APP)

_MOVES: dict[TouchState, frozenset[TouchState]] = {
    # What was only planned can still happen by hand, hence SENT.
    TouchState.ASKED: frozenset(
        {TouchState.ASKED, TouchState.RESERVED, TouchState.WITHHELD}
        | {TouchState.RELEASED, TouchState.SENT}
    ),
    # A lapsed reservation is decided again, so every answer of the gate may follow it.
    TouchState.RESERVED: frozenset(
        {TouchState.RESERVED, TouchState.ASKED, TouchState.SENDING, TouchState.WITHHELD}
        | {TouchState.RELEASED, TouchState.SENT}
    ),
    # Back to ASKED only when the provider said clearly that nothing was sent.
    TouchState.SENDING: frozenset(
        {TouchState.SENT, TouchState.FAILED, TouchState.UNKNOWN, TouchState.ASKED}
    ),
    # The worker that was given up may come back and know that it sent nothing.
    TouchState.UNKNOWN: frozenset({TouchState.SENT, TouchState.FAILED, TouchState.ASKED}),
    # The platform took it, and said later that it could not bring it.
    TouchState.SENT: frozenset({TouchState.FAILED}),
    TouchState.FAILED: frozenset(),
    TouchState.WITHHELD: frozenset(),
    TouchState.RELEASED: frozenset(),
}


class Evidence(StrEnum):
    """How sure we are that it arrived, best first (design.md §9)."""

    PLATFORM = "platform"
    EVENT = "event"
    SELF_REPORTED = "self_reported"


class Touch(SQLModel, table=True):
    """One attempt on one channel. `key` makes a repeat the same touch.

    `channels` are those asked for, best first; `channel` is the one the gate chose of them.
    `counted_at` is when caps count it: reserved, then fenced, then (by a human's hand) confirmed.
    `verdict` explains the last decision: {"outcome", "channel", "policy_version", "retry_at",
    "violations": [{"rule", "channel", "count", "cap", "touches", "retry_at"}], "passed_over"}.
    """

    __tablename__ = "touches"
    __table_args__ = (
        one_of("state", TouchState, "touches"),
        one_of("channel", Channel, "touches"),
        one_of("category", Category, "touches"),
        one_of("evidence", Evidence, "touches"),
        Index("ix_touches_member", "member_id", "counted_at"),
        Index("ix_touches_asked", "asked_at", postgresql_using="brin"),
        Index("ix_touches_reserved", "id", postgresql_where="state = 'reserved'"),
        Index(
            "ix_touches_provider",
            "channel",
            "provider_id",
            postgresql_where="provider_id IS NOT NULL",
        ),
        Index(
            "ix_touches_open",
            "state",
            "retry_at",
            postgresql_where="state IN ('asked', 'reserved', 'sending', 'unknown')",
        ),
    )
    id: int = big_key()
    key: str = Field(unique=True)
    member_id: int = link("members.id", index=False)
    channels: list[Any] = json_column(default_factory=list)
    channel: Channel = status(Channel)
    category: Category = status(Category)
    brand_id: int = link("brands.id", index=False)
    campaign_id: int | None = link("campaigns.id", default=None, nullable=True)
    care_task_id: int | None = link("care_tasks.id", default=None, nullable=True)
    guide_id: int | None = link("guides.id", index=False, default=None, nullable=True)
    priority: int = 50
    state: TouchState = status(TouchState, default=TouchState.ASKED)
    text: str = ""
    payload: dict[str, Any] = json_column(default_factory=dict)
    verdict: dict[str, Any] = json_column(default_factory=dict)
    asked_at: datetime
    deadline_at: datetime | None = None
    retry_at: datetime | None = None
    lease_until: datetime | None = None
    counted_at: datetime | None = None
    fenced_at: datetime | None = None
    # The first fence: from then on the platform was tried.
    tried_since: datetime | None = None
    # How often it went past the fence.
    attempts: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    settled_at: datetime | None = None
    provider_id: str | None = None
    failure: str | None = None
    evidence: Evidence | None = status(Evidence, default=None, nullable=True)


def chosen_as(channel: Channel) -> Channel:
    """The channel whose consents and stops hold for this one."""
    return _SAME.get(channel, channel)


def has_come_into_chat(session: Session, member_id: int, *, since: datetime) -> bool:
    """Whether a touch may have come into the chat with the official account after that."""
    query = select(Touch.id).where(
        Touch.member_id == member_id,
        col(Touch.counted_at) > since,
        col(Touch.channel).in_(_IN_CHAT),
        col(Touch.state).in_(COUNTED - {TouchState.RESERVED}),
    )
    return session.exec(query.limit(1)).first() is not None


def move_touch(touch: Touch, state: TouchState, *, now: datetime) -> None:
    """Move a locked touch to `state`; refuses a move that its life does not know."""
    if state not in _MOVES[touch.state]:
        raise WrongState("touch", touch.state, state)
    touch.state = state
    if state is not TouchState.RESERVED:
        touch.lease_until = None
    if state is not TouchState.ASKED:
        touch.retry_at = None
    if state in FINAL:
        touch.settled_at = now
