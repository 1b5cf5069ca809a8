"""Drafts of a policy: rules put in, taken out and published, once somebody saw what they would do.

Rules are plain data here, as `policies.rules_to_json` writes them. Platform rules are not the
house's to change.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlmodel import Session, col, delete, select

from fatigue import policies
from fatigue.rules import Policy
from store.audit import note
from store.errors import NotAllowed, NotFound, WrongState
from store.policies import Policy as PolicyRow
from store.policies import PolicyDraft, PolicyReplay, ReplayState

RuleData = Mapping[str, Any]


class PlatformRuleFixed(NotAllowed):
    """A rule of a platform was to be changed, removed or made."""

    def __init__(self, rule: str) -> None:
        self.rule = rule
        super().__init__(f"The rule {rule!r} is a platform's; the house cannot change it.")


class NameTaken(NotAllowed):
    """Another rule of the draft has this name."""

    def __init__(self, rule: str) -> None:
        self.rule = rule
        super().__init__(f"Another rule is called {rule!r} already.")


class DraftOutdated(WrongState):
    """Somebody published another version after this draft was begun."""

    def __init__(self, base_version: int) -> None:
        self.base_version = base_version
        super().__init__("policy draft", f"based on version {base_version}", "published")


class NotReplayed(WrongState):
    """A draft whose effect nobody has seen cannot be published."""

    def __init__(self) -> None:
        super().__init__("policy draft", "not replayed", "published")


@dataclass(frozen=True, slots=True)
class Change:
    """One rule that differs: without `before` it is new, without `after` it is gone."""

    name: str
    before: RuleData | None
    after: RuleData | None


def begin(session: Session, *, author: str, now: datetime) -> PolicyDraft:
    """A draft of the policy in force."""
    policy = policies.current(session)
    rules = policies.rules_to_json(policy.rules)
    draft = PolicyDraft(
        base_version=policy.version, rules=rules, author=author, created_at=now, changed_at=now
    )
    session.add(draft)
    session.flush()
    return draft


def by_token(session: Session, token: str) -> PolicyDraft:
    """The draft behind a token."""
    draft = session.exec(select(PolicyDraft).where(PolicyDraft.token == token)).first()
    if draft is None:
        raise NotFound("There is no such policy draft.")
    return draft


def all_drafts(session: Session) -> list[PolicyDraft]:
    """Every draft, the one changed last first."""
    query = select(PolicyDraft).order_by(
        col(PolicyDraft.changed_at).desc(), col(PolicyDraft.id).desc()
    )
    return list(session.exec(query).all())


def put_rule(
    session: Session,
    draft: PolicyDraft,
    rule: RuleData,
    *,
    instead_of: str | None = None,
    now: datetime,
) -> None:
    """Add a rule, or put it in the place of another; refuses one that cannot be meant."""
    (read,) = policies.rules_from_json([rule])
    (fresh,) = policies.rules_to_json([read])
    if fresh["is_platform"]:
        raise PlatformRuleFixed(fresh["name"])
    _lock(session, draft)
    rules = list(draft.rules)
    place = len(rules) if instead_of is None else _place(draft, instead_of)
    if any(row["name"] == fresh["name"] for n, row in enumerate(rules) if n != place):
        raise NameTaken(fresh["name"])
    rules[place : place + 1] = [fresh]
    _change(session, draft, rules, now)


def drop_rule(session: Session, draft: PolicyDraft, name: str, *, now: datetime) -> None:
    """Take a rule out."""
    _lock(session, draft)
    place = _place(draft, name)
    _change(session, draft, [*draft.rules[:place], *draft.rules[place + 1 :]], now)


def renew(session: Session, draft: PolicyDraft, *, now: datetime) -> None:
    """Make the draft's changes to the policy that is in force by now; nothing of them is lost."""
    _lock(session, draft)
    newest = policies.current(session)
    theirs = {row["name"]: row for row in policies.rules_to_json(newest.rules)}
    for change in diff(rules_of(session, draft.base_version), draft.rules):
        theirs.pop(change.name, None)
        if change.after is not None:
            theirs[change.name] = dict(change.after)
    draft.base_version = newest.version
    _change(session, draft, list(theirs.values()), now)


def publish(session: Session, draft: PolicyDraft, *, author: str, now: datetime) -> Policy:
    """Put the draft in force, and end it. Refuses one that was not replayed, or is outdated."""
    _lock(session, draft)
    replay = replay_of(session, draft)
    if replay is None or replay.state is not ReplayState.DONE:
        raise NotReplayed
    changes = [change.name for change in diff(rules_of(session, draft.base_version), draft.rules)]
    rules = policies.rules_from_json(draft.rules)
    policy = policies.publish(session, rules, author=author, now=now)
    # Publishers take turns, so whoever came between shows in the number.
    if policy.version != draft.base_version + 1:
        raise DraftOutdated(draft.base_version)
    subject = f"policy:{policy.version}"
    note(session, author, "policy.publish", subject=subject, now=now, changes=changes)
    session.delete(draft)
    return policy


def discard(session: Session, draft: PolicyDraft) -> None:
    """Throw the draft away."""
    session.delete(draft)


def policy_of(session: Session, draft: PolicyDraft) -> Policy:
    """The draft as the gate would read it."""
    in_force = policies.current(session)
    rules = policies.rules_from_json(draft.rules)
    return Policy(in_force.version + 1, rules, in_force.bands)


def replay_of(session: Session, draft: PolicyDraft) -> PolicyReplay | None:
    """The replay of the draft as it is now."""
    query = select(PolicyReplay).where(PolicyReplay.draft_id == draft.id)
    return session.exec(query.execution_options(populate_existing=True)).first()


def rules_of(session: Session, version: int) -> list[dict[str, Any]]:
    """The rules of a version; version 1 needs no row as long as nobody published another."""
    row = session.exec(select(PolicyRow).where(PolicyRow.version == version)).first()
    if row is not None:
        return row.rules
    if version == policies.DEFAULT.version:
        return policies.rules_to_json(policies.DEFAULT_RULES)
    raise NotFound(f"There is no version {version} of the policy.")


def diff(before: Sequence[RuleData], after: Sequence[RuleData]) -> list[Change]:
    """What differs between two rule sets, in the order of the new one; what is gone comes last."""
    old = {row["name"]: row for row in before}
    new = {row["name"]: row for row in after}
    found = [Change(name, old.get(name), row) for name, row in new.items() if old.get(name) != row]
    return found + [Change(name, row, None) for name, row in old.items() if name not in new]


def _lock(session: Session, draft: PolicyDraft) -> None:
    session.refresh(draft, with_for_update=True)


def _place(draft: PolicyDraft, name: str) -> int:
    """Where a rule stands that the house may change."""
    for place, row in enumerate(draft.rules):
        if row["name"] == name:
            if row["is_platform"]:
                raise PlatformRuleFixed(name)
            return place
    raise NotFound(f"The draft has no rule {name!r}.")


def _change(
    session: Session, draft: PolicyDraft, rules: list[dict[str, Any]], now: datetime
) -> None:
    """Write the rules; what a replay said about others is no longer true."""
    draft.rules, draft.changed_at = rules, now
    session.exec(delete(PolicyReplay).where(col(PolicyReplay.draft_id) == draft.id))
    session.flush()
