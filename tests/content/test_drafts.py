"""Drafts: the facts behind the words, who signs them, and the reason that the guide reads."""

from datetime import datetime, timedelta

import pytest
from sqlmodel import Session

from content import drafts
from content.drafts import DraftFacts, Speaker
from store.orders import MemberFacts
from tests.builders import a_guide, a_level, a_member, a_shop


def the_facts(session: Session, member_id: int, *, now: datetime) -> DraftFacts:
    return drafts.facts_of(session, [member_id], now=now)[member_id]


def test_facts_of_a_good_customer(session: Session, now: datetime) -> None:
    level = a_level(session, name="金卡")
    li = a_member(session, name="李雨桐", level_id=level.id, points=120, now=now)
    session.add(
        MemberFacts(
            member_id=li.id,
            orders_count=4,
            last_order_at=now - timedelta(days=9, hours=23),
            favourite_categories=["牛奶", "面包"],
            updated_at=now,
        )
    )
    session.flush()

    facts = the_facts(session, li.id, now=now)

    assert facts == DraftFacts("李雨桐", "金卡", 120, 9, 4, ("牛奶", "面包"))


def test_facts_of_a_stranger(session: Session, now: datetime) -> None:
    zhao = a_member(session, name="")

    assert the_facts(session, zhao.id, now=now) == DraftFacts("", "", 0, None, 0, ())


def test_an_order_of_a_moment_ago_is_never_in_the_future(session: Session, now: datetime) -> None:
    li = a_member(session)
    later = now + timedelta(minutes=1)
    session.add(MemberFacts(member_id=li.id, last_order_at=later, updated_at=now))
    session.flush()

    assert the_facts(session, li.id, now=now).days_since == 0


def test_a_guide_signs_with_the_own_shop(session: Session) -> None:
    wang = a_guide(session, name="王芳", shop=a_shop(session, name="城西店"))

    assert drafts.speakers(session, [wang.id]) == {wang.id: Speaker("王芳", "城西店")}


def test_a_stranger_is_addressed_politely() -> None:
    facts = DraftFacts("", "", 0, None, 0, ())

    found = drafts.variables(
        facts, drafts.house_speaker("知味"), product="", coupon="", link="https://x.example"
    )

    assert (found.name, found.guide, found.shop, found.category) == ("顾客", "小知", "知味", "好物")


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (DraftFacts("李", "", 0, None, 0, ()), "还没有买过东西，可以先认识一下"),
        (DraftFacts("李", "", 0, 9, 4, ()), "来过 4 次，上次是 9 天前"),
        (
            DraftFacts("李", "", 0, 9, 4, ("牛奶", "面包", "茶叶")),
            "来过 4 次，上次是 9 天前，常买牛奶、面包",
        ),
    ],
)
def test_the_reason_says_in_one_line_why_this_member(facts: DraftFacts, reason: str) -> None:
    assert drafts.reason(facts) == reason
