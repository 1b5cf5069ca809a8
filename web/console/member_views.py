"""A member at headquarters: every touch with the gate's reasons, what they allowed, what is open.

The mobile is masked here; the page that shows it whole asks for it by itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import func, or_
from sqlmodel import Session, col, select

from content.rule_phrases import rule_phrase
from content.touch_words import CATEGORY_NAMES, CHANNEL_NAMES, STATE_NAMES
from fatigue import gate, preferences
from fatigue.gate import Outcome, Verdict
from fatigue.preferences import Choice
from store import members
from store.campaigns import Campaign
from store.consents import Consent, Suppression, Wish
from store.errors import NotFound
from store.grants import Grant
from store.holds import Hold
from store.levels import Level
from store.members import Member, MemberStatus, mask
from store.organisation import Guide, Shop
from store.relations import Ownership
from store.touches import Channel, Touch, TouchState
from web.console import timeline
from web.console.timeline import Moment

_MOST = 20


@dataclass(frozen=True, slots=True)
class DoorView:
    """Whether a message of a category could go out on a channel now."""

    category: str
    outcome: Outcome
    at: datetime | None


@dataclass(frozen=True, slots=True)
class ChannelDoors:
    """The doors of one channel, and every reason of those that are closed, each once."""

    channel: str
    doors: Sequence[DoorView]
    reasons: Sequence[str]


@dataclass(frozen=True, slots=True)
class GrantView:
    """A window that the member's own act opened."""

    channel: str
    allowance: int
    opened_at: datetime
    expires_at: datetime | None
    is_live: bool


@dataclass(frozen=True, slots=True)
class HoldView:
    """A place that the gate keeps for a campaign that is to be launched."""

    campaign: str
    token: str
    planned_from: datetime
    planned_until: datetime


@dataclass(frozen=True, slots=True)
class MemberView:
    """The whole page."""

    card_no: str
    name: str
    mobile: str
    level: str
    shop: str
    guide: str
    joined_at: datetime | None
    is_erased: bool
    moments: Sequence[Moment]
    total: int
    doors: Sequence[ChannelDoors]
    choices: Sequence[tuple[str, Choice]]
    stops: Sequence[tuple[str, Suppression]]
    consents: Sequence[tuple[str, Consent]]
    wishes: Sequence[tuple[str, Wish]]
    grants: Sequence[GrantView]
    holds: Sequence[HoldView]


@dataclass(frozen=True, slots=True)
class Found:
    """A member in a list."""

    card_no: str
    name: str
    mobile: str


@dataclass(frozen=True, slots=True)
class Lately:
    """A decision of the gate in the list of the newest."""

    at: datetime
    member: Found
    state: TouchState
    state_name: str
    channel: str
    campaign: str
    reason: str


def by_card(session: Session, card_no: str) -> Member:
    """The member with this card; a card that was merged away leads to the one that lives on."""
    member = session.exec(select(Member).where(Member.card_no == card_no)).first()
    if member is None:
        raise NotFound("There is no member with this card.")
    return session.get_one(Member, members.survivor(session, member.id))


def find(session: Session, words: str) -> list[Found]:
    """Active members with exactly this card, mobile, id of the brand's own system, or name."""
    wanted = words.strip()
    keys = (Member.card_no, Member.mobile, Member.external_id, Member.name)
    query = (
        select(Member)
        .where(Member.status == MemberStatus.ACTIVE, or_(*(col(key) == wanted for key in keys)))
        .order_by(col(Member.id).desc())
        .limit(_MOST)
    )
    return [_found(member) for member in session.exec(query).all()] if wanted else []


def lately(session: Session) -> list[Lately]:
    """What the gate decided last, over all members."""
    query = (
        select(Touch, Member, Campaign.name)
        .join(Member, col(Member.id) == Touch.member_id)
        .join(Campaign, col(Campaign.id) == Touch.campaign_id, isouter=True)
        .order_by(col(Touch.id).desc())
        .limit(_MOST)
    )
    return [
        Lately(
            touch.asked_at,
            _found(member),
            touch.state,
            STATE_NAMES[touch.state],
            CHANNEL_NAMES[touch.channel],
            campaign or "",
            _first_reason(touch),
        )
        for touch, member, campaign in session.exec(query).all()
    ]


def read(session: Session, member: Member, *, skip: int, now: datetime) -> MemberView:
    """The whole page in a fixed number of queries, however many touches there are."""
    _, doors = gate.explain(session, member.id, now=now, limit=1)
    level, shop, guide = _around(session, member)
    total = select(func.count()).where(Touch.member_id == member.id)
    return MemberView(
        card_no=member.card_no,
        name=member.name,
        mobile=mask(member.mobile),
        level=level,
        shop=shop,
        guide=guide,
        joined_at=member.joined_at,
        is_erased=member.status is MemberStatus.ERASED,
        moments=timeline.moments(session, member.id, skip=skip),
        total=session.exec(total).one(),
        doors=_doors(doors),
        choices=[
            (CHANNEL_NAMES[one.channel] if one.channel else "", one)
            for one in preferences.choices(session, member.id, now)
        ],
        stops=_stated(session, Suppression, member.id),
        consents=_stated(session, Consent, member.id),
        wishes=_stated(session, Wish, member.id),
        grants=_grants(session, member.id, now),
        holds=_holds(session, member.id, now),
    )


def _around(session: Session, member: Member) -> tuple[str, str, str]:
    """Level, shop and own guide by name."""
    query = (
        select(Level.name, Shop.name, Guide.name)
        .select_from(Member)
        .join(Level, col(Level.id) == Member.level_id, isouter=True)
        .join(Shop, col(Shop.id) == Member.shop_id, isouter=True)
        .join(
            Ownership,
            (col(Ownership.member_id) == Member.id) & col(Ownership.until).is_(None),
            isouter=True,
        )
        .join(Guide, col(Guide.id) == Ownership.guide_id, isouter=True)
        .where(Member.id == member.id)
    )
    level, shop, guide = session.exec(query).one()
    return level or "", shop or "", guide or ""


def _first_reason(touch: Touch) -> str:
    if touch.state not in {TouchState.WITHHELD, TouchState.ASKED}:
        return ""
    found = touch.verdict.get("violations", [])
    return rule_phrase(found[0]["rule"]) if found else ""


def _doors(found: Sequence[gate.Door]) -> list[ChannelDoors]:
    """The doors by channel, in the order in which they came."""
    return [
        ChannelDoors(
            CHANNEL_NAMES[channel],
            [
                DoorView(CATEGORY_NAMES[one.category], one.verdict.outcome, one.verdict.retry_at)
                for one in doors
            ],
            list(
                dict.fromkeys(_first_words(one.verdict) for one in doors if one.verdict.violations)
            ),
        )
        for channel, group in groupby(found, key=lambda one: one.channel)
        if (doors := list(group))
    ]


def _first_words(told: Verdict) -> str:
    return rule_phrase(told.violations[0].rule)


def _stated(
    session: Session, table: type[Suppression | Consent | Wish], member_id: int
) -> list[tuple[str, Any]]:
    """What the member stated, newest first, each with the name of its channel (none for all)."""
    query: Any = (
        select(table)
        .where(col(table.member_id) == member_id)
        .order_by(col(table.stated_at).desc(), col(table.id).desc())
        .limit(_MOST)
    )
    return [(_place(row.channel), row) for row in session.exec(query).all()]


def _place(channel: str) -> str:
    return CHANNEL_NAMES[Channel(channel)] if channel else ""


def _grants(session: Session, member_id: int, now: datetime) -> list[GrantView]:
    query = (
        select(Grant)
        .where(Grant.member_id == member_id)
        .order_by(col(Grant.opened_at).desc(), col(Grant.id).desc())
        .limit(_MOST)
    )
    return [
        GrantView(
            CHANNEL_NAMES[row.channel],
            row.allowance,
            row.opened_at,
            row.expires_at,
            row.expires_at is None or row.expires_at > now,
        )
        for row in session.exec(query).all()
    ]


def _holds(session: Session, member_id: int, now: datetime) -> list[HoldView]:
    query = (
        select(Campaign.name, Campaign.token, Hold.planned_from, Hold.planned_until)
        .join(Campaign, col(Campaign.id) == Hold.campaign_id)
        .where(Hold.member_id == member_id, col(Hold.lifted_at).is_(None), Hold.expires_at > now)
        .order_by(col(Hold.planned_from))
        .limit(_MOST)
    )
    return [HoldView(*facts) for facts in session.exec(query).all()]


def _found(member: Member) -> Found:
    return Found(member.card_no, member.name, mask(member.mobile))
