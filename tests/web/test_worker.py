"""The worker, the queue and the clock: a lost nudge is a delay, a failing job tells no secret."""

import logging
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from redis import Redis
from rq import SimpleWorker
from rq.serializers import JSONSerializer
from sqlalchemy import text
from sqlmodel import select

from guide_tasks import launch
from store.attributions import Attribution, Commission, CommissionState
from store.campaigns import CampaignState, CareTask, TaskState
from store.db import Database
from store.jobs import Job
from store.members import Member
from store.notices import NoticeForm, NoticeKind, post
from store.orders import Order
from store.settings import Settings
from store.touches import TouchState
from tests.builders import a_guide, a_member, an_order
from tests.guide_tasks.people import a_customer, a_sent_touch, a_task
from tests.guide_tasks.test_launch import a_draft
from tests.web.scene import parts_of
from web import cron, worker
from web.parts import Parts
from web.queue import Nudger, make_queue

_UNREACHABLE = "redis://127.0.0.1:1/0"


@pytest.fixture
def parts(
    settings: Settings, fresh_database: Database, redis: Redis, now: datetime
) -> Iterator[Parts]:
    """The real parts, with the real queue, as a worker process holds them."""
    database = Database(fresh_database.engine, Nudger(make_queue(redis)))
    parts = parts_of(settings, database, redis, now)
    worker._PARTS[:] = [parts]
    yield parts
    worker._PARTS.clear()


def waiting(parts: Parts) -> set[str]:
    """Ids of the jobs in the queue."""
    return set(make_queue(parts.redis).job_ids)


def work_all(parts: Parts) -> None:
    """Do what waits, as the worker process would, then stop."""
    found = SimpleWorker(
        [make_queue(parts.redis)], connection=parts.redis, serializer=JSONSerializer
    )
    found.work(burst=True, logging_level="ERROR")


def test_every_job_has_an_act() -> None:
    assert worker._ACTS.keys() == set(Job)


def test_the_clock_knows_only_jobs_without_a_row() -> None:
    with_row = {Job.DELIVER_TOUCH, Job.SEND_NOTICE, Job.LAUNCH_CAMPAIGN, Job.ATTRIBUTE_ORDER}
    with_row |= {Job.SEND_ANSWER, Job.MAKE_SCENE, Job.DELIVER_WAITING}

    with_row |= {Job.HEAR_WECOM, Job.STEP_CONTACT, Job.SYNC, Job.HAND_OVER, Job.CHANGE_CARD}
    with_row |= {Job.HOLD_CAMPAIGN, Job.REPLAY_POLICY}

    assert set(Job) - with_row == cron.LINES.keys()


def test_a_failing_job_logs_its_kind_and_no_secret(
    parts: Parts, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    del parts

    def fail(*_: object) -> None:
        raise ValueError("the mobile 13812345678")

    monkeypatch.setattr(worker, "_ACTS", {Job.SWEEP: fail})

    worker.run("sweep", 7)

    (record,) = caplog.records
    assert record.getMessage().startswith("job failed: sweep 7 (ValueError at test_worker.py:")
    assert not record.exc_info
    assert "138" not in caplog.text


@pytest.mark.parametrize("job", list(Job))
def test_no_job_raises_whatever_row_it_is_given(
    parts: Parts, job: Job, caplog: pytest.LogCaptureFixture
) -> None:
    """A row may be gone by the time the nudge comes; recurring jobs have no row at all."""
    caplog.set_level(logging.CRITICAL)
    del parts

    worker.run(job.value, 404)

    assert caplog.records == []


def test_an_order_is_attributed_by_its_job(parts: Parts, now: datetime) -> None:
    with parts.database.transaction() as session:
        task = a_task(session, a_guide(session), now=now, state=TaskState.DELIVERED)
        a_sent_touch(session, task, at=now)
        order = an_order(session, session.get_one(Member, task.member_id), now=now).order

    worker.run("attribute_order", order.id)

    with parts.database.transaction() as session:
        assert session.get_one(Order, order.id).is_attribution_due is False
        assert session.exec(select(Attribution)).one().care_task_id == task.id


def test_a_launch_goes_through_the_real_queue(parts: Parts, now: datetime) -> None:
    with parts.database.transaction() as session:
        li = a_customer(session, a_guide(session), now=now)
        campaign = a_draft(session, now=now)
        launch.freeze(session, campaign, actor="hq:chen", now=now)

    before = waiting(parts)
    work_all(parts)

    assert before == {f"launch_campaign-{campaign.id:x}"}
    with parts.database.transaction() as session:
        assert session.exec(select(CareTask)).one().member_id == li.id


def test_the_sweep_nudges_what_a_flushed_redis_forgot(parts: Parts, now: datetime) -> None:
    with parts.database.transaction() as session:
        wang = a_guide(session)
        campaign = a_draft(session, now=now, state=CampaignState.LAUNCHING)
        task = a_task(session, wang, now=now, state=TaskState.SENDING)
        lease = now + timedelta(minutes=5)
        touch = a_sent_touch(session, task, at=now, state=TouchState.RESERVED, lease_until=lease)
        order = an_order(session, a_member(session), now=now).order
        post(session, NoticeForm("n1", wang.id, NoticeKind.CARD, {"text": "x"}), now=now)
    parts.redis.flushdb()

    worker.run("sweep", 0)

    assert waiting(parts) == {
        f"launch_campaign-{campaign.id:x}",
        f"deliver_touch-{touch.id:x}",
        f"attribute_order-{order.id:x}",
        "send_notice-1",
    }


def test_the_sweep_leaves_what_is_done(parts: Parts, now: datetime) -> None:
    with parts.database.transaction() as session:
        order = an_order(session, a_member(session), now=now).order
        order.is_attribution_due = False
        a_draft(session, now=now)
        task = a_task(session, a_guide(session), now=now, state=TaskState.DELIVERED)
        a_sent_touch(session, task, at=now)
    parts.redis.flushdb()

    worker.run("sweep", 0)

    assert waiting(parts) == set()


def test_deadlines_pass_by_their_job(parts: Parts, now: datetime) -> None:
    with parts.database.transaction() as session:
        task = a_task(session, a_guide(session), now=now, deadline_at=now)

    worker.run("pass_deadlines", 0)

    with parts.database.transaction() as session:
        assert session.get_one(CareTask, task.id).state is TaskState.SUPPRESSED


def test_commissions_are_confirmed_by_the_job_for_what_expires(parts: Parts, now: datetime) -> None:
    then = now - timedelta(days=8)
    with parts.database.transaction() as session:
        task = a_task(session, a_guide(session), now=then, state=TaskState.DELIVERED)
        a_sent_touch(session, task, at=then)
        member = session.get_one(Member, task.member_id)
        order = an_order(session, member, now=then).order
    worker.run("attribute_order", order.id)

    worker.run("expire", 0)

    with parts.database.transaction() as session:
        assert session.exec(select(Commission)).one().state is CommissionState.CONFIRMED


def test_the_invariants_shout_when_ledger_and_lots_disagree(
    parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    with parts.database.transaction() as session:
        a_member(session, points=100)
    worker.run("check_invariants", 0)
    before = list(caplog.records)
    with parts.database.transaction() as session:
        session.connection().execute(text("UPDATE points_lots SET remaining = remaining - 1"))

    worker.run("check_invariants", 0)

    assert before == []
    assert [record.getMessage() for record in caplog.records] == [
        "points ledger and lots disagree for 1 members"
    ]


def test_the_same_job_for_the_same_row_waits_once(redis: Redis) -> None:
    queue = make_queue(redis)
    nudge = Nudger(queue)

    for item in [(Job.DELIVER_TOUCH, 31), (Job.DELIVER_TOUCH, 31), (Job.SEND_NOTICE, 31)]:
        nudge(item)

    assert queue.job_ids == ["deliver_touch-1f", "send_notice-1f"]


def test_a_job_that_was_done_can_be_nudged_again(parts: Parts) -> None:
    nudge = Nudger(make_queue(parts.redis))
    nudge((Job.SWEEP, 0))
    work_all(parts)

    nudge((Job.SWEEP, 0))

    assert waiting(parts) == {"sweep-0"}


def test_without_redis_a_nudge_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    gone = Redis.from_url(_UNREACHABLE)

    Nudger(make_queue(gone))((Job.DELIVER_TOUCH, 5))

    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == "nudge lost: deliver_touch 5 (ConnectionError)"
    gone.close()


def test_without_redis_a_commit_stands(
    fresh_database: Database, now: datetime, caplog: pytest.LogCaptureFixture
) -> None:
    gone = Redis.from_url(_UNREACHABLE)
    database = Database(fresh_database.engine, Nudger(make_queue(gone)))

    with database.transaction() as session:
        order = an_order(session, a_member(session), now=now).order

    with fresh_database.transaction() as session:
        assert session.get_one(Order, order.id).is_attribution_due
    assert "nudge lost: attribute_order" in caplog.text
    gone.close()


def test_the_clock_goes_on_after_it_was_set_back(
    now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cron, "_TICK_SECONDS", 0)
    stop, instants = threading.Event(), [now, now, now - timedelta(hours=1)]
    nudged: list[tuple[Job, int]] = []

    def clock() -> datetime:
        if len(instants) == 1:
            stop.set()
        return instants.pop(0)

    cron.run(nudged.append, clock, stop)

    assert nudged.count((Job.SWEEP, 0)) == 2


def test_the_clock_nudges_every_line_at_its_pace(
    now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cron, "_TICK_SECONDS", 0)
    stop, ticks = threading.Event(), [now]
    nudged: list[tuple[Job, int]] = []

    def clock() -> datetime:
        ticks.append(ticks[-1] + timedelta(seconds=1))
        if len(ticks) > 13:
            stop.set()
        return ticks[-1]

    cron.run(nudged.append, clock, stop)

    counts = {job: nudged.count((job, 0)) for job in cron.LINES}
    assert counts[Job.SWEEP] == counts[Job.PASS_DEADLINES] == 3
    assert counts[Job.EXPIRE] == counts[Job.CHECK_INVARIANTS] == 1
