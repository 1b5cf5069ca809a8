"""A launch in chunks: seen while it runs, shared by workers, resumed after a kill, and whole."""

import subprocess
import sys
from datetime import datetime, timedelta

import pytest
from sqlalchemy import func
from sqlmodel import Session, col, select

from guide_tasks import assign, launch, making
from store import launches, leaves, merges
from store.campaigns import Assignment, Campaign, CampaignMode, CampaignState, CareTask, TaskState
from store.coupons import Coupon
from store.db import Database
from store.jobs import Job
from store.launches import LaunchChunk
from store.notices import Notice, NoticeForm, NoticeKind
from store.organisation import Guide, GuideStatus
from tests.builders import a_guide, a_plan, a_shop
from tests.guide_tasks.people import (
    URL,
    a_customer,
    befriend,
    launched,
    states_of,
    tasks_of,
    tokens_of,
)
from tests.guide_tasks.test_launch import a_draft, freeze
from tests.times import at
from tests.waiting import SECONDS, until

_WORKER = """
import sys
from datetime import datetime
from guide_tasks import launch
from store.db import Database, make_engine
database = Database(make_engine(sys.argv[1]))
launch.run(database, int(sys.argv[2]), public_url="https://guide.example",
           now=datetime.fromisoformat(sys.argv[3]))
"""

# The same, which comes to a stand in the middle of every chunk after the second.
_STALLED_WORKER = f"""
import itertools, time
from guide_tasks import launch
count, chunks = launch._count, itertools.count(1)

def stall(*facts):
    if next(chunks) > 2:
        print("in the middle", flush=True)
        time.sleep(600)
    count(*facts)

launch._count = stall
{_WORKER}"""


def frozen(
    database: Database, members: int, *, chunk: int, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> int:
    """A campaign that is ready to be made, in chunks of so many members."""
    monkeypatch.setattr(launch, "CHUNK", chunk)
    with database.transaction() as session:
        guides = [a_guide(session) for _ in range(3)]
        for place in range(members):
            a_customer(session, guides[place % 3], now=now)
        campaign = a_draft(session, now=now, coupon_plan_id=a_plan(session).id)
        freeze(session, campaign, now=now)
        return campaign.id


def made(database: Database, campaign_id: int) -> tuple[int, int]:
    with database.transaction() as session:
        campaign = session.get_one(Campaign, campaign_id)
        return campaign.tasks_made, campaign.tasks_planned


def test_progress_is_seen_while_it_runs(
    database: Database, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign_id = frozen(database, 7, chunk=3, now=now, monkeypatch=monkeypatch)
    with database.transaction() as session:
        campaign = session.get_one(Campaign, campaign_id)
        words = making.words_of(session, campaign, public_url=URL, now=now)

    seen = [made(database, campaign_id)]
    while launch._next_chunk(database, campaign_id, words, now):
        seen.append(made(database, campaign_id))

    assert seen == [(0, 7), (3, 7), (6, 7), (7, 7)]


def test_a_killed_worker_leaves_nothing_half_done(
    database: Database, database_url: str, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign_id = frozen(database, 60, chunk=3, now=now, monkeypatch=monkeypatch)
    what = [_STALLED_WORKER, database_url, str(campaign_id), now.isoformat()]
    with subprocess.Popen([sys.executable, "-c", *what], stdout=subprocess.PIPE) as worker:
        assert worker.stdout is not None
        try:
            assert worker.stdout.readline() == b"in the middle\n"
            until(lambda: made(database, campaign_id)[0] == 6)
        finally:
            worker.kill()
    at_the_kill, _ = made(database, campaign_id)
    tokens = tokens_of(database, campaign_id)

    launch.run(database, campaign_id, public_url=URL, now=now)

    assert at_the_kill == 6
    assert len(tokens) == at_the_kill
    assert tokens.items() <= tokens_of(database, campaign_id).items()
    assert made(database, campaign_id) == (60, 60)
    with database.transaction() as session:
        assert session.get_one(Campaign, campaign_id).state is CampaignState.RUNNING
        assert session.exec(select(func.count()).select_from(CareTask)).one() == 60
        assert session.exec(select(func.count()).select_from(Coupon)).one() == 60
        assert session.exec(select(func.count()).select_from(Notice)).one() == 3


@pytest.mark.race
def test_several_workers_share_the_chunks(
    database: Database, database_url: str, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign_id = frozen(database, 60, chunk=2, now=now, monkeypatch=monkeypatch)
    command = [sys.executable, "-c", _WORKER, database_url, str(campaign_id), now.isoformat()]

    workers = [subprocess.Popen(command) for _ in range(3)]
    ends = [worker.wait(SECONDS) for worker in workers]

    assert ends == [0, 0, 0]
    assert made(database, campaign_id) == (60, 60)
    with database.transaction() as session:
        assert session.get_one(Campaign, campaign_id).state is CampaignState.RUNNING
        assert session.exec(select(func.count()).select_from(CareTask)).one() == 60
        assert session.exec(select(func.count()).select_from(Assignment)).one() == 3
        assert session.exec(select(func.count()).select_from(Notice)).one() == 3


def test_a_chunk_in_another_workers_hands_is_not_waited_for(
    two_connections: tuple[Session, Session],
    database: Database,
    now: datetime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    campaign_id = frozen(database, 4, chunk=2, now=now, monkeypatch=monkeypatch)
    one, _ = two_connections
    held = launches.take(one, campaign_id)

    launch.run(database, campaign_id, public_url=URL, now=now)
    in_between = made(database, campaign_id)
    one.rollback()
    launch.run(database, campaign_id, public_url=URL, now=now)

    assert held is not None
    assert in_between == (2, 4)
    assert made(database, campaign_id) == (4, 4)


def test_who_came_into_a_chunk_that_was_done_gets_a_task_at_the_end(
    database: Database, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A merge hands the place of a later member to an earlier one who was not in the audience."""
    monkeypatch.setattr(launch, "CHUNK", 1)
    with database.transaction() as session:
        wang = a_guide(session)
        kept, first, gone = (a_customer(session, wang, now=now) for _ in range(3))
        chosen = {"fact": "joined_days", "op": ">=", "value": 1}
        for member in (first, gone):
            member.joined_at = now - timedelta(days=2)
        campaign = a_draft(session, now=now, audience=chosen)
        freeze(session, campaign, now=now)
        words = making.words_of(session, campaign, public_url=URL, now=now)
    launch._next_chunk(database, campaign.id, words, now)
    with database.transaction() as session:
        merges.merge(session, kept.id, gone.id, reason="mobile", now=now)

    launch.run(database, campaign.id, public_url=URL, now=now)

    with database.transaction() as session:
        assert tasks_of(session, campaign.id).keys() == {kept.id, first.id}


def test_the_load_of_a_day_is_spread_over_the_days_that_are_left(
    database: Database, now: datetime
) -> None:
    with database.transaction() as session:
        wang = a_guide(session)
        for _ in range(5):
            a_customer(session, wang, now=now)
        campaign = a_draft(
            session, now=now, tasks_per_day=2, deadline_at=now + timedelta(days=1, hours=1)
        )

    launched(database, campaign.id, now=now)

    with database.transaction() as session:
        found = tasks_of(session, campaign.id).values()
    midnight = at("2026-03-02 00:00")
    waits = sorted((task.waits_until or now, task.guide_id is not None) for task in found)
    assert waits == [(now, False), (now, True), (now, True), (midnight, True), (midnight, True)]
    # What is too much for one is anyone's in the shop.
    (shared,) = (task for task in found if task.guide_id is None)
    assert (shared.state, shared.shop_id) == (TaskState.ASSIGNED, wang.shop_id)


def test_the_load_counts_tasks_of_other_campaigns(database: Database, now: datetime) -> None:
    with database.transaction() as session:
        wang = a_guide(session)
        for _ in range(2):
            a_customer(session, wang, now=now)
        ends = now + timedelta(hours=3)
        first, second = (
            a_draft(session, now=now, tasks_per_day=limit, deadline_at=ends) for limit in (2, 3)
        )

    launched(database, first.id, now=now)
    launched(database, second.id, now=now)

    with database.transaction() as session:
        found = tasks_of(session, second.id).values()
    assert sorted(task.guide_id is not None for task in found) == [False, True]


def test_a_campaign_for_shops_gives_tasks_that_anyone_there_takes(
    database: Database, now: datetime
) -> None:
    with database.transaction() as session:
        wang = a_guide(session)
        li = a_customer(session, wang, now=now)
        campaign = a_draft(session, now=now, mode=CampaignMode.SHOPS)

    launched(database, campaign.id, now=now)

    with database.transaction() as session:
        task = tasks_of(session, campaign.id)[li.id]
    assert (task.state, task.guide_id, task.shop_id) == (TaskState.ASSIGNED, None, wang.shop_id)
    assert task.deadline_at == campaign.deadline_at


@pytest.mark.parametrize("absence", ["left", "leave"])
def test_customers_of_an_absent_guide_go_to_a_colleague_who_knows_them(
    database: Database, now: datetime, absence: str
) -> None:
    with database.transaction() as session:
        shop = a_shop(session)
        wang, sun, _ = (a_guide(session, shop=shop) for _ in range(3))
        li = a_customer(session, wang, now=now, shop_id=shop.id)
        befriend(session, li, sun, now=now)
        if absence == "left":
            wang.status = GuideStatus.LEFT
        else:
            leaves.grant(session, wang.id, since=now, until=now + timedelta(days=1))
        campaign = a_draft(session, now=now)

    launched(database, campaign.id, now=now)

    with database.transaction() as session:
        assert tasks_of(session, campaign.id)[li.id].guide_id == sun.id


def test_ten_thousand_cards_are_posted(session: Session, now: datetime) -> None:
    """One statement takes 65,535 values: cards go in several."""
    campaign = a_draft(session, now=now, state=CampaignState.LAUNCHING)
    shop = a_shop(session)
    session.add_all(Guide(shop_id=shop.id, userid=f"many{n}", name="many") for n in range(9_000))
    session.flush()
    guides = session.exec(select(Guide.id).where(col(Guide.userid).like("many%"))).all()
    assign.assignments_of(session, campaign.id, guides, now=now)
    forms = [NoticeForm(f"many-{guide}", guide, NoticeKind.CARD, {}) for guide in guides]

    launch._post_in_blocks(session, forms, now)

    assert session.exec(select(func.count()).select_from(Notice)).one() == 9_000
    nudges = session.info["zhiyin_after_commit"]
    assert sum(job is Job.SEND_NOTICE for job, _ in nudges) == 9_000


def test_chunks_cover_the_treated_and_nobody_else(session: Session, now: datetime) -> None:
    wang = a_guide(session)
    for _ in range(3):
        a_customer(session, wang, now=now)
    campaign = a_draft(session, now=now)
    freeze(session, campaign, now=now)

    (chunk,) = session.exec(select(LaunchChunk)).all()
    assert len(launch._treated(session, chunk)) == 3
    assert states_of(session, campaign.id) == {}
