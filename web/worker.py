"""The worker: rq knows one function, `run`; the table below names the act behind every job."""

import logging
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from redis import Redis
from rq import SimpleWorker
from rq.serializers import JSONSerializer
from sqlalchemy import text
from sqlmodel import col, select
from sqlmodel.sql.expression import SelectOfScalar

from bot import delivery, handing_over, notifying, scene_codes
from bot.late import send_answer, sweep_answers
from fatigue import audit
from guide_tasks import attribution, deadlines, launch
from store import codes, coupons, gifts, late, notices, points, scenes, silences
from store.campaigns import Campaign, CampaignState
from store.errors import whereabouts
from store.jobs import Job, after_commit
from store.orders import Order
from store.touches import Touch, TouchState
from web.parts import Parts
from web.queue import make_queue

log = logging.getLogger(__name__)

_PARTS: list[Parts] = []
_SWEEP_LIMIT = 500
# A breach is told some nights long; what an older policy allowed is none.
_AUDITED = timedelta(days=8)


def work(parts: Parts, redis: Redis) -> None:
    """Serve the queue until told to stop; one process, one job at a time."""
    _PARTS[:] = [parts]
    queue = make_queue(redis)
    worker = SimpleWorker([queue], connection=redis, serializer=JSONSerializer)
    worker.work(logging_level="WARNING")


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


def _attribute(parts: Parts, order_id: int) -> None:
    url = parts.settings.public_url
    with parts.database.transaction() as session:
        attribution.attribute(session, order_id, public_url=url, now=parts.clock())


def _expire(parts: Parts, _row: int) -> None:
    now = parts.clock()
    while _expire_gifts(parts, now) >= gifts.MOST_AT_ONCE:
        pass
    for act in (points.expire_due, coupons.expire_due, codes.expire_due):
        with parts.database.transaction() as session:
            act(session, now)
    attribution.confirm_due(parts.database, now=now)


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
    delivery.sweep(parts.database, now=parts.clock())
    sweep_answers(parts.database, now=parts.clock())


def _left_behind(now: datetime) -> dict[Job, SelectOfScalar[int]]:
    return {
        Job.LAUNCH_CAMPAIGN: select(Campaign.id).where(Campaign.state == CampaignState.LAUNCHING),
        Job.SEND_ANSWER: late.waiting(now),
        Job.SEND_NOTICE: notices.waiting(now),
        Job.MAKE_SCENE: scenes.waiting(now),
        Job.ATTRIBUTE_ORDER: select(Order.id).where(col(Order.is_attribution_due)),
        Job.DELIVER_TOUCH: select(Touch.id).where(Touch.state == TouchState.RESERVED),
    }


_ACTS: Mapping[Job, Callable[[Parts, int], object]] = {
    Job.DELIVER_TOUCH: lambda parts, row: delivery.deliver(
        parts.database, parts.channels, row, clock=parts.clock
    ),
    Job.SEND_NOTICE: lambda parts, row: notifying.send_notice(
        parts.database, parts.channels, row, clock=parts.clock
    ),
    Job.SEND_ANSWER: lambda parts, row: send_answer(
        parts.desk, parts.wechat, parts.makers, row, clock=parts.clock
    ),
    Job.MAKE_SCENE: lambda parts, row: scene_codes.make(
        parts.database, parts.wechat, row, clock=parts.clock
    ),
    Job.LAUNCH_CAMPAIGN: _launch,
    Job.ATTRIBUTE_ORDER: _attribute,
    Job.SWEEP: _sweep,
    Job.PASS_DEADLINES: lambda parts, _: deadlines.pass_due(parts.database, now=parts.clock()),
    Job.POLL_BROADCASTS: lambda parts, _: delivery.poll_broadcasts(
        parts.database, parts.channels, now=parts.clock()
    ),
    Job.CHECK_INVARIANTS: _check_invariants,
    Job.EXPIRE: _expire,
    Job.TEND_HANDOVERS: lambda parts, _: handing_over.tend(
        parts.database, public_url=parts.settings.public_url, now=parts.clock()
    ),
}
