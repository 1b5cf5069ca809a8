"""Policies: the rules in force, their versions, and how they are kept as plain data (design.md §8).

The newest row of `policies` counts. Until somebody publishes another, version 1 is `DEFAULT_RULES`.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, time
from functools import lru_cache
from typing import Any

from sqlalchemy import text
from sqlalchemy.dialects import postgresql
from sqlmodel import Session, col, select

from fatigue.rules import (
    DAYS_IN_PERIOD,
    BadRule,
    CalendarCap,
    GrantRule,
    LifetimeCap,
    MinGap,
    Period,
    Policy,
    QuietHours,
    RollingCap,
    Rule,
    Selector,
)
from store.grants import TERMS, Trigger
from store.policies import Policy as PolicyRow
from store.touches import Category, Channel

_HOUR = 3600
_DAY = 24 * _HOUR
_HOUSE = "the house's own manners (design.md §8)"
_UNASKED = Selector(categories=frozenset({Category.MARKETING, Category.CARE}))
_MARKETING = Selector(categories=frozenset({Category.MARKETING}))
_TO_MEMBERS = frozenset({Channel.WECHAT_SERVICE, Channel.WECHAT_NOTICE, Channel.WECOM_BROADCAST})
_MESSAGE, _ACCEPTANCE = TERMS[Trigger.MESSAGE], TERMS[Trigger.ACCEPTANCE]

DEFAULT_RULES: tuple[Rule, ...] = (
    CalendarCap(name="daily_cap", source=_HOUSE, selector=_UNASKED, cap=1, period=Period.DAY),
    RollingCap(name="weekly_cap", source=_HOUSE, selector=_UNASKED, cap=3, seconds=7 * _DAY),
    RollingCap(
        name="marketing_weekly_cap", source=_HOUSE, selector=_MARKETING, cap=2, seconds=7 * _DAY
    ),
    MinGap(name="min_gap", source=_HOUSE, seconds=4 * _HOUR),
    QuietHours(
        name="quiet_hours",
        source=_HOUSE,
        selector=Selector(channels=_TO_MEMBERS),
        start=time(22),
        end=time(8),
    ),
    # Shorter grants (3 messages in 1 minute after a menu tap, follow or scan) say so themselves.
    GrantRule(
        name="wechat_service_grant",
        source="WeChat, customer-service messages, in force since 2023-06-12: 5 in 48 hours",
        selector=Selector(channels=frozenset({Channel.WECHAT_SERVICE})),
        is_platform=True,
        allowance=_MESSAGE.allowance,
        seconds=_MESSAGE.seconds,
    ),
    GrantRule(
        name="wechat_notice_grant",
        source="WeChat, subscription notices, one-time: one acceptance is one message",
        selector=Selector(channels=frozenset({Channel.WECHAT_NOTICE})),
        is_platform=True,
        allowance=_ACCEPTANCE.allowance,
        seconds=_ACCEPTANCE.seconds,
    ),
    CalendarCap(
        name="wecom_broadcast_monthly",
        source="WeCom page 92135, 2026-02: per customer as many broadcasts a month as it has days",
        selector=Selector(channels=frozenset({Channel.WECOM_BROADCAST})),
        is_platform=True,
        cap=DAYS_IN_PERIOD,
        period=Period.MONTH,
        zone="Asia/Shanghai",
    ),
)
DEFAULT = Policy(1, DEFAULT_RULES)
_NEWEST = text("""
    SELECT version, CAST(rules AS text) AS rules FROM policies ORDER BY version DESC LIMIT 1
""")


def current(session: Session) -> Policy:
    """The policy in force; version 1 is `DEFAULT` as long as no row was written."""
    row = session.connection().execute(_NEWEST).first()
    return DEFAULT if row is None else _policy(row.version, row.rules)


@lru_cache(maxsize=32)
def _policy(version: int, rules: str) -> Policy:
    """Read once: the words of a policy are its key, so no cache can be older than its row."""
    return Policy(version, rules_from_json(json.loads(rules)))


def seed(session: Session, *, now: datetime) -> None:
    """Write version 1 where there is none yet; harmless when repeated or done twice at once."""
    row = {"version": 1, "rules": rules_to_json(DEFAULT_RULES), "author": "zhiyin"}
    insert = postgresql.insert(PolicyRow).values(**row, created_at=now)
    session.exec(insert.on_conflict_do_nothing(index_elements=["version"]))


def publish(session: Session, rules: Sequence[Rule], *, author: str, now: datetime) -> Policy:
    """Put a new version in force for every decision from now on, also over touches already sent."""
    seed(session, now=now)
    # Publishers take turns: the newest row is the lock.
    newest = select(PolicyRow).order_by(col(PolicyRow.version).desc()).limit(1).with_for_update()
    version = session.exec(newest).one().version + 1
    policy = Policy(version, tuple(rules))
    session.add(
        PolicyRow(version=version, rules=rules_to_json(rules), author=author, created_at=now)
    )
    session.flush()
    return policy


def rules_to_json(rules: Sequence[Rule]) -> list[dict[str, Any]]:
    """Rules as plain data; `rules_from_json` gives the same rules back."""
    return [_to_json(rule) for rule in rules]


def rules_from_json(rows: Sequence[Mapping[str, Any]]) -> tuple[Rule, ...]:
    """Rules from plain data; refuses what cannot be meant, naming the rule."""
    return tuple(_from_json(row) for row in rows)


_KINDS: dict[str, type[Rule]] = {
    "rolling_cap": RollingCap,
    "calendar_cap": CalendarCap,
    "min_gap": MinGap,
    "lifetime_cap": LifetimeCap,
    "quiet_hours": QuietHours,
    "grant": GrantRule,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}
_COMMON = ("name", "source", "selector", "is_platform")
_READERS: dict[str, Callable[[Any], Any]] = {
    "period": Period,
    "start": time.fromisoformat,
    "end": time.fromisoformat,
}


def _to_json(rule: Rule) -> dict[str, Any]:
    own = {key: value for key, value in vars(rule).items() if key not in _COMMON}
    return {
        "kind": _NAMES[type(rule)],
        "name": rule.name,
        "source": rule.source,
        "is_platform": rule.is_platform,
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
    if selector.brand_id is not None:
        facts["brand_id"] = selector.brand_id
    if selector.campaign_id is not None:
        facts["campaign_id"] = selector.campaign_id
    return facts


def _selector_from_json(rule: str, facts: Mapping[str, Any]) -> Selector:
    unknown = facts.keys() - {"channels", "categories", "brand_id", "campaign_id"}
    if unknown:
        raise BadRule(rule, f"selects by {', '.join(sorted(unknown))}, which no touch has.")
    empty = [key for key, value in facts.items() if value in ([], None, "")]
    if empty:
        raise BadRule(rule, f"leaves {empty[0]} blank; name one or leave the line out.")
    try:
        return Selector(
            channels=frozenset(Channel(name) for name in facts.get("channels", ())),
            categories=frozenset(Category(name) for name in facts.get("categories", ())),
            brand_id=facts.get("brand_id"),
            campaign_id=facts.get("campaign_id"),
        )
    except ValueError as fault:
        raise BadRule(rule, f"cannot be read: {fault}.") from fault
