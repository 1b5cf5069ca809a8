"""Who sees whom: guide, manager, region, HQ; who has left sees nothing at once."""

from datetime import datetime

import pytest
from sqlmodel import Session, col, select

from store import visibility
from store.campaigns import CareTask, TaskState
from store.members import Member
from store.organisation import Brand, Guide, GuideRole, GuideStatus, Region
from tests.builders import a_brand, a_care_task, a_guide, a_member, a_shop
from tests.guide_tasks.people import befriend


class Town:
    """Two regions; Wang and Sun in one shop, Zhao in another of the region, Qian in the other."""

    def __init__(self, session: Session, now: datetime) -> None:
        self.session = session
        brand = a_brand(session)
        regions = [Region(brand_id=brand.id, code=code, name=code) for code in ("east", "west")]
        session.add_all(regions)
        session.flush()
        east, west = (region.id for region in regions)
        first, second = (a_shop(session, region_id=east) for _ in range(2))
        third = a_shop(session, region_id=west)
        self.wang, self.sun = (a_guide(session, shop=first) for _ in range(2))
        self.zhao, self.qian = a_guide(session, shop=second), a_guide(session, shop=third)
        self.customers = {
            guide.id: self.a_customer(guide, now) for guide in (self.wang, self.sun, self.zhao)
        }
        self.customers[self.qian.id] = self.a_customer(self.qian, now)
        self.stranger = a_member(session)
        self.walk_in = a_member(session, shop_id=first.id)

    def a_customer(self, guide: Guide, now: datetime) -> Member:
        """Somebody whom this guide knows."""
        member = a_member(self.session)
        befriend(self.session, member, guide, now=now)
        return member

    def seen_by(self, guide: Guide) -> set[int]:
        """Ids of the members whom a person sees."""
        self.session.flush()
        query = select(Member.id).where(visibility.sees_member(guide.id))
        return set(self.session.exec(query).all())

    def of(self, *guides: Guide) -> set[int]:
        """Ids of the customers of these guides."""
        return {self.customers[guide.id].id for guide in guides}


@pytest.fixture
def town(session: Session, now: datetime) -> Town:
    return Town(session, now)


def test_a_guide_sees_own_customers_only(town: Town) -> None:
    assert town.seen_by(town.wang) == town.of(town.wang)


def test_a_manager_sees_the_shop(town: Town) -> None:
    town.sun.role = GuideRole.MANAGER

    assert town.seen_by(town.sun) == town.of(town.wang, town.sun) | {town.walk_in.id}


def test_a_region_sees_its_shops(town: Town) -> None:
    town.zhao.role = GuideRole.REGION

    seen = town.seen_by(town.zhao)

    assert seen == town.of(town.wang, town.sun, town.zhao) | {town.walk_in.id}


def test_hq_sees_the_whole_brand_and_no_other(town: Town) -> None:
    town.qian.role = GuideRole.HQ
    other = Brand(code="other", name="other")
    town.session.add(other)
    town.session.flush()
    foreign = a_member(town.session, brand_id=other.id)

    seen = town.seen_by(town.qian)

    everyone = town.of(town.wang, town.sun, town.zhao, town.qian)
    assert seen == everyone | {town.stranger.id, town.walk_in.id}
    assert foreign.id not in seen


@pytest.mark.parametrize("role", list(GuideRole))
def test_who_has_left_sees_nothing_at_once(town: Town, role: GuideRole) -> None:
    town.wang.role = role
    before = town.seen_by(town.wang)

    town.wang.status = GuideStatus.LEFT

    assert before
    assert town.seen_by(town.wang) == set()
    assert town.session.execute(visibility.guides(town.wang.id)).all() == []
    assert _tasks(town, town.wang) == set()


def test_a_friendship_that_is_over_shows_nobody(town: Town, now: datetime) -> None:
    tie = befriend(town.session, town.stranger, town.wang, now=now)
    before = town.seen_by(town.wang)
    tie.until = now

    assert town.stranger.id in before
    assert town.seen_by(town.wang) == town.of(town.wang)


def test_a_task_in_hand_shows_its_member_and_an_ended_one_does_not(town: Town) -> None:
    task = a_care_task(town.session, town.stranger, guide=town.wang)
    while_open = town.seen_by(town.wang)
    task.state = TaskState.EXPIRED

    assert while_open == town.of(town.wang) | {town.stranger.id}
    assert town.seen_by(town.wang) == town.of(town.wang)


def test_tasks_of_the_own_shop_are_seen_by_all_there(town: Town) -> None:
    mine, theirs, shared = (
        a_care_task(town.session, town.customers[guide.id], guide=guide)
        for guide in (town.wang, town.sun, town.zhao)
    )
    shared.guide_id, shared.shop_id = None, town.wang.shop_id

    assert _tasks(town, town.wang) == {mine.id, shared.id}
    assert _tasks(town, town.sun) == {theirs.id, shared.id}
    assert _tasks(town, town.zhao) == set()


def _tasks(town: Town, guide: Guide) -> set[int]:
    town.session.flush()
    query = select(CareTask.id).where(visibility.sees_task(guide.id)).order_by(col(CareTask.id))
    return set(town.session.exec(query).all())
