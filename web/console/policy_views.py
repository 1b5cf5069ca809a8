"""The gate's rules as headquarters reads them: sentences, versions, drafts, and replays."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import zip_longest
from typing import Any

from sqlmodel import Session, col, select

from content.rule_readings import KIND_NAMES, Names, source, title, what, whom
from fatigue import policies, policy_drafts
from fatigue.policy_drafts import Change, RuleData
from store.campaigns import Campaign
from store.organisation import Brand, Guide, Operator
from store.policies import Policy as PolicyRow
from store.policies import PolicyDraft

VERSIONS = 20
_ACTOR = "operator:"


@dataclass(frozen=True, slots=True)
class RuleView:
    """One rule in words."""

    name: str
    title: str
    kind: str
    whom: str
    what: str
    source: str
    is_platform: bool
    is_shadow: bool


@dataclass(frozen=True, slots=True)
class ChangeView:
    """What became of one rule: without `before` it is new, without `after` it is gone."""

    title: str
    before: RuleView | None
    after: RuleView | None


@dataclass(frozen=True, slots=True)
class VersionView:
    """Who published a version and when, and what it changed against the one before."""

    version: int
    author: str
    at: datetime | None
    changes: Sequence[ChangeView]


@dataclass(frozen=True, slots=True)
class DraftView:
    """A draft as it stands in a list; `is_outdated` when somebody published since."""

    token: str
    author: str
    changed_at: datetime
    is_outdated: bool


@dataclass(frozen=True, slots=True)
class PolicyView:
    """The page of all rules: those in force, the newest versions first, and the open drafts."""

    version: int
    rules: Sequence[RuleView]
    versions: Sequence[VersionView]
    drafts: Sequence[DraftView]


def read(session: Session) -> PolicyView:
    """The rules in force with their history, in the same number of queries whatever there is."""
    policy = policies.current(session)
    rules = policies.rules_to_json(policy.rules)
    rows = _rows(session)
    drafts = policy_drafts.all_drafts(session)
    names = names_of(session, [rules, *(row.rules for row in rows)])
    people = _people(session, [*(row.author for row in rows), *(one.author for one in drafts)])
    return PolicyView(
        policy.version,
        views(rules, names),
        [
            VersionView(row.version, _who(people, row.author), row.created_at, changes)
            for row, changes in _with_changes(rows, names)
        ],
        [_draft(one, policy.version, people) for one in drafts],
    )


def compared(session: Session, version: int, against: int) -> Sequence[ChangeView]:
    """What differs between two versions."""
    before = policy_drafts.rules_of(session, against)
    after = policy_drafts.rules_of(session, version)
    return changes_between(before, after, names_of(session, [before, after]))


def version_of(session: Session, version: int) -> tuple[VersionView, Sequence[RuleView]]:
    """One version with all its rules."""
    rules = policy_drafts.rules_of(session, version)
    row = session.exec(select(PolicyRow).where(PolicyRow.version == version)).first()
    people = _people(session, [row.author] if row else [])
    author, at = (_who(people, row.author), row.created_at) if row else ("", None)
    names = names_of(session, [rules])
    return VersionView(version, author, at, ()), views(rules, names)


def changes_between(
    before: Sequence[RuleData], after: Sequence[RuleData], names: Names
) -> list[ChangeView]:
    """What differs between two rule sets, in words."""
    return [_change(one, names) for one in policy_drafts.diff(before, after)]


def views(rules: Iterable[RuleData], names: Names) -> list[RuleView]:
    """Rules in words: the house's own first, for those can be changed."""
    return sorted((view(rule, names) for rule in rules), key=lambda found: found.is_platform)


def view(rule: RuleData, names: Names) -> RuleView:
    """One rule in words."""
    return RuleView(
        name=rule["name"],
        title=title(rule["name"]),
        kind=KIND_NAMES[rule["kind"]],
        whom=whom(rule, names),
        what=what(rule),
        source=source(rule["source"]),
        is_platform=rule["is_platform"],
        is_shadow=rule.get("is_shadow", False),
    )


def names_of(session: Session, rule_sets: Iterable[Sequence[RuleData]]) -> Names:
    """Names of the brands, campaigns and guides that any of these rules speaks of."""
    selectors = [rule["selector"] for rules in rule_sets for rule in rules]
    return Names(
        *(
            _named(session, table, {found[key] for found in selectors if key in found})
            for table, key in ((Brand, "brand_id"), (Campaign, "campaign_id"), (Guide, "guide_id"))
        )
    )


def _named(
    session: Session, table: type[Brand | Campaign | Guide], keys: set[int]
) -> dict[int, str]:
    query = select(table.id, table.name).where(col(table.id).in_(keys))
    return dict(session.exec(query).all())


def _rows(session: Session) -> list[PolicyRow]:
    """The newest versions, and one more to compare the last of them with."""
    query = select(PolicyRow).order_by(col(PolicyRow.version).desc()).limit(VERSIONS + 1)
    return list(session.exec(query).all())


def _with_changes(
    rows: Sequence[PolicyRow], names: Names
) -> list[tuple[PolicyRow, list[ChangeView]]]:
    pairs = list(zip_longest(rows, rows[1:]))[:VERSIONS]
    return [
        (row, changes_between(before.rules, row.rules, names) if before else [])
        for row, before in pairs
    ]


def _change(found: Change, names: Names) -> ChangeView:
    before = view(found.before, names) if found.before is not None else None
    after = view(found.after, names) if found.after is not None else None
    return ChangeView(title(found.name), before, after)


def _draft(draft: PolicyDraft, version: int, people: Mapping[str, str]) -> DraftView:
    is_outdated = draft.base_version != version
    return DraftView(draft.token, _who(people, draft.author), draft.changed_at, is_outdated)


def _people(session: Session, actors: Iterable[str]) -> dict[str, str]:
    """Names of operators by login."""
    logins = {actor.removeprefix(_ACTOR) for actor in actors}
    query = select(Operator.login, Operator.name).where(col(Operator.login).in_(logins))
    return dict(session.exec(query).all())


def _who(people: Mapping[str, str], actor: str) -> str:
    """The name of an operator; empty for the product itself."""
    login = actor.removeprefix(_ACTOR)
    return people.get(login, login if actor.startswith(_ACTOR) else "")


def brand_codes(session: Session) -> dict[str, int]:
    """Keys of brands by code, for the form."""
    return dict(session.exec(select(Brand.code, Brand.id).order_by(Brand.code)).all())


def choices(session: Session, campaign_ids: Iterable[int]) -> dict[str, Any]:
    """What a rule can be about: brands, and the newest campaigns with those that rules name."""
    brands = session.exec(select(Brand.code, Brand.name).order_by(Brand.code)).all()
    newest = select(Campaign.id).order_by(col(Campaign.id).desc()).limit(VERSIONS)
    query = (
        select(Campaign.token, Campaign.name, Campaign.id)
        .where(col(Campaign.id).in_(newest) | col(Campaign.id).in_(set(campaign_ids)))
        .order_by(col(Campaign.id).desc())
    )
    found = session.exec(query).all()
    return {
        "brands": [(code, name) for code, name in brands],
        "campaigns": [(token, name) for token, name, _ in found],
        "campaign_keys": {token: key for token, _, key in found},
    }
