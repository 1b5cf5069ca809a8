"""The queue: turns a nudge into an rq job; a lost nudge costs a delay, never a message."""

import logging

from redis import Redis
from redis.exceptions import RedisError
from rq import Queue
from rq.exceptions import DuplicateJobError
from rq.serializers import JSONSerializer

from store.jobs import Job

log = logging.getLogger(__name__)

QUEUE = "zhiyin"
# Long enough for a launch of a million members; everything else takes seconds.
_TIMEOUT_SECONDS = 3600


def make_queue(redis: Redis) -> Queue:
    """The one queue; arguments travel as JSON."""
    return Queue(QUEUE, connection=redis, serializer=JSONSerializer)


class Nudger:
    """Hands jobs over; the same job for the same row waits in the queue only once."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    def __call__(self, item: tuple[Job, int]) -> None:
        """Queue one collected nudge; a broken Redis is logged and left to the sweeper."""
        job, row_id = item
        try:
            self._queue.enqueue_call(
                "web.worker.run",
                args=(job.value, row_id),
                job_id=f"{job.value}-{row_id:x}",
                unique=True,
                timeout=_TIMEOUT_SECONDS,
                result_ttl=0,
                failure_ttl=0,
            )
        except DuplicateJobError:
            return
        except RedisError as error:
            log.warning("nudge lost: %s %s (%s)", job, row_id, type(error).__name__)
