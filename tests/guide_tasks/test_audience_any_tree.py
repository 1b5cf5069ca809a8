"""Any tree yields in SQL exactly the members that a plain reading of it yields."""

import operator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlmodel import Session

from guide_tasks import audience
from store.levels import Level
from store.members import Member
from store.orders import MemberFacts
from store.organisation import Guide, Shop
from store.relations import Ownership
from store.tags import MemberTag, Tag, TagSource
from tests.builders import a_guide, a_level, a_member, a_shop, a_tag, a_touch

_MEMBERS = 60
_COMPARE = {
    "<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
    ">=": operator.ge,
    ">": operator.gt,
}
_NUMBERS = ["orders_count", "spent_fen", "spent_365_fen", "interval_days"]
_DAYS = {"recency_days": "last_order", "first_order_days": "first_order", "joined_days": "joined"}
_CODES = {
    "level": ["gold", "silver"],
    "shop": ["east", "west"],
    "tag": ["baby", "cat", "dog"],
    "favourite_category": ["牛奶", "茶叶", "面包"],
}


@dataclass
class Person:
    """A member as the test knows them; days are ages, None is not known."""

    member_id: int
    orders_count: int | None = None
    spent_fen: int | None = None
    spent_365_fen: int | None = None
    interval_days: float | None = None
    last_order: int | None = None
    first_order: int | None = None
    joined: int | None = None
    touched: int | None = None
    has_guide: bool = False
    codes: dict[str, set[str]] = field(default_factory=dict)


@dataclass
class _House:
    levels: dict[str, Level]
    shops: dict[str, Shop]
    tags: dict[str, Tag]
    guide: Guide


def a_house(session: Session) -> _House:
    return _House(
        {code: a_level(session, code=code) for code in _CODES["level"]},
        {code: a_shop(session, code=code) for code in _CODES["shop"]},
        {code: a_tag(session, code=code) for code in _CODES["tag"]},
        a_guide(session),
    )


def a_person(session: Session, house: _House, dice: Random, now: datetime) -> Person:
    """A member of whom much, little or nothing is known."""
    level, shop = (dice.choice([*_CODES[fact], None]) for fact in ("level", "shop"))
    joined = dice.choice([None, *range(5)])
    member = a_member(
        session,
        level_id=house.levels[level].id if level else None,
        shop_id=house.shops[shop].id if shop else None,
        joined_at=None if joined is None else now - timedelta(days=joined),
    )
    person = Person(member.id, joined=joined, touched=dice.choice([None, None, *range(5)]))
    person.codes = {"level": {level or ""}, "shop": {shop or ""}}
    person.codes["tag"] = set(dice.sample(_CODES["tag"], dice.randrange(3)))
    person.has_guide = dice.random() < 0.5
    _relate(session, house, person, member, now)
    if dice.random() < 0.8:
        _remember(session, person, dice, now)
    return person


def _relate(session: Session, house: _House, person: Person, member: Member, now: datetime) -> None:
    for code in person.codes["tag"]:
        tag_id = house.tags[code].id
        session.add(
            MemberTag(member_id=member.id, tag_id=tag_id, source=TagSource.GIVEN, tagged_at=now)
        )
    if person.has_guide:
        session.add(Ownership(member_id=member.id, guide_id=house.guide.id, since=now))
    if person.touched is not None:
        a_touch(session, member, now=now - timedelta(days=person.touched))


def _remember(session: Session, person: Person, dice: Random, now: datetime) -> None:
    """Facts with few different values, so that borders are met often."""
    person.orders_count = dice.randrange(5)
    person.spent_fen, person.spent_365_fen = dice.randrange(5), dice.randrange(5)
    person.interval_days = dice.choice([None, 1.0, 2.0, 3.0])
    if person.orders_count:
        person.last_order = dice.randrange(5)
        person.first_order = person.last_order + dice.randrange(3)
    person.codes["favourite_category"] = set(
        dice.sample(_CODES["favourite_category"], dice.randrange(4))
    )
    session.add(
        MemberFacts(
            member_id=person.member_id,
            orders_count=person.orders_count,
            spent_fen=person.spent_fen,
            spent_365_fen=person.spent_365_fen,
            interval_days=person.interval_days,
            first_order_at=_ago(person.first_order, now),
            last_order_at=_ago(person.last_order, now),
            favourite_categories=sorted(person.codes["favourite_category"]),
            updated_at=now,
        )
    )


def _ago(days: int | None, now: datetime) -> datetime | None:
    return None if days is None else now - timedelta(days=days)


def scores(people: list[Person]) -> dict[str, dict[int, int]]:
    """Quintiles as SQL's ntile deals them: the first groups get the ones that are left over."""
    buyers = [person for person in people if person.orders_count]
    ranked = {
        "r_score": sorted(buyers, key=lambda p: (-(p.last_order or 0), p.member_id)),
        "f_score": sorted(buyers, key=lambda p: (p.orders_count or 0, p.member_id)),
        "m_score": sorted(buyers, key=lambda p: (p.spent_365_fen or 0, p.member_id)),
    }
    return {name: _fifths([p.member_id for p in order]) for name, order in ranked.items()}


def _fifths(ids: list[int]) -> dict[int, int]:
    size, larger = divmod(len(ids), 5)
    found: dict[int, int] = {}
    start = 0
    for score in range(1, 6):
        end = start + size + (score <= larger)
        found |= dict.fromkeys(ids[start:end], score)
        start = end
    return found


def is_in(tree: dict[str, Any], person: Person, score: dict[str, dict[int, int]]) -> bool:
    """The plain reading: what is not known is not so."""
    if "all" in tree:
        return all(is_in(node, person, score) for node in tree["all"])
    if "any" in tree:
        # An empty list asks for nothing.
        return not tree["any"] or any(is_in(node, person, score) for node in tree["any"])
    if "not" in tree:
        return not is_in(tree["not"], person, score)
    return _is_so(tree["fact"], tree["op"], tree["value"], person, score)


def _is_so(
    fact: str, op: str, value: Any, person: Person, score: dict[str, dict[int, int]]
) -> bool:
    if fact == "has_guide":
        return person.has_guide is value
    if fact == "days_since_touch":
        return person.touched is None or person.touched >= value
    if fact in _CODES:
        return bool(person.codes.get(fact, set()) & set(value))
    if fact in score:
        known = score[fact].get(person.member_id)
    else:
        known = getattr(person, _DAYS.get(fact, fact))
    return known is not None and bool(_COMPARE[op](known, value))


def _leaf(fact: str, op: str, value: Any) -> dict[str, Any]:
    return {"fact": fact, "op": op, "value": value}


_WORDS = st.sampled_from(sorted(_CODES)).flatmap(
    lambda fact: st.builds(
        _leaf, st.just(fact), st.just("in"), st.lists(st.sampled_from(_CODES[fact]), min_size=1)
    )
)
_MEASURES = st.builds(
    _leaf,
    st.sampled_from([*_NUMBERS, *_DAYS, "r_score", "f_score", "m_score"]),
    st.sampled_from(sorted(_COMPARE)),
    st.integers(0, 5),
)
_LEAVES = st.one_of(
    _WORDS,
    _MEASURES,
    st.builds(_leaf, st.just("has_guide"), st.just("="), st.booleans()),
    st.builds(_leaf, st.just("days_since_touch"), st.just(">="), st.integers(0, 5)),
)
TREES = st.recursive(
    _LEAVES,
    lambda nodes: st.one_of(
        st.builds(lambda some: {"all": some}, st.lists(nodes, max_size=3)),
        st.builds(lambda some: {"any": some}, st.lists(nodes, max_size=3)),
        st.builds(lambda one: {"not": one}, nodes),
    ),
    max_leaves=8,
).filter(lambda tree: _depth(tree) <= audience.MAX_DEPTH)


def _depth(tree: dict[str, Any]) -> int:
    inner = tree.get("all", tree.get("any", [tree["not"]] if "not" in tree else []))
    return 1 + max(map(_depth, inner), default=-1) if inner else 0


def test_any_tree_yields_whom_its_plain_reading_yields(session: Session, now: datetime) -> None:
    # A seed, so that a failure comes back.
    dice = Random(7)  # noqa: S311 -- test data, no secret
    house = a_house(session)
    people = [a_person(session, house, dice, now) for _ in range(_MEMBERS)]
    session.flush()
    score = scores(people)

    @settings(max_examples=200)
    @given(TREES)
    def agree(tree: dict[str, Any]) -> None:
        found = set(session.exec(audience.members_of(tree, now=now)).all())
        expected = {person.member_id for person in people if is_in(tree, person, score)}
        assert found == expected

    agree()
