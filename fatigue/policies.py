"""Policies: the rules in force, their versions, and how they are kept as plain data (design.md §8).

The newest row of `policies` counts. Until somebody publishes another, version 1 is `DEFAULT_RULES`.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, time
from functools import lru_cache
from typing import Any

from sqlalchemy.dialects import postgresql
from sqlmodel import Session, col, select

from fatigue.bands import DEFAULT_BANDS, BadBand, Band
from fatigue.default_rules import DEFAULT_RULES, BroadcastQuota, with_quota
from fatigue.rules import (
    BadRule,
    CalendarCap,
    GrantRule,
    LifetimeCap,
    MinGap,
    Never,
    Period,
    Policy,
    QuietHours,
    RollingCap,
    Rule,
    Selector,
)
from store import trips
from store.policies import Policy as PolicyRow
from store.touches import Category, Channel
from store.trips import Rows, Statement

__all__ = [
    "DEFAULT",
    "DEFAULT_RULES",
    "NEWEST",
    "bands_from_json",
    "bands_to_json",
    "current",
    "in_force",
    "publish",
    "rules_from_json",
    "rules_to_json",
    "seed",
    "switch_broadcasts",
]

DEFAULT = Policy(1, DEFAULT_RULES)
NEWEST: Statement = (
    """
    SELECT version, CAST(rules AS text) AS rules, CAST(bands AS text) AS bands
    FROM policies ORDER BY version DESC LIMIT 1
    """,
    {},
)


def current(session: Session) -> Policy:
    """The policy in force; version 1 is `DEFAULT` as long as no row was written."""
    return in_force(trips.fetch(session, *NEWEST))


def in_force(rows: Rows) -> Policy:
    """The policy that `NEWEST` gave."""
    return _policy(*rows[0]) if rows else DEFAULT


@lru_cache(maxsize=32)
def _policy(version: int, rules: str, bands: str) -> Policy:
    """Read once: the words of a policy are its key, so no cache can be older than its row."""
    known = bands_from_json(json.loads(bands))
    return Policy(version, rules_from_json(json.loads(rules)), known)


def seed(session: Session, *, now: datetime) -> None:
    """Write version 1 where there is none yet; harmless when repeated or done twice at once."""
    row = {
        "version": 1,
        "rules": rules_to_json(DEFAULT_RULES),
        "bands": bands_to_json(DEFAULT_BANDS),
        "author": "zhiyin",
    }
    insert = postgresql.insert(PolicyRow).values(**row, created_at=now)
    session.exec(insert.on_conflict_do_nothing(index_elements=["version"]))


def publish(
    session: Session,
    rules: Sequence[Rule],
    *,
    bands: Sequence[Band] | None = None,
    author: str,
    now: datetime,
) -> Policy:
    """Put a new version in force for every decision from now on, also over touches already sent.

    Without `bands` those in force stay.
    """
    seed(session, now=now)
    # Publishers take turns: the newest row is the lock.
    query = select(PolicyRow).order_by(col(PolicyRow.version).desc()).limit(1).with_for_update()
    newest = session.exec(query).one()
    known = tuple(bands) if bands is not None else bands_from_json(newest.bands)
    policy = Policy(newest.version + 1, tuple(rules), known)
    row = PolicyRow(
        version=policy.version,
        rules=rules_to_json(policy.rules),
        bands=bands_to_json(known),
        author=author,
        created_at=now,
    )
    session.add(row)
    session.flush()
    return policy


def switch_broadcasts(
    session: Session, quota: BroadcastQuota, *, author: str, now: datetime
) -> Policy:
    """Follow what the corp's administrator has set for broadcasts, in a new version."""
    return publish(session, with_quota(current(session).rules, quota), author=author, now=now)


def rules_to_json(rules: Sequence[Rule]) -> list[dict[str, Any]]:
    """Rules as plain data; `rules_from_json` gives the same rules back."""
    return [_to_json(rule) for rule in rules]


def rules_from_json(rows: Sequence[Mapping[str, Any]]) -> tuple[Rule, ...]:
    """Rules from plain data; refuses what cannot be meant, naming the rule."""
    return tuple(_from_json(row) for row in rows)


def bands_to_json(bands: Sequence[Band]) -> list[dict[str, Any]]:
    """Bands as plain data; `bands_from_json` gives the same bands back."""
    return [asdict(band) for band in bands]


def bands_from_json(rows: Sequence[Mapping[str, Any]]) -> tuple[Band, ...]:
    """Bands from plain data; refuses what cannot be meant, naming the band."""
    return tuple(_band(row) for row in rows)


def _band(row: Mapping[str, Any]) -> Band:
    try:
        return Band(**row)
    except TypeError as fault:
        raise BadBand(str(row.get("name", "")), f"cannot be read: {fault}.") from fault


_KINDS: dict[str, type[Rule]] = {
    "rolling_cap": RollingCap,
    "calendar_cap": CalendarCap,
    "min_gap": MinGap,
    "lifetime_cap": LifetimeCap,
    "quiet_hours": QuietHours,
    "grant": GrantRule,
    "never": Never,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}
_COMMON = ("name", "source", "selector", "is_platform", "is_shadow")
_IDS = ("brand_id", "campaign_id", "guide_id")
_READERS: dict[str, Callable[[Any], Any]] = {
    "period": Period,
    "start": time.fromisoformat,
    "end": time.fromisoformat,
    "holiday_start": time.fromisoformat,
    "holiday_end": time.fromisoformat,
}


def _to_json(rule: Rule) -> dict[str, Any]:
    own = {key: value for key, value in vars(rule).items() if key not in _COMMON}
    return {
        "kind": _NAMES[type(rule)],
        "name": rule.name,
        "source": rule.source,
        "is_platform": rule.is_platform,
        "is_shadow": rule.is_shadow,
        "selector": _selector_to_json(rule.selector),
        **{key: _plain(value) for key, value in own.items() if value is not None},
    }


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, time) else value


def _from_json(row: Mapping[str, Any]) -> Rule:
    facts = dict(row)
    name = str(facts.get("name", ""))
    kind = _KINDS.get(facts.pop("kind", ""))
    if kind is None:
        raise BadRule(name, f"needs a kind, one of: {', '.join(_KINDS)}.")
    selector = _selector_from_json(name, facts.pop("selector", {}))
    try:
        own = {key: _READERS.get(key, _as_is)(value) for key, value in facts.items()}
        return kind(selector=selector, **own)
    except (TypeError, ValueError) as fault:
        raise BadRule(name, f"cannot be read: {fault}.") from fault


def _as_is(value: Any) -> Any:
    return value


def _selector_to_json(selector: Selector) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    if selector.channels:
        facts["channels"] = sorted(selector.channels)
    if selector.categories:
        facts["categories"] = sorted(selector.categories)
    if selector.bands:
        facts["bands"] = sorted(selector.bands)
    ids = {name: getattr(selector, name) for name in _IDS}
    return facts | {name: number for name, number in ids.items() if number is not None}


def _selector_from_json(rule: str, facts: Mapping[str, Any]) -> Selector:
    unknown = facts.keys() - {"channels", "categories", "bands", *_IDS}
    if unknown:
        raise BadRule(rule, f"selects by {', '.join(sorted(unknown))}, which no touch has.")
    empty = [key for key, value in facts.items() if value in ([], None, "")]
    if empty:
        raise BadRule(rule, f"leaves {empty[0]} blank; name one or leave the line out.")
    try:
        return Selector(
            channels=frozenset(Channel(name) for name in facts.get("channels", ())),
            categories=frozenset(Category(name) for name in facts.get("categories", ())),
            bands=frozenset(facts.get("bands", ())),
            **{name: facts.get(name) for name in _IDS},
        )
    except ValueError as fault:
        raise BadRule(rule, f"cannot be read: {fault}.") from fault
