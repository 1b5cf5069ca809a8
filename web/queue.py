"""The queue: turns a nudge into an rq job; a lost nudge costs a delay, never a message."""

import logging
from datetime import datetime, timedelta

from redis import Redis
from redis.exceptions import RedisError
from rq import Queue
from rq.exceptions import DuplicateJobError, NoSuchJobError
from rq.job import Job as QueuedJob
from rq.serializers import JSONSerializer

from store import clock
from store.jobs import Job

log = logging.getLogger(__name__)

QUEUE = "zhiyin"
# A new friend is welcomed within 20 seconds, or never (wecom.md §4.2).
_FIRST = frozenset({Job.HEAR_WECOM})
# Long enough for a launch of a million members; everything else takes seconds.
_TIMEOUT_SECONDS = 3600
# Who has worked longer on a job is taken for dead: rq itself would wait out the time-out, and a
# sweep that died with its worker would be the last for an hour.
_PATIENCE = timedelta(minutes=1)


def make_queue(redis: Redis) -> Queue:
    """The one queue; arguments travel as JSON."""
    return Queue(QUEUE, connection=redis, serializer=JSONSerializer)


class Nudger:
    """Hands jobs over; the same job for the same row waits in the queue only once.

    A job that is worked on for longer than `patience` may be done a second time, by another worker:
    its row decides, so that does no harm.
    """

    def __init__(self, queue: Queue, patience: timedelta = _PATIENCE) -> None:
        self._queue = queue
        self._patience = patience

    def __call__(self, item: tuple[Job, int]) -> None:
        """Queue one collected nudge; a broken Redis is logged and left to the sweeper."""
        job, row_id = item
        try:
            self._enqueue(job, row_id)
        except DuplicateJobError:
            return
        except RedisError as error:
            log.warning("nudge lost: %s %s (%s)", job, row_id, type(error).__name__)

    def _enqueue(self, job: Job, row_id: int) -> None:
        job_id = f"{job.value}-{row_id:x}"
        try:
            self._put(job, row_id, job_id)
        except DuplicateJobError:
            if not self._forgotten(job_id):
                raise
            log.warning("job given up by its worker: %s %s", job, row_id)
            self._put(job, row_id, job_id)

    def _put(self, job: Job, row_id: int, job_id: str) -> None:
        self._queue.enqueue_call(
            "web.worker.run",
            args=(job.value, row_id),
            job_id=job_id,
            unique=True,
            at_front=job in _FIRST,
            timeout=_TIMEOUT_SECONDS,
            result_ttl=0,
            failure_ttl=0,
        )

    def _forgotten(self, job_id: str) -> bool:
        """Whether the job with this id died with its worker; if so, it is out of the way now."""
        try:
            found = QueuedJob.fetch(job_id, self._queue.connection, serializer=JSONSerializer)
        except NoSuchJobError:
            # Redis was emptied in the middle of it, and a heartbeat wrote a bit of it anew.
            self._queue.connection.delete(QueuedJob.key_for(job_id))
            return True
        began = found.started_at or self._dropped_at(found)
        if began is None or clock.real() - began < self._patience:
            return False
        found.delete()
        return True

    def _dropped_at(self, found: QueuedJob) -> datetime | None:
        """When a job was queued that left the queue and never began: its worker died in between."""
        between = self._queue.connection.lrange(self._queue.intermediate_queue_key, 0, -1)
        return found.enqueued_at if found.id.encode() in between else None
