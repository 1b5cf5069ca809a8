"""What the record knows about members that a verdict needs, for a whole batch in one trip."""

from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from operator import itemgetter
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ARRAY, BigInteger, ColumnElement, any_, cast, text
from sqlmodel import Session, col

from fatigue.case import Held, Recent, Window
from fatigue.rules import (
    GrantRule,
    LifetimeCap,
    Policy,
    is_zone,
)
from fatigue.standing import Standing, landing
from store import trips
from store.bulk import id_array
from store.consents import Purpose
from store.errors import NotFound
from store.members import IdentityChannel, MemberStatus
from store.touches import HUMAN_PATIENCE, Category, Channel, TouchState
from store.trips import Rows, Statement

# Columns of a member's touches, each as one array: a row a touch would be eight times the rows, and
# JSON takes the server four times as long. A reservation whose lease is over holds nothing, whether
# or not the sweeper has been by.
_TOUCHES = """
    SELECT array_agg(id), array_agg(channel), array_agg(category), array_agg(brand_id),
        array_agg(campaign_id), array_agg(counted_at AT TIME ZONE 'UTC'), array_agg(state),
        array_agg(coalesce(payload ->> 'template_id', '')), array_agg(guide_id),
        array_agg(priority)
    FROM touches
    WHERE {whose} AND state IN ('reserved', 'sending', 'sent', 'unknown')
        AND (lease_until IS NULL OR lease_until > %(now)s) AND {when}
"""
# Who has left cannot confirm a broadcast, so only friendships with guides in post count.
_WHO = """
    SELECT m.id, m.status, m.timezone, b.timezone,
        ARRAY(SELECT channel FROM identities WHERE member_id = m.id AND is_reachable),
        ARRAY(SELECT f.guide_id FROM friendships f JOIN guides g ON g.id = f.guide_id
            WHERE f.member_id = m.id AND f.until IS NULL AND g.status = 'active'),
        (SELECT json_agg(json_build_array(channel, until)) FROM suppressions
            WHERE member_id = m.id AND lifted_at IS NULL AND (until IS NULL OR until > %(now)s)),
        (SELECT json_agg(json_build_array(channel, allowance, opened_at, expires_at, template_id))
            FROM grants
            WHERE member_id = m.id AND (expires_at IS NULL OR expires_at > %(now)s)),
        m.mobile IS NOT NULL,
        (SELECT json_agg(json_build_array(campaign_id, channels, category, brand_id, guide_id,
                priority, planned_from, planned_until, expires_at))
            FROM holds
            WHERE member_id = m.id AND lifted_at IS NULL AND expires_at > %(now)s),
        consents.*, recent.*
    FROM members m JOIN brands b ON b.id = m.brand_id
    CROSS JOIN LATERAL (
        SELECT array_agg(stated_at AT TIME ZONE 'UTC'), array_agg(id), array_agg(channel),
            array_agg(purpose), array_agg(is_granted)
        FROM consents WHERE member_id = m.id) AS consents
    CROSS JOIN LATERAL ({recent}) AS recent
    WHERE m.id {whom}
"""
_RECENT = _TOUCHES.format(whose="member_id = m.id", when="counted_at > %(since)s")
# Touches from before the longest window, for what counts longer: a lifetime, or an endless grant.
_LONG_AGO = """counted_at <= %(since)s AND (campaign_id = ANY(CAST(%(campaigns)s AS bigint[]))
    OR channel = ANY(CAST(%(channels)s AS text[])))"""
_EACH = """
    SELECT wanted, older.* FROM unnest(CAST(%(members)s AS bigint[])) AS wanted
    CROSS JOIN LATERAL ({older}) AS older
"""
_OLDER = _EACH.format(older=_TOUCHES.format(whose="member_id = wanted", when=_LONG_AGO))
_ZONES = text("""
    SELECT m.timezone, b.timezone FROM members m JOIN brands b ON b.id = m.brand_id
    WHERE m.id = :member
""")
_LOCK = "SELECT id FROM members WHERE id {whom} ORDER BY id FOR NO KEY UPDATE"
# Of one the server sees that it need not plan anew for each, which takes longer than to read them.
_WHOM = {True: "= %(member)s", False: "= ANY(CAST(%(members)s AS bigint[]))"}
_LOCKS = {is_one: _LOCK.format(whom=whom) for is_one, whom in _WHOM.items()}
_STANDINGS = {is_one: _WHO.format(recent=_RECENT, whom=whom) for is_one, whom in _WHOM.items()}
_CONSENT_COLUMNS = 5
_BY_TIME_AND_ID = itemgetter(0, 1)
_ACTIVE, _RESERVED = MemberStatus.ACTIVE.value, TouchState.RESERVED.value
# Looked up a hundred times faster than called.
_CHANNELS = {channel.value: channel for channel in Channel}
_CATEGORIES = {category.value: category for category in Category}
_PURPOSES = {purpose.value: purpose for purpose in Purpose}
_STATES = {state.value: state for state in TouchState}
_LONGEST_PATIENCE = max(HUMAN_PATIENCE.values())


def lock(session: Session, member_ids: Collection[int]) -> None:
    """Lock members in id order until the transaction ends.

    The key itself stays free: two transactions that each wrote a row about the member would
    otherwise wait for each other here.
    """
    trips.fetch(session, *locking(member_ids))


def locking(member_ids: Collection[int]) -> Statement:
    """The statement that locks members."""
    return _LOCKS[len(member_ids) == 1], _whom(member_ids)


def reading(member_ids: Collection[int], since: datetime, now: datetime) -> Statement:
    """The statement that reads members, with touches since then."""
    return _STANDINGS[len(member_ids) == 1], _whom(member_ids) | {"since": since, "now": now}


def _whom(member_ids: Collection[int]) -> dict[str, Any]:
    return (
        {"members": id_array(member_ids)} if len(member_ids) != 1 else {"member": min(member_ids)}
    )


def standings(rows: Rows, member_ids: Collection[int], policy: Policy) -> dict[int, Standing]:
    """What was read of these members. Refuses one who is not there."""
    found = {member_id: _standing(policy, *rest) for member_id, *rest in rows}
    missing = set(member_ids) - found.keys()
    if missing:
        raise NotFound(f"There is no member {min(missing)}.")
    return found


def zone_of(session: Session, member_id: int) -> ZoneInfo:
    """The zone of the member's calendar. Refuses a member who is not there."""
    found = session.connection().execute(_ZONES, {"member": member_id}).first()
    if found is None:
        raise NotFound(f"There is no member {member_id}.")
    return _zone(*found)


def among(column: Any, ids: Collection[int]) -> ColumnElement[bool]:
    """One array instead of a parameter an id, so that every batch is the same statement."""
    found: ColumnElement[bool] = col(column) == any_(cast(list(ids), ARRAY(BigInteger)))
    return found


def _standing(  # noqa: PLR0913 -- one row of the statement, in its order
    policy: Policy,
    status: str,
    own_zone: str | None,
    brands_zone: str,
    identities: list[str],
    friends: list[int],
    stops: list[Any] | None,
    windows: list[Any] | None,
    has_mobile: bool,
    holds: list[Any] | None,
    *columns: list[Any] | None,
) -> Standing:
    return Standing(
        _zone(own_zone, brands_zone),
        status == _ACTIVE,
        {IdentityChannel(channel) for channel in identities},
        _newest(*columns[:_CONSENT_COLUMNS]),
        {channel: until and _at(until) for channel, until in stops or ()},
        set(friends),
        [_window(*facts) for facts in windows or ()],
        _recent(policy, columns[_CONSENT_COLUMNS:]),
        has_mobile,
        [_held(policy, row[:5], row[5], row[6:]) for row in holds or ()],
    )


def _newest(*columns: list[Any] | None) -> dict[tuple[str, Purpose], tuple[datetime, bool]]:
    """The newest statement for each channel and purpose."""
    statements = sorted(_across(columns), key=_BY_TIME_AND_ID)
    return {
        (channel, _PURPOSES[purpose]): (stated_at.replace(tzinfo=UTC), is_granted)
        for stated_at, _, channel, purpose, is_granted in statements
    }


def _across(columns: Sequence[list[Any] | None]) -> Iterator[tuple[Any, ...]]:
    """Rows of columns that came as arrays; no rows came as no arrays."""
    return zip(*(column or () for column in columns), strict=True)


@cache
def _zone(own: str | None, brands: str) -> ZoneInfo:
    """The member's zone, else the brand's: a zone that nobody knows protects nobody."""
    return ZoneInfo(own) if own and is_zone(own) else ZoneInfo(brands)


def _window(
    channel: str, allowance: int, opened_at: str, expires_at: str | None, template_id: str
) -> Window:
    ends = _at(expires_at) if expires_at else None
    return Window(Channel(channel), allowance, _at(opened_at), ends, template_id)


def _held(policy: Policy, where: Sequence[Any], priority: int, span: Sequence[str]) -> Held:
    campaign_id, channels, category, brand_id, guide_id = where
    planned_from, planned_until, expires_at = map(_at, span)
    return Held(
        campaign_id,
        frozenset(_CHANNELS[name] for name in channels),
        _CATEGORIES[category],
        brand_id,
        planned_from,
        planned_until,
        expires_at,
        policy.band_of(priority),
        guide_id,
    )


def _recent(policy: Policy, columns: Sequence[list[Any] | None]) -> list[Recent]:
    touches = []
    for touch_id, name, category, brand, campaign, at, state, template, guide, priority in _across(
        columns
    ):
        channel, counted_at = _CHANNELS[name], at.replace(tzinfo=UTC)
        touches.append(
            Recent(
                touch_id,
                channel,
                _CATEGORIES[category],
                brand,
                campaign,
                counted_at,
                landing(counted_at, channel, _STATES[state]),
                template,
                guide,
                policy.band_of(priority).name,
                state == _RESERVED,
            )
        )
    return touches


def _at(moment: str) -> datetime:
    """The server gives its own zone, in which adding hours would follow daylight saving."""
    return datetime.fromisoformat(moment).astimezone(UTC)


def add_older(
    session: Session,
    standings: dict[int, Standing],
    policy: Policy,
    campaign_ids: Collection[int],
    read: tuple[datetime, datetime],
) -> None:
    """Add what counts although it is older than all that was `read`, from an instant until now."""
    since, now = read
    has_lifetime = any(isinstance(rule, LifetimeCap) for rule in policy.rules)
    campaigns = list(campaign_ids) if has_lifetime else []
    # Only a grant without end can be older than the longest window.
    is_old = any(window.opened_at <= since for row in standings.values() for window in row.windows)
    channels = [channel.value for channel in endless(policy)] if is_old else []
    if campaigns or channels:
        facts = {"members": list(standings), "since": since, "now": now}
        facts |= {"campaigns": campaigns, "channels": channels}
        for member_id, *columns in trips.fetch(session, _OLDER, facts):
            standings[member_id].recent += _recent(policy, columns)


def endless(policy: Policy) -> set[Channel]:
    """Channels whose grants do not end by time."""
    rules = [rule for rule in policy.rules if isinstance(rule, GrantRule)]
    return {channel for rule in rules if not rule.seconds for channel in rule.selector.channels}


def horizon(policy: Policy, now: datetime) -> datetime:
    """How far back touches must be read, pending ones included."""
    return now - policy.looks_back - _LONGEST_PATIENCE
