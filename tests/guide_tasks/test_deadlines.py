"""Deadlines: who was forgotten is reached by the brand, or the task ends; nobody is told twice."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlmodel import col, select

from guide_tasks import deadlines, progress
from store import consents
from store.campaigns import Campaign, CampaignState, CareTask, TaskState
from store.db import Database
from store.jobs import Job
from store.touches import Channel, Touch, TouchState
from tests.builders import a_guide, a_plan
from tests.guide_tasks.people import (
    FALLBACKS,
    URL,
    a_customer,
    a_sent_touch,
    a_task,
    launched,
    running,
    states_of,
    write_in,
)
from tests.guide_tasks.test_launch import a_draft
from tests.times import at


class House:
    """A database whose nudges are kept in a list."""

    def __init__(self, database: Database) -> None:
        self.nudges: list[tuple[Job, int]] = []
        self.database = Database(database.engine, self.nudges.append)

    def pass_due(self, now: datetime) -> int:
        """Pass every deadline until then."""
        return deadlines.pass_due(self.database, now=now)

    def task(self, task: CareTask) -> CareTask:
        """The task as the record has it now."""
        with self.database.transaction() as session:
            return session.get_one(CareTask, task.id)

    def fallbacks(self) -> list[Touch]:
        """What the brand said or would have said."""
        with self.database.transaction() as session:
            query = select(Touch).where(col(Touch.key).like("task-%-fallback"))
            return list(session.exec(query.order_by(col(Touch.id))).all())

    def campaign(self, campaign_id: int) -> CampaignState:
        """Where the campaign stands."""
        with self.database.transaction() as session:
            return session.get_one(Campaign, campaign_id).state


@pytest.fixture
def house(database: Database) -> House:
    return House(database)


def a_forgotten_task(house: House, *, now: datetime, writes: bool = True, **facts: Any) -> CareTask:
    """A task whose guide does nothing; the member has just written to the account."""
    with house.database.transaction() as session:
        wang = a_guide(session)
        member = a_customer(session, wang, now=now)
        if writes:
            write_in(session, member, now=now)
        return a_task(session, wang, now=now, member=member, **facts)


@pytest.mark.parametrize("state", [TaskState.ASSIGNED, TaskState.SEEN, TaskState.EDITED])
def test_a_forgotten_member_is_reached_by_the_brand(
    house: House, now: datetime, state: TaskState
) -> None:
    task = a_forgotten_task(house, now=now, state=state, edited_text="周末见。")

    passed = house.pass_due(task.deadline_at)

    (touch,) = house.fallbacks()
    assert (passed, house.task(task).state) == (1, TaskState.FELL_BACK)
    assert (touch.channel, touch.state, touch.guide_id) == (
        Channel.WECHAT_SERVICE,
        TouchState.RESERVED,
        None,
    )
    # Not in the words that the guide kept back.
    assert touch.text == task.draft
    assert house.nudges == [(Job.DELIVER_TOUCH, touch.id)]


def test_before_the_deadline_nothing_happens(house: House, now: datetime) -> None:
    task = a_forgotten_task(house, now=now)

    assert house.pass_due(task.deadline_at - timedelta(seconds=1)) == 0
    assert house.task(task).state is TaskState.ASSIGNED


def test_passing_twice_is_one_touch(house: House, now: datetime) -> None:
    task = a_forgotten_task(house, now=now)

    house.pass_due(task.deadline_at)
    again = house.pass_due(task.deadline_at + timedelta(seconds=5))

    assert (again, len(house.fallbacks()), len(house.nudges)) == (0, 1, 1)


def test_a_notice_leads_to_the_goods(house: House, now: datetime) -> None:
    """What fits into a notice is too short for the link."""
    link = f"{URL}/m/picks/token-1"
    a_forgotten_task(house, now=now, token="token-1", draft=f"给您挑了清单：\n{link}\n回我就好。")

    house.pass_due(now + timedelta(hours=2))

    (touch,) = house.fallbacks()
    assert touch.payload == {"title": "春日回访", "url": link}


def test_whom_the_brand_may_not_reach_is_left_in_peace_with_a_rule(
    house: House, now: datetime
) -> None:
    task = a_forgotten_task(house, now=now, writes=False)

    house.pass_due(task.deadline_at)

    (touch,) = house.fallbacks()
    assert touch.state is TouchState.WITHHELD
    after = house.task(task)
    assert (after.state, after.state_reason) == (TaskState.SUPPRESSED, "no_grant")


def test_at_night_the_brand_waits_for_the_morning(house: House) -> None:
    evening = at("2026-03-01 20:30")
    task = a_forgotten_task(house, now=evening)

    house.pass_due(at("2026-03-01 22:30"))

    (touch,) = house.fallbacks()
    assert (touch.state, touch.retry_at) == (TouchState.ASKED, at("2026-03-02 08:00"))
    assert (house.task(task).state, house.nudges) == (TaskState.FELL_BACK, [])


def test_without_fallback_channels_a_forgotten_task_expires(house: House, now: datetime) -> None:
    with house.database.transaction() as session:
        campaign = running(session, now=now, fallback_channels=[])
    task = a_forgotten_task(house, now=now, campaign=campaign)

    house.pass_due(task.deadline_at)

    assert (house.task(task).state, house.fallbacks()) == (TaskState.EXPIRED, [])


def test_a_guide_who_sent_before_the_deadline_leaves_nothing_to_the_brand(
    house: House, now: datetime
) -> None:
    task = a_forgotten_task(house, now=now)
    with house.database.transaction() as session:
        mine = session.get_one(CareTask, task.id)
        progress.send(session, mine, actor="guide:wang", now=now)

    passed = house.pass_due(task.deadline_at)

    assert (passed, house.fallbacks()) == (0, [])
    assert house.task(task).state is TaskState.SENDING


def test_a_member_without_a_voice_is_reached_at_once_after_the_launch(
    house: House, now: datetime
) -> None:
    with house.database.transaction() as session:
        li = a_customer(session, now=now)
        write_in(session, li, now=now)
        campaign = a_draft(session, now=now, fallback_channels=FALLBACKS)
    launched(house.database, campaign.id, now=now)

    house.pass_due(now)

    with house.database.transaction() as session:
        assert states_of(session, campaign.id) == {li.id: TaskState.FELL_BACK}
    assert [touch.state for touch in house.fallbacks()] == [TouchState.RESERVED]


def test_many_due_tasks_pass_in_chunks(
    house: House, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadlines, "CHUNK", 2)
    with house.database.transaction() as session:
        wang, campaign = a_guide(session), running(session, now=now)
        for _ in range(5):
            a_task(session, wang, now=now, campaign=campaign)

    assert house.pass_due(campaign.deadline_at) == 5


def test_who_stopped_everything_meanwhile_is_not_reached(house: House, now: datetime) -> None:
    task = a_forgotten_task(house, now=now)
    with house.database.transaction() as session:
        consents.stop(session, task.member_id, reason="chat", now=now)

    house.pass_due(task.deadline_at)

    assert house.task(task).state_reason == "opted_out"
    assert house.nudges == []


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (TouchState.SENT, CampaignState.FINISHED),
        (TouchState.UNKNOWN, CampaignState.FINISHED),
        (TouchState.ASKED, CampaignState.RUNNING),
        (TouchState.RESERVED, CampaignState.RUNNING),
        (TouchState.SENDING, CampaignState.RUNNING),
    ],
)
def test_a_campaign_ends_after_its_deadline_once_no_touch_is_on_its_way(
    house: House, now: datetime, state: TouchState, expected: CampaignState
) -> None:
    with house.database.transaction() as session:
        campaign = running(session, now=now)
        task = a_task(
            session, a_guide(session), now=now, campaign=campaign, state=TaskState.SENDING
        )
        a_sent_touch(session, task, at=now, state=state)

    house.pass_due(campaign.deadline_at - timedelta(seconds=1))
    before = house.campaign(campaign.id)
    house.pass_due(campaign.deadline_at)

    assert (before, house.campaign(campaign.id)) == (CampaignState.RUNNING, expected)


def test_a_whole_campaign_runs_from_launch_to_its_end(house: House, now: datetime) -> None:
    """One guide sends, one forgets, one member has no guide, one may not be reached."""
    with house.database.transaction() as session:
        wang, sun = a_guide(session), a_guide(session)
        sent, forgotten = (a_customer(session, guide, now=now) for guide in (wang, sun))
        alone, silent = a_customer(session, now=now), a_customer(session, now=now, agrees_to=())
        for member in (forgotten, alone):
            write_in(session, member, now=now)
        campaign = a_draft(
            session,
            now=now,
            coupon_plan_id=a_plan(session).id,
            deadline_at=now + timedelta(hours=2),
        )
    launched(house.database, campaign.id, now=now)
    with house.database.transaction() as session:
        query = select(CareTask).where(CareTask.member_id == sent.id)
        progress.send(session, session.exec(query).one(), actor="guide:wang", now=now)

    house.pass_due(now)
    house.pass_due(campaign.deadline_at)

    assert _states(house, campaign) == {
        sent.id: TaskState.SENDING,
        forgotten.id: TaskState.FELL_BACK,
        alone.id: TaskState.FELL_BACK,
        silent.id: TaskState.SUPPRESSED,
    }


def _states(house: House, campaign: Campaign) -> dict[int, TaskState]:
    with house.database.transaction() as session:
        return states_of(session, campaign.id)
