"""The screen: a first look at many asks in one statement, which lets the plain ones pass at once.

Most members of an audience may be reached and are far from every cap. The server counts that by
itself; whoever the screen does not let pass is read and judged as always. It errs only that way:
what it lets pass, `verdict` would answer with OPEN on the first channel and nothing else to say.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

from sqlmodel import Session

from fatigue.asks import Ask
from fatigue.quiet_hours import is_quiet, span
from fatigue.rules import (
    CalendarCap,
    LifetimeCap,
    MinGap,
    Policy,
    QuietHours,
    RollingCap,
    Rule,
)
from fatigue.standing import IDENTITIES, OF_FRIENDS, PURPOSES
from store import trips
from store.bulk import id_array
from store.touches import HUMAN_PATIENCE, Category, chosen_as

# For fewer, one look more costs more than it saves; of more, sets would not fit into memory.
FEWEST, _MOST = 20, 2_000
# What these close for, the server can count.
_PLAIN = (RollingCap, MinGap, CalendarCap, LifetimeCap, QuietHours)
_ZONES = "SELECT DISTINCT timezone FROM brands"
_SCREEN = """
    SELECT array_agg(place)
    FROM unnest(CAST(%(members)s AS bigint[]), CAST(%(guides)s AS bigint[]),
                CAST(%(keys)s AS text[])) WITH ORDINALITY AS wanted(member_id, guide_id, key, place)
    WHERE {}
"""
# Each set is read once, in the order of its index: half the time of a look at every member. Asked
# whether it is true, the server does not take a set for a join, of which it thinks too little.
_AMONG, _NOT_AMONG = "({} IN ({})) IS TRUE", "({} IN ({})) IS NOT TRUE"
_ACTIVE = """SELECT m.id FROM members m JOIN brands b ON b.id = m.brand_id
    WHERE m.id = ANY(%(members)s) AND m.status = 'active' AND m.timezone IS NULL
        AND b.timezone = ANY(%(awake)s)"""
_REACHABLE = """SELECT member_id FROM identities
    WHERE member_id = ANY(%(members)s) AND channel = %(identity)s AND is_reachable"""
_FRIENDS = """SELECT f.member_id, f.guide_id FROM friendships f JOIN guides g ON g.id = f.guide_id
    WHERE f.member_id = ANY(%(members)s) AND f.until IS NULL AND g.status = 'active'"""
# Whoever ever said no as well is looked at more closely.
_SAID_YES = """SELECT member_id FROM consents
    WHERE member_id = ANY(%(members)s) AND purpose = %(purpose)s AND channel IN ('', %(scope)s)
    GROUP BY member_id HAVING bool_and(is_granted)"""
_STOPPED = """SELECT member_id FROM suppressions
    WHERE member_id = ANY(%(members)s) AND lifted_at IS NULL"""
_HELD = "SELECT member_id FROM holds WHERE member_id = ANY(%(members)s) AND lifted_at IS NULL"
_KNOWN = "SELECT key FROM touches WHERE key = ANY(%(keys)s)"
_TOLD = """SELECT member_id FROM touches
    WHERE member_id = ANY(%(members)s) AND campaign_id = %(campaign)s AND counted_at IS NOT NULL"""
_MUCH = """SELECT member_id FROM (
        SELECT member_id, channel, category, brand_id, campaign_id, {} AS lands
        FROM touches WHERE member_id = ANY(%(members)s) AND counted_at > %(since)s
            AND state IN ('reserved', 'sending', 'sent', 'unknown')
            AND (lease_until IS NULL OR lease_until > %(now)s)
    ) AS told GROUP BY member_id HAVING NOT ({})"""
_PATIENCE = "".join(
    f" WHEN state IN ('sending', 'unknown') AND channel = '{channel}'"
    f" THEN counted_at + interval '{span.total_seconds()} seconds'"
    for channel, span in HUMAN_PATIENCE.items()
)
# The last moment at which a touch can reach the member, as `landing` has it.
_LANDS = f"CASE WHEN state = 'sent' THEN counted_at{_PATIENCE} ELSE counted_at END"
_LONGEST_PATIENCE = max(HUMAN_PATIENCE.values())


def sift(
    session: Session, policy: Policy, asks: Sequence[Ask], *, now: datetime
) -> tuple[list[Ask], list[Ask]]:
    """The asks that are open on their first channel beyond doubt, and the rest, in their order.

    Whoever is asked about twice is among the rest, and what has a key that stands for a touch.
    """
    times = Counter(wish.member_id for wish in asks)
    alike: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    for place, wish in enumerate(asks):
        if times[wish.member_id] == 1:
            alike[_shape(wish)].append(place)
    open_places: set[int] = set()
    for places in alike.values():
        if len(places) >= FEWEST:
            for first in range(0, len(places), _MOST):
                some = places[first : first + _MOST]
                open_places |= _passed(session, policy, asks, some, now)
    rest = [wish for place, wish in enumerate(asks) if place not in open_places]
    return [asks[place] for place in sorted(open_places)], rest


def _shape(wish: Ask) -> tuple[Any, ...]:
    """What the asks of one campaign have in common."""
    return wish.channels[0], wish.category, wish.brand_id, wish.campaign_id, wish.deadline_at


def _passed(
    session: Session, policy: Policy, asks: Sequence[Ask], places: Sequence[int], now: datetime
) -> set[int]:
    first = asks[places[0]]
    rules = [rule for rule in policy.rules if _may_bind(rule, first)]
    is_plain = first.channels[0] in IDENTITIES and all(isinstance(rule, _PLAIN) for rule in rules)
    if not is_plain or (first.deadline_at is not None and first.deadline_at <= now):
        return set()
    awake = _awake(session, rules, now)
    if not awake:
        return set()
    statement, facts = _statement(rules, first, awake, now)
    facts |= {
        "awake": awake,
        "members": id_array([asks[place].member_id for place in places]),
        "guides": id_array([asks[place].guide_id or 0 for place in places]),
        "keys": [asks[place].key for place in places],
    }
    ((found,),) = trips.fetch(session, statement, facts)
    return {places[number - 1] for number in found or ()}


def _may_bind(rule: Rule, wish: Ask) -> bool:
    """Whether the rule may have a say; guides and bands are not looked at, so rather yes."""
    chosen = rule.selector
    return (
        (rule.is_platform or wish.category is not Category.SERVICE)
        and (not chosen.channels or wish.channels[0] in chosen.channels)
        and (not chosen.categories or wish.category in chosen.categories)
        and chosen.brand_id in {None, wish.brand_id}
        and chosen.campaign_id in {None, wish.campaign_id}
    )


def _awake(session: Session, rules: Sequence[Rule], now: datetime) -> list[str]:
    """The brands' zones where none of the rules is quiet."""
    quiet = [rule for rule in rules if isinstance(rule, QuietHours)]
    zones = trips.fetch(session, _ZONES, {})
    return [
        zone for (zone,) in zones if not any(is_quiet(rule, now, ZoneInfo(zone)) for rule in quiet)
    ]


def _statement(
    rules: Sequence[Rule], wish: Ask, zones: Sequence[str], now: datetime
) -> tuple[str, dict[str, Any]]:
    """The screen for asks like `wish`, and what it is asked with."""
    channel, purpose = wish.channels[0], PURPOSES.get(wish.category)
    facts: dict[str, Any] = {"now": now, "identity": IDENTITIES[channel]}
    among, not_among = [_ACTIVE, _REACHABLE], [_STOPPED, _HELD]
    if purpose is not None:
        among.append(_SAID_YES)
        facts |= {"purpose": purpose, "scope": chosen_as(channel)}
    if wish.campaign_id is not None and any(isinstance(rule, LifetimeCap) for rule in rules):
        not_among.append(_TOLD)
        facts["campaign"] = wish.campaign_id
    caps = [(rule, first) for rule in rules if (first := _counts_from(rule, zones, now))]
    if caps:
        not_among.append(_MUCH.format(_LANDS, " AND ".join(_counts(caps, facts))))
        facts["since"] = min(first for _, first in caps) - _LONGEST_PATIENCE
    tests = [_NOT_AMONG.format("key", _KNOWN)]
    tests += [_AMONG.format("member_id", query) for query in among]
    tests += [_NOT_AMONG.format("member_id", query) for query in not_among]
    if channel in OF_FRIENDS:
        tests.append(_AMONG.format("(member_id, guide_id)", _FRIENDS))
    return _SCREEN.format(" AND ".join(tests)), facts


def _counts_from(rule: Rule, zones: Sequence[str], now: datetime) -> datetime | None:
    """What lands before this instant does not count now; in none of the zones."""
    match rule:
        case RollingCap() | MinGap():
            return now - timedelta(seconds=rule.seconds)
        case CalendarCap():
            own = zones if rule.zone is None else [rule.zone]
            return min(span(rule.period, now, ZoneInfo(zone))[0] for zone in own)
        case _:
            return None


def _fewest(rule: Rule) -> int:
    """How few touches can close the rule."""
    return next(touches for touches in count(1) if rule.can_close(touches))


def _counts(caps: Sequence[tuple[Rule, datetime]], facts: dict[str, Any]) -> Iterator[str]:
    """One test for each cap; what it is asked with goes into `facts`."""
    for number, (rule, first) in enumerate(caps):
        facts |= {f"from{number}": first, f"cap{number}": _fewest(rule)}
        tests, selector = [f"lands >= %(from{number})s"], rule.selector
        for column, chosen in (("channel", selector.channels), ("category", selector.categories)):
            if chosen:
                facts[f"{column}{number}"] = sorted(chosen)
                tests.append(f"{column} = ANY(CAST(%({column}{number})s AS text[]))")
        for column, one in (("brand_id", selector.brand_id), ("campaign_id", selector.campaign_id)):
            if one is not None:
                facts[f"{column}{number}"] = one
                tests.append(f"{column} = %({column}{number})s")
        yield f"count(*) FILTER (WHERE {' AND '.join(tests)}) < %(cap{number})s"
