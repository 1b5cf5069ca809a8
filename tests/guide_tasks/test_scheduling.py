"""Scheduled campaigns: held for at the gate, launched by the clock, taken back without a trace."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlmodel import Session, col, select

from guide_tasks import campaigns, launch, scheduling
from guide_tasks.campaigns import DeadlinePassed
from guide_tasks.scheduling import LaunchTimePassed
from store.audit import AuditEntry
from store.campaigns import Arm, AudienceMember, Campaign, CampaignState
from store.db import Database
from store.errors import WrongState
from store.holds import Hold
from store.jobs import Job
from store.members import Member
from tests.builders import a_guide, a_member
from tests.guide_tasks.people import FALLBACKS, a_customer
from tests.guide_tasks.test_launch import a_draft

_DAY = timedelta(days=1)
HIGH = 80


class House:
    """A database whose nudges are kept in a list."""

    def __init__(self, database: Database) -> None:
        self.nudges: list[tuple[Job, int]] = []
        self.database = Database(database.engine, self.nudges.append)

    def a_scheduled(self, now: datetime, **facts: Any) -> int:
        """A campaign of a high band for everybody, to be launched tomorrow; held for already."""
        with self.database.transaction() as session:
            campaign = a_draft(session, now=now, **({"priority": HIGH} | facts))
            scheduling.schedule(session, campaign, launch_at=now + _DAY, actor="hq:chen", now=now)
        scheduling.hold_audience(self.database, campaign.id, now=now)
        return campaign.id

    def campaign(self, campaign_id: int) -> Campaign:
        """The campaign as the record has it now."""
        with self.database.transaction() as session:
            return session.get_one(Campaign, campaign_id)

    def holds(self) -> list[Hold]:
        """All holds, in the order of their members."""
        with self.database.transaction() as session:
            return list(session.exec(select(Hold).order_by(col(Hold.member_id))))


@pytest.fixture
def house(database: Database) -> House:
    return House(database)


def a_customer_of_wang(house: House, now: datetime) -> Member:
    with house.database.transaction() as session:
        return a_customer(session, a_guide(session), now=now)


def test_draft_is_scheduled_and_nudges_its_holds(session: Session, now: datetime) -> None:
    campaign = a_draft(session, now=now)

    scheduling.schedule(session, campaign, launch_at=now + _DAY, actor="hq:chen", now=now)

    assert (campaign.state, campaign.launch_at) == (CampaignState.SCHEDULED, now + _DAY)
    assert session.exec(select(AuditEntry.act)).all() == ["campaign.schedule"]
    assert session.exec(scheduling.unheld()).all() == [campaign.id]


@pytest.mark.parametrize(
    ("days", "refusal"), [(0, LaunchTimePassed), (-1, LaunchTimePassed), (7, DeadlinePassed)]
)
def test_launch_time_that_is_over_or_not_before_the_deadline_is_refused(
    session: Session, now: datetime, days: int, refusal: type[Exception]
) -> None:
    campaign = a_draft(session, now=now)

    with pytest.raises(refusal):
        scheduling.schedule(session, campaign, launch_at=now + days * _DAY, actor="hq", now=now)
    assert campaign.state is CampaignState.DRAFT


def test_campaign_under_way_cannot_be_scheduled_nor_taken_back(
    session: Session, now: datetime
) -> None:
    campaign = a_draft(session, now=now, state=CampaignState.RUNNING)

    with pytest.raises(WrongState):
        scheduling.schedule(session, campaign, launch_at=now + _DAY, actor="hq", now=now)
    with pytest.raises(WrongState):
        scheduling.unschedule(session, campaign, actor="hq", now=now)


def test_every_member_of_the_audience_is_held_for_in_chunks(
    house: House, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduling, "CHUNK", 2)
    with house.database.transaction() as session:
        people = [a_member(session, now=now).id for _ in range(5)]

    campaign_id = house.a_scheduled(now)
    scheduling.hold_audience(house.database, campaign_id, now=now)

    assert [hold.member_id for hold in house.holds()] == people
    hold = house.holds()[0]
    assert (hold.planned_from, hold.planned_until) == (now + _DAY, now + 2 * _DAY)
    assert hold.channels == ["wecom_broadcast", *FALLBACKS]
    assert (hold.priority, hold.expires_at) == (HIGH, hold.planned_until)
    assert house.campaign(campaign_id).held_at == now


def test_those_whom_chance_holds_out_are_not_held_for(house: House, now: datetime) -> None:
    with house.database.transaction() as session:
        for _ in range(40):
            a_member(session, now=now)

    campaign_id = house.a_scheduled(now, holdout_percent=50)
    with house.database.transaction() as session:
        launch.freeze(session, session.get_one(Campaign, campaign_id), actor="hq", now=now)
        treated = select(AudienceMember.member_id).where(AudienceMember.arm == Arm.TREATED)
        chosen = session.exec(treated.order_by(col(AudienceMember.member_id))).all()

    assert 0 < len(chosen) < 40
    assert [hold.member_id for hold in house.holds()] == list(chosen)


def test_lower_campaign_waits_for_the_scheduled_one(house: House, now: datetime) -> None:
    a_customer_of_wang(house, now)
    house.a_scheduled(now)
    with house.database.transaction() as session:
        low = a_draft(session, now=now, priority=10, deadline_at=now + 7 * _DAY)
        today = campaigns.forecast(session, low, now=now)
        then = campaigns.forecast(session, low, now=now + _DAY)

    assert (today.reached, today.deferred) == (1, 0)
    assert (then.reached, then.deferred, then.by_rule) == (0, 1, {"daily_cap": 1})


def test_campaign_is_launched_when_it_is_due_and_not_before(house: House, now: datetime) -> None:
    a_customer_of_wang(house, now)
    campaign_id = house.a_scheduled(now)
    due = now + _DAY

    early = scheduling.launch_due(house.database, now=due - timedelta(seconds=1))
    launched = scheduling.launch_due(house.database, now=due)
    again = scheduling.launch_due(house.database, now=due)

    campaign = house.campaign(campaign_id)
    assert (early, launched, again) == (0, 1, 0)
    assert (campaign.state, campaign.launched_at) == (CampaignState.LAUNCHING, due)
    assert (Job.LAUNCH_CAMPAIGN, campaign_id) in house.nudges


def test_scheduled_campaign_can_be_launched_at_once(house: House, now: datetime) -> None:
    campaign_id = house.a_scheduled(now)

    with house.database.transaction() as session:
        launch.freeze(session, session.get_one(Campaign, campaign_id), actor="hq", now=now)

    assert house.campaign(campaign_id).state is CampaignState.LAUNCHING
    assert scheduling.launch_due(house.database, now=now + 2 * _DAY) == 0


def test_campaign_whose_deadline_came_first_is_cancelled_and_holds_nothing(
    house: House, now: datetime
) -> None:
    a_customer_of_wang(house, now)
    campaign_id = house.a_scheduled(now)

    launched = scheduling.launch_due(house.database, now=now + 7 * _DAY)

    assert (launched, house.campaign(campaign_id).state) == (0, CampaignState.CANCELLED)
    assert [hold.lifted_at for hold in house.holds()] == [now + 7 * _DAY]


def test_campaign_taken_back_is_a_draft_and_holds_nothing(house: House, now: datetime) -> None:
    a_customer_of_wang(house, now)
    campaign_id = house.a_scheduled(now)

    with house.database.transaction() as session:
        campaign = session.get_one(Campaign, campaign_id)
        scheduling.unschedule(session, campaign, actor="hq:chen", now=now)
    scheduling.hold_audience(house.database, campaign_id, now=now)

    assert house.campaign(campaign_id).state is CampaignState.DRAFT
    assert [hold.lifted_at for hold in house.holds()] == [now]
    assert scheduling.launch_due(house.database, now=now + 2 * _DAY) == 0


def test_campaign_put_to_another_time_moves_its_holds(house: House, now: datetime) -> None:
    a_customer_of_wang(house, now)
    campaign_id = house.a_scheduled(now)

    with house.database.transaction() as session:
        campaign = session.get_one(Campaign, campaign_id)
        scheduling.schedule(session, campaign, launch_at=now + 3 * _DAY, actor="hq", now=now)
    scheduling.hold_audience(house.database, campaign_id, now=now)

    assert [hold.planned_from for hold in house.holds()] == [now + 3 * _DAY]
