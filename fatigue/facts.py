"""What the record knows about members that a verdict needs: one read a kind for a whole batch."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ARRAY, BigInteger, ColumnElement, any_, cast, func, or_, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlmodel import Session, col

from fatigue.rules import (
    CalendarCap,
    GrantRule,
    LifetimeCap,
    MinGap,
    Period,
    Policy,
    RollingCap,
    is_zone,
)
from fatigue.standing import Standing, landing
from fatigue.verdict import Recent, Window
from store.consents import Consent, Suppression
from store.errors import NotFound
from store.grants import Grant
from store.members import Identity, Member, MemberStatus
from store.organisation import Brand, Guide, GuideStatus
from store.relations import Friendship
from store.touches import COUNTED, HUMAN_PATIENCE, Channel, Touch

_RECENT_COLUMNS: tuple[Any, ...] = (
    Touch.member_id,
    Touch.id,
    Touch.channel,
    Touch.category,
    Touch.brand_id,
    Touch.campaign_id,
    Touch.counted_at,
    Touch.state,
    func.coalesce(col(Touch.payload).op("->>")("template_id"), ""),
)
# The longest span of a period, and a day more because its start is wall-clock time.
_PERIOD_DAYS = {Period.DAY: 2, Period.WEEK: 8, Period.MONTH: 32}


def lock(session: Session, member_ids: Collection[int]) -> None:
    """Lock members in id order until the transaction ends.

    The key itself stays free: two transactions that each wrote a row about the member would
    otherwise wait for each other here.
    """
    query = select(col(Member.id)).where(among(Member.id, member_ids)).order_by(col(Member.id))
    session.execute(query.with_for_update(key_share=True))


def read(
    session: Session,
    member_ids: Collection[int],
    policy: Policy,
    *,
    campaign_ids: Collection[int] = (),
    now: datetime,
) -> dict[int, Standing]:
    """The standing of every member, with the touches of the longest window of the policy.

    `campaign_ids` are those whose touches count for a lifetime. Refuses a member who is not there.
    """
    standings = _members(session, member_ids)
    _read_identities(session, standings)
    _read_consents(session, standings)
    _read_stops(session, standings, now)
    _read_friends(session, standings)
    _read_windows(session, standings, now)
    _read_recent(session, standings, policy, campaign_ids, now)
    return standings


def among(column: Any, ids: Collection[int]) -> ColumnElement[bool]:
    """One array instead of a parameter an id, so that every batch is the same statement."""
    found: ColumnElement[bool] = col(column) == any_(cast(list(ids), ARRAY(BigInteger)))
    return found


def _rows(session: Session, columns: Sequence[Any], *wanted: Any) -> Sequence[Any]:
    return session.execute(select(*columns).where(*wanted)).all()


def _members(session: Session, member_ids: Collection[int]) -> dict[int, Standing]:
    found = _rows(
        session,
        [Member.id, Member.status, Member.timezone, Brand.timezone],
        among(Member.id, member_ids),
        col(Brand.id) == Member.brand_id,
    )
    standings = {
        member_id: Standing(_zone(own, brands), state is MemberStatus.ACTIVE)
        for member_id, state, own, brands in found
    }
    missing = set(member_ids) - standings.keys()
    if missing:
        raise NotFound(f"There is no member {min(missing)}.")
    return standings


@cache
def _zone(own: str | None, brands: str) -> ZoneInfo:
    """The member's zone, else the brand's: a zone that nobody knows protects nobody."""
    return ZoneInfo(own) if own and is_zone(own) else ZoneInfo(brands)


def _read_identities(session: Session, standings: dict[int, Standing]) -> None:
    found = _rows(
        session,
        [Identity.member_id, Identity.channel],
        among(Identity.member_id, standings.keys()),
        col(Identity.is_reachable),
    )
    for member_id, channel in found:
        standings[member_id].identities.add(channel)


def _read_consents(session: Session, standings: dict[int, Standing]) -> None:
    one_each = [col(Consent.member_id), col(Consent.channel), col(Consent.purpose)]
    query = (
        select(*one_each, col(Consent.stated_at), col(Consent.is_granted))
        .where(among(Consent.member_id, standings.keys()))
        .ext(distinct_on(*one_each))
        .order_by(*one_each, col(Consent.stated_at).desc(), col(Consent.id).desc())
    )
    for member_id, channel, purpose, stated_at, is_granted in session.execute(query):
        standings[member_id].consents[channel, purpose] = (stated_at, is_granted)


def _read_stops(session: Session, standings: dict[int, Standing], now: datetime) -> None:
    found = _rows(
        session,
        [Suppression.member_id, Suppression.channel, Suppression.until],
        among(Suppression.member_id, standings.keys()),
        col(Suppression.lifted_at).is_(None),
        _is_after(Suppression.until, now),
    )
    for member_id, channel, until in found:
        standings[member_id].stops[channel] = until and _utc(until)


def _read_friends(session: Session, standings: dict[int, Standing]) -> None:
    """Open friendships with guides in post: who has left cannot confirm a broadcast."""
    found = _rows(
        session,
        [Friendship.member_id, Friendship.guide_id],
        among(Friendship.member_id, standings.keys()),
        col(Friendship.until).is_(None),
        col(Guide.id) == Friendship.guide_id,
        col(Guide.status) == GuideStatus.ACTIVE,
    )
    for member_id, guide_id in found:
        standings[member_id].friends.add(guide_id)


def _read_windows(session: Session, standings: dict[int, Standing], now: datetime) -> None:
    found = _rows(
        session,
        [
            Grant.member_id,
            Grant.channel,
            Grant.allowance,
            Grant.opened_at,
            Grant.expires_at,
            Grant.template_id,
        ],
        among(Grant.member_id, standings.keys()),
        _is_after(Grant.expires_at, now),
    )
    for member_id, channel, allowance, opened_at, expires_at, template_id in found:
        window = Window(channel, allowance, _utc(opened_at), expires_at, template_id)
        standings[member_id].windows.append(window)


def _read_recent(
    session: Session,
    standings: dict[int, Standing],
    policy: Policy,
    campaign_ids: Collection[int],
    now: datetime,
) -> None:
    since = _horizon(policy, now)
    _add_recent(session, standings, col(Touch.counted_at) > since, now)
    older: list[ColumnElement[bool]] = []
    if any(isinstance(rule, LifetimeCap) for rule in policy.rules) and campaign_ids:
        older.append(among(Touch.campaign_id, campaign_ids))
    if any(window.opened_at <= since for row in standings.values() for window in row.windows):
        # Only a grant without end can be older than the longest window.
        older.append(col(Touch.channel).in_(_endless(policy)))
    for wanted in older:
        _add_recent(session, standings, (col(Touch.counted_at) <= since) & wanted, now)


def _add_recent(
    session: Session, standings: dict[int, Standing], wanted: ColumnElement[bool], now: datetime
) -> None:
    found = _rows(
        session,
        _RECENT_COLUMNS,
        among(Touch.member_id, standings.keys()),
        col(Touch.state).in_(COUNTED),
        # A reservation whose lease is over holds nothing, whether or not the sweeper has been by.
        _is_after(Touch.lease_until, now),
        wanted,
    )
    for member_id, touch_id, channel, category, brand_id, campaign_id, *rest in found:
        counted_at, state, template_id = rest
        at = _utc(counted_at)
        until = landing(at, channel, state)
        touch = Recent(touch_id, channel, category, brand_id, campaign_id, at, until, template_id)
        recent = standings[member_id].recent
        if all(touch.touch_id != known.touch_id for known in recent):
            recent.append(touch)


def _is_after(column: Any, now: datetime) -> ColumnElement[bool]:
    return or_(col(column).is_(None), col(column) > now)


def _utc(at: datetime) -> datetime:
    """The driver gives the server's zone, in which adding hours would follow daylight saving."""
    return at.astimezone(UTC)


def _endless(policy: Policy) -> set[Channel]:
    """Channels whose grants do not end by time."""
    rules = [rule for rule in policy.rules if isinstance(rule, GrantRule)]
    return {channel for rule in rules if not rule.seconds for channel in rule.selector.channels}


def _horizon(policy: Policy, now: datetime) -> datetime:
    """How far back touches must be read, pending ones included."""
    spans = [timedelta(0)]
    for rule in policy.rules:
        match rule:
            case RollingCap() | MinGap():
                spans.append(timedelta(seconds=rule.seconds))
            case GrantRule() if rule.seconds is not None:
                spans.append(timedelta(seconds=rule.seconds))
            case CalendarCap():
                spans.append(timedelta(days=_PERIOD_DAYS[rule.period]))
            case _:
                pass
    return now - max(spans) - max(HUMAN_PATIENCE.values())
