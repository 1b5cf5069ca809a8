"""Audiences: a condition tree over members, compiled to one SQL query (design.md §11).

A tree is `{"all": [...]}`, `{"any": [...]}`, `{"not": tree}` or a leaf `{"fact", "op", "value"}`.
Facts in days are counted back from `now`; money is fen. `r_score`, `f_score` and `m_score` are
quintiles 1 to 5 (5 is best) of recency, orders and money in 365 days over all active members who
ever bought.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import eq, ge, gt, le, lt
from typing import Any

from sqlalchemy import ColumnElement, Subquery, and_, exists, func, not_, or_, true
from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from content.form_words import AudienceFault
from guide_tasks.audience_facts import CLAIMS, DAYS, NUMBERS, SCORES, WORDS, quintiles
from store.errors import Refusal
from store.members import Member, MemberStatus
from store.orders import MemberFacts
from store.touches import COUNTED, Touch

MAX_DEPTH = 6
_LEAF = frozenset({"fact", "op", "value"})
# A century of days, and a number that every column can be compared with.
_MOST_DAYS = 36_500
_MOST = 10**15
_JOINS: dict[str, Callable[..., ColumnElement[bool]]] = {"all": and_, "any": or_}
_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {"<=": le, ">=": ge, "<": lt, ">": gt, "=": eq}


class BadAudience(Refusal):
    """A condition tree that cannot be read; `where` is the path to the faulty node."""

    def __init__(self, where: str, fault: AudienceFault, problem: str, **facts: object) -> None:
        self.where, self.fault, self.problem, self.facts = where, fault, problem, facts
        super().__init__(f"The audience is not valid at {where}: {problem}")


@dataclass(frozen=True, slots=True)
class _Leaf:
    fact: str
    op: str
    value: Any
    where: str


def members_of(
    tree: dict[str, Any], *, now: datetime, limit: int | None = None
) -> SelectOfScalar[int]:
    """The query that yields ids of active members; with `limit`, the best customers first."""
    scores = quintiles() if _names_score(tree) else None
    query = (
        select(Member.id)
        .join(MemberFacts, col(MemberFacts.member_id) == Member.id, isouter=True)
        .where(Member.status == MemberStatus.ACTIVE)
    )
    if scores is not None:
        query = query.join(scores, scores.c.member_id == Member.id, isouter=True)
    query = query.where(_compile(tree, scores, now, "audience", 0))
    if limit is not None:
        query = query.order_by(
            col(MemberFacts.spent_365_fen).desc().nulls_last(), col(Member.id)
        ).limit(limit)
    return query


def count(
    session: Session, tree: dict[str, Any], *, now: datetime, limit: int | None = None
) -> int:
    """How many members the tree describes."""
    inner = members_of(tree, now=now, limit=limit).subquery()
    return session.exec(select(func.count()).select_from(inner)).one()


def _compile(
    tree: Any, scores: Subquery | None, now: datetime, where: str, depth: int
) -> ColumnElement[bool]:
    if not isinstance(tree, dict):
        raise BadAudience(where, AudienceFault.NOT_A_NODE, "a node must be an object")
    if depth > MAX_DEPTH:
        problem = f"nesting is deeper than {MAX_DEPTH}"
        raise BadAudience(where, AudienceFault.TOO_DEEP, problem, most=MAX_DEPTH)
    if len(tree) == 1 and _JOINS.keys() >= tree.keys():
        word, nodes = next(iter(tree.items()))
        return _branch(nodes, _JOINS[word], scores, now, f"{where}.{word}", depth)
    if tree.keys() == {"not"}:
        # What is not known about a member is not so, and its opposite is.
        inner = _compile(tree["not"], scores, now, f"{where}.not", depth + 1)
        return not_(func.coalesce(inner, False))
    return _leaf(_read_leaf(tree, where), scores, now)


def _branch(
    nodes: Any,
    join: Callable[..., ColumnElement[bool]],
    scores: Subquery | None,
    now: datetime,
    where: str,
    depth: int,
) -> ColumnElement[bool]:
    if not isinstance(nodes, list):
        raise BadAudience(where, AudienceFault.NOT_A_LIST, "a list of nodes is expected")
    parts = [
        _compile(node, scores, now, f"{where}[{i}]", depth + 1) for i, node in enumerate(nodes)
    ]
    return join(*parts) if parts else true()


def _read_leaf(tree: dict[str, Any], where: str) -> _Leaf:
    missing, extra = sorted(_LEAF - tree.keys()), sorted(map(str, tree.keys() - _LEAF))
    if extra:
        known = "a node is one of all, any, not, or a leaf of fact, op and value"
        names = ", ".join(extra)
        problem = f"{names} does not belong here; {known}"
        raise BadAudience(where, AudienceFault.EXTRA, problem, names=names)
    if missing:
        names = ", ".join(missing)
        raise BadAudience(where, AudienceFault.MISSING, f"{names} missing", names=names)
    return _Leaf(str(tree["fact"]), str(tree["op"]), tree["value"], where)


def _leaf(leaf: _Leaf, scores: Subquery | None, now: datetime) -> ColumnElement[bool]:
    if leaf.fact in NUMBERS:
        return _compare(NUMBERS[leaf.fact], leaf)
    if leaf.fact in DAYS:
        return _compare_days(DAYS[leaf.fact], leaf, now)
    if leaf.fact in SCORES and scores is not None:
        return _compare(scores.c[leaf.fact], leaf)
    if leaf.fact in WORDS:
        return WORDS[leaf.fact](_words(leaf), now)
    if leaf.fact in CLAIMS:
        return _claim(leaf)
    if leaf.fact == "days_since_touch":
        return _untouched_for(leaf, now)
    known = ", ".join(
        sorted(
            [
                *NUMBERS,
                *DAYS,
                *SCORES,
                *WORDS,
                *CLAIMS,
                "days_since_touch",
            ]
        )
    )
    problem = f"fact {leaf.fact!r} is not one of {known}"
    raise _bad(leaf, AudienceFault.UNKNOWN_FACT, problem, known=known)


def _bad(leaf: _Leaf, fault: AudienceFault, problem: str, **facts: object) -> BadAudience:
    return BadAudience(leaf.where, fault, problem, fact=leaf.fact, op=leaf.op, **facts)


def _number(leaf: _Leaf) -> float:
    if isinstance(leaf.value, bool) or not isinstance(leaf.value, int | float):
        problem = f"the value of {leaf.fact} must be a number"
        raise _bad(leaf, AudienceFault.NOT_A_NUMBER, problem)
    if not abs(leaf.value) <= _MOST:
        problem = f"the value of {leaf.fact} must be at most {_MOST}"
        raise _bad(leaf, AudienceFault.TOO_LARGE, problem)
    return leaf.value


def _before(leaf: _Leaf, now: datetime) -> datetime:
    """The instant so many days ago."""
    days = _number(leaf)
    if not 0 <= days <= _MOST_DAYS:
        problem = f"{leaf.fact} takes 0 to {_MOST_DAYS} days"
        raise _bad(leaf, AudienceFault.NOT_DAYS, problem, most=_MOST_DAYS)
    return now - timedelta(days=days)


def _comparison(leaf: _Leaf) -> Callable[[Any, Any], Any]:
    if leaf.op not in _COMPARISONS:
        known = " ".join(_COMPARISONS)
        problem = f"op {leaf.op!r} is not one of {known}"
        raise _bad(leaf, AudienceFault.UNKNOWN_OP, problem, known=known)
    return _COMPARISONS[leaf.op]


def _compare(column: Any, leaf: _Leaf) -> ColumnElement[bool]:
    result: ColumnElement[bool] = _comparison(leaf)(column, _number(leaf))
    return result


def _compare_days(column: Any, leaf: _Leaf, now: datetime) -> ColumnElement[bool]:
    # "Days since" grows as the instant gets earlier, so the comparison turns around.
    turned = {"<=": ">=", ">=": "<=", "<": ">", ">": "<", "=": "="}
    _comparison(leaf)
    result: ColumnElement[bool] = _COMPARISONS[turned[leaf.op]](column, _before(leaf, now))
    return result


def _words(leaf: _Leaf) -> list[str]:
    values = leaf.value if isinstance(leaf.value, list) else [leaf.value]
    if leaf.op not in {"in", "="} or not values or not all(isinstance(v, str) for v in values):
        problem = f"{leaf.fact} takes op 'in' and a list of codes"
        raise _bad(leaf, AudienceFault.NOT_CODES, problem)
    return values


def _claim(leaf: _Leaf) -> ColumnElement[bool]:
    if leaf.op != "=" or not isinstance(leaf.value, bool):
        problem = f"{leaf.fact} takes op '=' and true or false"
        raise _bad(leaf, AudienceFault.NOT_A_CLAIM, problem)
    claim = CLAIMS[leaf.fact]()
    return claim if leaf.value else not_(claim)


def _untouched_for(leaf: _Leaf, now: datetime) -> ColumnElement[bool]:
    """Members without a counted touch in the last `value` days; only `>=` makes sense here."""
    if leaf.op != ">=":
        raise _bad(leaf, AudienceFault.NOT_AT_LEAST, "days_since_touch takes op '>='")
    since = _before(leaf, now)
    return not_(
        exists().where(
            col(Touch.member_id) == Member.id,
            col(Touch.state).in_(COUNTED),
            col(Touch.counted_at) > since,
        )
    )


def _names_score(tree: Any) -> bool:
    if isinstance(tree, dict):
        return tree.get("fact") in SCORES or any(_names_score(v) for v in tree.values())
    return isinstance(tree, list) and any(_names_score(v) for v in tree)
