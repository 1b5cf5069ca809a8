"""The worker: rq knows one function, `run`; the table below names the act behind every job."""

import logging
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from redis import Redis
from redis.client import Pipeline
from rq import Queue, SimpleWorker, worker_registration
from rq.exceptions import InvalidJobOperation
from rq.job import Job as QueuedJob
from rq.serializers import JSONSerializer
from rq.worker import WorkerStatus
from sqlalchemy import text
from sqlmodel import col, select
from sqlmodel.sql.expression import SelectOfScalar

from bot import delivery, handing_over, notifying, scene_codes, stopping
from bot.late import send_answer, sweep_answers
from bot.people import cards as people_cards
from bot.people import events, moving, steps, syncs, ways
from bot.reconciling import reconcile
from fatigue import audit, holding, replaying
from guide_tasks import (
    attribution,
    deadlines,
    departures,
    giving_way,
    launch,
    next_in_line,
    nudging,
    scheduling,
    tasks,
)
from store import (
    codes,
    contacts,
    coupons,
    gifts,
    inbound,
    late,
    notices,
    points,
    scenes,
    silences,
    sync_runs,
)
from store import departures as leaving
from store.accounts import Platform
from store.campaigns import Campaign, CampaignState
from store.errors import whereabouts
from store.jobs import Job, after_commit
from store.orders import Order
from store.policies import PolicyReplay, ReplayState
from store.touches import Touch, TouchState
from web.parts import Parts
from web.queue import make_queue

log = logging.getLogger(__name__)

_PARTS: list[Parts] = []
_SWEEP_LIMIT = 500
# A breach is told some nights long; what an older policy allowed is none.
_AUDITED = timedelta(days=8)


class _Worker(SimpleWorker):
    """Outlives a Redis that is emptied, and remembers whether it was told to stop: rq also gives up
    when Redis breaks off in a job.
    """

    is_told = False

    def execute_job(self, job: QueuedJob, queue: Queue) -> None:
        """Do one job. If Redis has forgotten it meanwhile, it is done all the same."""
        try:
            super().execute_job(job, queue)
        except InvalidJobOperation:
            log.warning("Redis was emptied while a job was done: %s", job.id)
            self.connection.delete(job.key)
            self.set_state(WorkerStatus.IDLE)

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        """Be there, also for a Redis that has forgotten who works for it."""
        super().heartbeat(timeout, pipeline)
        worker_registration.register(self, pipeline)

    def handle_warm_shutdown_request(self) -> None:
        """SIGTERM or Ctrl-C has come."""
        self.is_told = True


def work(parts: Parts, redis: Redis) -> None:
    """Serve the queue until told to stop; one process, one job at a time.

    Ends as a failure when nobody told it to, so that a supervisor starts it again.
    """
    _PARTS[:] = [parts]
    worker = _Worker([make_queue(redis)], connection=redis, serializer=JSONSerializer)
    worker.work(logging_level="WARNING")
    if not worker.is_told:
        raise SystemExit("The queue broke off in the middle; start the worker again.")


def run(job: str, row_id: int) -> None:
    """Do one job. What goes wrong is logged by kind; the row is still there for the sweeper."""
    parts = _PARTS[0]
    began = time.monotonic()
    try:
        _ACTS[Job(job)](parts, row_id)
    except Exception as error:
        place = whereabouts(error)
        log.exception("job failed: %s %s (%s)", job, row_id, place, exc_info=False)
    else:
        log.info("job done: %s %s in %.0f ms", job, row_id, (time.monotonic() - began) * 1000)


def _launch(parts: Parts, campaign_id: int) -> None:
    url = parts.settings.public_url
    launch.run(parts.database, campaign_id, public_url=url, now=parts.clock())


def _make_scene(parts: Parts, row: int) -> None:
    makers = {
        Platform.WECHAT: scene_codes.of_wechat(parts.wechat),
        Platform.WECOM: ways.maker(parts.wecom),
    }
    scene_codes.make(parts.database, makers, row, clock=parts.clock)


def _hear_wecom(parts: Parts, row: int) -> None:
    url = parts.settings.public_url
    welcome = events.hear(parts.database, row, public_url=url, clock=parts.clock)
    if welcome is not None:
        # Twenty seconds are too short to stand in line again.
        delivery.deliver(parts.database, parts.channels, welcome, clock=parts.clock)


def _begin_syncs(parts: Parts) -> None:
    syncs.begin_due(parts.database, now=parts.clock())
    ways.renew_due(parts.database, now=parts.clock())


def _attribute(parts: Parts, order_id: int) -> None:
    url = parts.settings.public_url
    with parts.database.transaction() as session:
        attribution.attribute(session, order_id, public_url=url, now=parts.clock())


def _expire(parts: Parts, _row: int) -> None:
    now = parts.clock()
    while _expire_gifts(parts, now) >= gifts.MOST_AT_ONCE:
        pass
    while _expire_points(parts, now):
        pass
    for act in (coupons.expire_due, codes.expire_due, holding.forget):
        with parts.database.transaction() as session:
            act(session, now)
    attribution.confirm_due(parts.database, now=now)


def _expire_points(parts: Parts, now: datetime) -> int:
    with parts.database.transaction() as session:
        return points.expire_due(session, now)


def _expire_gifts(parts: Parts, now: datetime) -> int:
    with parts.database.transaction() as session:
        return gifts.expire_due(session, now)


def _check_invariants(parts: Parts, _row: int) -> None:
    """What must never be: shout when it is."""
    with parts.database.transaction() as session:
        # An import that was killed right after its commit has not done so itself.
        silences.recall_all(session, secret_key=parts.settings.secret, now=parts.clock())
    with parts.database.transaction() as session:
        for breach in audit.audit_caps(session, since=parts.clock() - _AUDITED):
            log.critical("cap exceeded: %s", breach)
        owed = session.connection().execute(_LEDGER_SQL).scalar_one()
        if owed:
            log.critical("points ledger and lots disagree for %s members", owed)


# sum(entries) = sum(remaining) - debt, and a debt leaves no lot with anything in it.
_LEDGER_SQL = text("""
    SELECT count(*) FROM (
        SELECT coalesce(e.total, 0) AS entries, coalesce(l.total, 0) AS lots
        FROM (SELECT member_id, sum(points) AS total FROM points_entries GROUP BY 1) e
        FULL JOIN (SELECT member_id, sum(remaining) AS total FROM points_lots GROUP BY 1) l
        USING (member_id)
    ) sums WHERE entries > lots OR (entries < lots AND entries >= 0)
""")


def _sweep(parts: Parts, _row: int) -> None:
    """Nudge every row that a lost job left behind, then move what has come due.

    In this order, so that a touch that cannot be moved keeps no other row waiting.
    """
    with parts.database.transaction() as session:
        for job, query in _left_behind(parts.clock()).items():
            for row_id in session.exec(query.limit(_SWEEP_LIMIT)).all():
                after_commit(session, job, row_id)
        reserved = select(Touch.id).where(Touch.state == TouchState.RESERVED)
        delivery.nudge(session, session.exec(reserved.limit(_SWEEP_LIMIT)).all())
    delivery.sweep(parts.database, now=parts.clock())
    giving_way.tell(parts.database, now=parts.clock())
    sweep_answers(parts.database, now=parts.clock())


def _pass_deadlines(parts: Parts) -> None:
    tasks.hand_over_absent(parts.database, now=parts.clock())
    deadlines.pass_due(parts.database, now=parts.clock())


def _move_contacts(parts: Parts) -> None:
    url = parts.settings.public_url
    next_in_line.plan_again(parts.database, public_url=url, now=parts.clock())
    moving.move_due(parts.database, parts.wecom, clock=parts.clock)


def _ask_after(parts: Parts) -> None:
    delivery.poll_broadcasts(parts.database, parts.channels, clock=parts.clock)
    stopping.stop_overdue(parts.database, parts.channels, clock=parts.clock)
    reconcile(parts.database, parts.channels, clock=parts.clock)


def _left_behind(now: datetime) -> dict[Job, SelectOfScalar[int]]:
    return {
        Job.LAUNCH_CAMPAIGN: select(Campaign.id).where(Campaign.state == CampaignState.LAUNCHING),
        Job.HOLD_CAMPAIGN: scheduling.unheld(),
        Job.REPLAY_POLICY: select(PolicyReplay.id).where(PolicyReplay.state == ReplayState.RUNNING),
        Job.SEND_ANSWER: late.waiting(now),
        Job.SEND_NOTICE: notices.waiting(now),
        Job.MAKE_SCENE: scenes.waiting(now),
        Job.HEAR_WECOM: inbound.unheard(now),
        Job.STEP_CONTACT: contacts.waiting(now),
        Job.SYNC: sync_runs.waiting(now),
        Job.HAND_OVER: leaving.waiting(),
        Job.ATTRIBUTE_ORDER: select(Order.id).where(col(Order.is_attribution_due)),
    }


_ACTS: Mapping[Job, Callable[[Parts, int], object]] = {
    Job.DELIVER_TOUCH: lambda parts, row: delivery.deliver(
        parts.database, parts.channels, row, clock=parts.clock
    ),
    Job.DELIVER_WAITING: lambda parts, lane: delivery.deliver_waiting(
        parts.database, parts.channels, lane, clock=parts.clock
    ),
    Job.SEND_NOTICE: lambda parts, row: notifying.send_notice(
        parts.database, parts.channels, row, clock=parts.clock
    ),
    Job.SEND_ANSWER: lambda parts, row: send_answer(
        parts.desk, parts.wechat, parts.makers, row, clock=parts.clock
    ),
    Job.MAKE_SCENE: _make_scene,
    Job.LAUNCH_CAMPAIGN: _launch,
    Job.HOLD_CAMPAIGN: lambda parts, row: scheduling.hold_audience(
        parts.database, row, now=parts.clock()
    ),
    Job.LAUNCH_DUE: lambda parts, _: scheduling.launch_due(parts.database, now=parts.clock()),
    Job.REPLAY_POLICY: lambda parts, row: replaying.run(parts.database, row, now=parts.clock()),
    Job.ATTRIBUTE_ORDER: _attribute,
    Job.SWEEP: _sweep,
    Job.PASS_DEADLINES: lambda parts, _: _pass_deadlines(parts),
    Job.REMIND_GUIDES: lambda parts, _: nudging.remind_due(
        parts.database, public_url=parts.settings.public_url, now=parts.clock()
    ),
    Job.POLL_BROADCASTS: lambda parts, _: _ask_after(parts),
    Job.CHECK_INVARIANTS: _check_invariants,
    Job.EXPIRE: _expire,
    Job.HEAR_WECOM: _hear_wecom,
    Job.STEP_CONTACT: lambda parts, row: steps.step(
        parts.database, parts.wecom, row, clock=parts.clock
    ),
    Job.SYNC: lambda parts, row: syncs.run(parts.database, parts.wecom, row, clock=parts.clock),
    Job.BEGIN_SYNCS: lambda parts, _: _begin_syncs(parts),
    Job.CHANGE_CARD: lambda parts, row: people_cards.change(
        parts.database, parts.wecom, row, clock=parts.clock
    ),
    Job.HAND_OVER: lambda parts, row: departures.hand_over(parts.database, row, now=parts.clock()),
    Job.MOVE_CONTACTS: lambda parts, _: _move_contacts(parts),
    Job.TEND_HANDOVERS: lambda parts, _: handing_over.tend(
        parts.database, public_url=parts.settings.public_url, now=parts.clock()
    ),
}
