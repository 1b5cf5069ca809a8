"""Audiences: what each fact means, who is never in one, and what is refused."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlmodel import Session

from content import form_words
from guide_tasks import audience
from guide_tasks.audience import BadAudience
from store.campaigns import Arm, AudienceMember
from store.members import IdentityChannel, Member, MemberStatus
from store.orders import MemberFacts
from store.organisation import GuideStatus
from store.relations import Ownership
from store.tags import MemberTag, TagSource
from store.touches import TouchState
from tests.builders import (
    a_campaign,
    a_guide,
    a_level,
    a_member,
    a_shop,
    a_tag,
    a_touch,
    an_identity,
)
from tests.guide_tasks.people import befriend

EVERYBODY: dict[str, Any] = {"all": []}


def leaf(fact: str, op: str, value: Any) -> dict[str, Any]:
    return {"fact": fact, "op": op, "value": value}


def ids(
    session: Session, tree: dict[str, Any], now: datetime, limit: int | None = None
) -> set[int]:
    return set(session.exec(audience.members_of(tree, now=now, limit=limit)).all())


def a_buyer(session: Session, now: datetime, **facts: Any) -> Member:
    """A member with facts; `last` and `first` are days ago."""
    member = a_member(session, now=now)
    for name in ("first", "last"):
        if name in facts:
            facts[f"{name}_order_at"] = now - timedelta(days=facts.pop(name))
    session.add(MemberFacts(member_id=member.id, updated_at=now, **({"orders_count": 1} | facts)))
    session.flush()
    return member


@pytest.mark.parametrize(
    ("op", "expected"),
    [("<", [1]), ("<=", [1, 2]), ("=", [2]), (">=", [2, 3]), (">", [3])],
)
@pytest.mark.parametrize("fact", ["orders_count", "spent_fen", "spent_365_fen", "interval_days"])
def test_a_number_is_compared_as_it_says(
    session: Session, now: datetime, fact: str, op: str, expected: list[int]
) -> None:
    members = {value: a_buyer(session, now, **{fact: value}).id for value in (1, 2, 3)}
    a_member(session)

    found = ids(session, leaf(fact, op, 2), now)

    assert found == {members[value] for value in expected}


@pytest.mark.parametrize(
    ("op", "expected"),
    [("<", [1]), ("<=", [1, 2]), ("=", [2]), (">=", [2, 3]), (">", [3])],
)
@pytest.mark.parametrize(
    ("fact", "name"), [("recency_days", "last"), ("first_order_days", "first")]
)
def test_days_since_an_order_are_counted_back_from_now(
    session: Session, now: datetime, fact: str, name: str, op: str, expected: list[int]
) -> None:
    members = {days: a_buyer(session, now, **{name: days}).id for days in (1, 2, 3)}
    a_member(session)

    found = ids(session, leaf(fact, op, 2), now)

    assert found == {members[days] for days in expected}


def test_days_since_joining_leave_out_who_never_joined(session: Session, now: datetime) -> None:
    old = a_member(session, joined_at=now - timedelta(days=40))
    a_member(session, joined_at=now - timedelta(days=10))
    a_member(session, joined_at=None)

    assert ids(session, leaf("joined_days", ">=", 30), now) == {old.id}


def test_a_level_is_named_by_its_code(session: Session, now: datetime) -> None:
    gold, silver = a_level(session, code="gold"), a_level(session, code="silver")
    li = a_member(session, level_id=gold.id)
    a_member(session, level_id=silver.id)
    a_member(session)

    assert ids(session, leaf("level", "in", ["gold", "black"]), now) == {li.id}


def test_an_expired_tag_no_longer_counts(session: Session, now: datetime) -> None:
    tag = a_tag(session, code="baby")
    ends = {"none": None, "future": now + timedelta(seconds=1), "now": now}
    tagged = {name: a_member(session) for name in ends}
    for name, member in tagged.items():
        session.add(
            MemberTag(
                member_id=member.id,
                tag_id=tag.id,
                source=TagSource.GIVEN,
                tagged_at=now - timedelta(days=9),
                expires_at=ends[name],
            )
        )
    session.flush()

    assert ids(session, leaf("tag", "=", "baby"), now) == {tagged["none"].id, tagged["future"].id}


def test_a_shop_is_named_by_its_code(session: Session, now: datetime) -> None:
    here, there = a_shop(session, code="here"), a_shop(session, code="there")
    li = a_member(session, shop_id=here.id)
    a_member(session, shop_id=there.id)

    assert ids(session, leaf("shop", "in", ["here"]), now) == {li.id}


def test_any_of_the_favourite_categories_counts(session: Session, now: datetime) -> None:
    milk = a_buyer(session, now, favourite_categories=["牛奶", "面包"])
    tea = a_buyer(session, now, favourite_categories=["茶叶"])
    a_buyer(session, now, favourite_categories=["牛奶糖"])

    found = ids(session, leaf("favourite_category", "in", ["面包", "茶叶"]), now)

    assert found == {milk.id, tea.id}


def test_an_own_guide_counts_while_in_post(session: Session, now: datetime) -> None:
    wang, gone = a_guide(session), a_guide(session, status=GuideStatus.LEFT)
    li, zhao, sun = (a_member(session) for _ in range(3))
    session.add(Ownership(member_id=li.id, guide_id=wang.id, since=now))
    session.add(Ownership(member_id=zhao.id, guide_id=gone.id, since=now))
    session.add(Ownership(member_id=sun.id, guide_id=wang.id, since=now, until=now))
    session.flush()

    assert ids(session, leaf("has_guide", "=", True), now) == {li.id}
    assert ids(session, leaf("has_guide", "=", False), now) == {zhao.id, sun.id}


def test_a_friend_of_a_guide_is_one_while_the_contact_lasts(
    session: Session, now: datetime
) -> None:
    wang = a_guide(session)
    li, zhao = a_member(session), a_member(session)
    befriend(session, li, wang, now=now)
    befriend(session, zhao, wang, now=now).until = now
    session.flush()

    assert ids(session, leaf("is_friend_of_a_guide", "=", True), now) == {li.id}


def test_a_follower_has_an_openid_that_can_be_reached(session: Session, now: datetime) -> None:
    li, gone, wecom_only = (a_member(session) for _ in range(3))
    an_identity(session, li)
    an_identity(session, gone, is_reachable=False)
    an_identity(session, wecom_only, channel=IdentityChannel.WECOM)

    assert ids(session, leaf("follows_account", "=", True), now) == {li.id}


def test_who_was_in_a_campaign_before_is_known(session: Session, now: datetime) -> None:
    li, zhao = a_member(session), a_member(session)
    campaign = a_campaign(session)
    session.add(AudienceMember(campaign_id=campaign.id, member_id=li.id, arm=Arm.HOLDOUT))
    session.flush()

    assert ids(session, leaf("was_in_a_campaign", "=", False), now) == {zhao.id}


def test_days_since_the_last_touch_count_only_touches_that_may_have_arrived(
    session: Session, now: datetime
) -> None:
    li, zhao, sun = (a_member(session) for _ in range(3))
    a_touch(session, li, now=now - timedelta(days=7))
    a_touch(session, zhao, now=now - timedelta(days=7) + timedelta(seconds=1))
    a_touch(session, sun, now=now, state=TouchState.WITHHELD)

    assert ids(session, leaf("days_since_touch", ">=", 7), now) == {li.id, sun.id}


def test_scores_are_quintiles_of_all_who_ever_bought(session: Session, now: datetime) -> None:
    members = [
        a_buyer(session, now, last=100 - n, orders_count=n + 1, spent_365_fen=1000 - n).id
        for n in range(10)
    ]
    a_member(session)

    best_recency = ids(session, leaf("r_score", "=", 5), now)
    best_money = ids(session, leaf("m_score", ">=", 5), now)
    middle_frequency = ids(session, leaf("f_score", "=", 3), now)

    assert best_recency == set(members[8:])
    assert best_money == set(members[:2])
    assert middle_frequency == set(members[4:6])


def test_scores_are_not_moved_by_members_who_are_gone(session: Session, now: datetime) -> None:
    members = [a_buyer(session, now, orders_count=n).id for n in range(1, 6)]
    for _ in range(20):
        a_buyer(session, now, orders_count=99).status = MemberStatus.ERASED
    session.flush()

    assert ids(session, leaf("f_score", "=", 5), now) == {members[-1]}


def test_not_takes_in_those_of_whom_nothing_is_known(session: Session, now: datetime) -> None:
    a_buyer(session, now, last=3)
    stranger = a_member(session)
    recent = leaf("recency_days", "<=", 30)

    assert ids(session, {"not": recent}, now) == {stranger.id}
    assert ids(session, {"not": {"any": [recent, recent]}}, now) == {stranger.id}
    assert stranger.id not in ids(session, {"not": {"not": recent}}, now)


@pytest.mark.parametrize("status", [MemberStatus.MERGED, MemberStatus.ERASED])
def test_nobody_is_in_an_audience_who_was_merged_or_erased(
    session: Session, now: datetime, status: MemberStatus
) -> None:
    li, gone = a_buyer(session, now), a_buyer(session, now)
    gone.status = status
    session.flush()

    assert ids(session, EVERYBODY, now) == {li.id}
    assert ids(session, {"not": leaf("orders_count", ">", 5)}, now) == {li.id}


def test_a_limit_takes_the_best_customers(session: Session, now: datetime) -> None:
    members = [a_buyer(session, now, spent_365_fen=fen).id for fen in (50, 300, 100)]
    a_member(session)

    assert ids(session, EVERYBODY, now, limit=2) == {members[1], members[2]}
    assert audience.count(session, EVERYBODY, now=now, limit=2) == 2
    assert audience.count(session, EVERYBODY, now=now) == 4


def _deep(levels: int) -> dict[str, Any]:
    return {"not": _deep(levels - 1)} if levels else {"all": []}


@pytest.mark.parametrize(
    ("tree", "where", "says"),
    [
        ([], "audience", "must be an object"),
        ({}, "audience", "fact, op, value missing"),
        ({"all": {}}, "audience.all", "a list of nodes"),
        ({"any": [{"not": 3}]}, "audience.any[0].not", "must be an object"),
        ({"all": [], "any": []}, "audience", "a node is one of all, any, not, or a leaf"),
        (leaf("age", ">", 3), "audience", "'age' is not one of days_since_touch, f_score"),
        (leaf("orders_count", "~", 3), "audience", "op '~' is not one of <= >= < > ="),
        (leaf("orders_count", ">", "3"), "audience", "must be a number"),
        (leaf("orders_count", ">", True), "audience", "must be a number"),
        (leaf("orders_count", ">", float("nan")), "audience", "at most"),
        (leaf("spent_fen", ">", 1e300), "audience", "at most"),
        (leaf("recency_days", ">", 1e9), "audience", "0 to 36500 days"),
        (leaf("recency_days", "~", 3), "audience", "op '~'"),
        (leaf("days_since_touch", "<=", 3), "audience", "takes op '>='"),
        (leaf("level", ">", "gold"), "audience", "op 'in' and a list of codes"),
        (leaf("tag", "in", []), "audience", "op 'in' and a list of codes"),
        (leaf("tag", "in", [3]), "audience", "op 'in' and a list of codes"),
        (leaf("has_guide", "=", 1), "audience", "true or false"),
        (leaf("r_score", "in", ["5"]), "audience", "op 'in' is not one of"),
        (_deep(7), "audience" + ".not" * 7, "nesting is deeper than 6"),
    ],
)
def test_a_tree_that_cannot_be_read_is_refused_with_its_place(
    now: datetime, tree: Any, where: str, says: str
) -> None:
    with pytest.raises(BadAudience) as refused:
        audience.members_of(tree, now=now)

    assert refused.value.where == where
    assert says in refused.value.problem
    assert form_words.audience_fault(where, refused.value.fault, refused.value.facts)


def test_a_leaf_names_what_it_lacks(now: datetime) -> None:
    with pytest.raises(BadAudience, match="op, value missing"):
        audience.members_of({"fact": "level"}, now=now)


def test_a_leaf_names_what_does_not_belong(now: datetime) -> None:
    tree = leaf("level", "in", ["gold"]) | {"label": "gold"}

    with pytest.raises(BadAudience, match="label does not belong here"):
        audience.members_of(tree, now=now)
