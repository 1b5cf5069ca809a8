"""A worker that is killed in the middle takes no job with it for longer than a minute."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta

import pytest
from redis import Redis

from store.jobs import Job
from web.queue import Nudger, make_queue

_ITEM = (Job.SWEEP, 0)
_WORKER = """
import sys, time
from redis import Redis
from rq import SimpleWorker
from rq.serializers import JSONSerializer
from web import worker
from web.queue import make_queue

def stall(job, row_id):
    print("began", flush=True)
    time.sleep(60)

worker.run = stall
redis = Redis.from_url(sys.argv[1])
SimpleWorker([make_queue(redis)], connection=redis, serializer=JSONSerializer).work(
    logging_level="ERROR"
)
"""


@pytest.fixture
def stalled(redis: Redis, redis_url: str) -> Iterator[subprocess.Popen[bytes]]:
    """A worker in the middle of a sweep that will take a minute."""
    Nudger(make_queue(redis))(_ITEM)
    command = [sys.executable, "-c", _WORKER, redis_url]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as worker:
        assert worker.stdout is not None
        try:
            assert worker.stdout.readline() == b"began\n"
            yield worker
        finally:
            worker.kill()


@pytest.mark.usefixtures("stalled")
def test_a_nudge_waits_for_the_job_that_is_being_done(redis: Redis) -> None:
    queue = make_queue(redis)

    Nudger(queue)(_ITEM)

    assert queue.job_ids == []


def test_a_nudge_takes_up_the_job_that_died_with_its_worker(
    redis: Redis, stalled: subprocess.Popen[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    queue = make_queue(redis)
    stalled.kill()
    stalled.wait()

    for _ in range(2):
        Nudger(queue, patience=timedelta(0))(_ITEM)

    assert queue.job_ids == ["sweep-0"]
    assert [record.getMessage() for record in caplog.records] == [
        "job given up by its worker: sweep 0"
    ]


def test_a_nudge_takes_up_the_job_that_its_worker_took_and_never_began(redis: Redis) -> None:
    queue = make_queue(redis)
    Nudger(queue)(_ITEM)
    # What a worker does first; between this and the next step it was killed.
    redis.lmove(queue.key, queue.intermediate_queue_key, "RIGHT", "LEFT")

    for _ in range(2):
        Nudger(queue, patience=timedelta(0))(_ITEM)

    assert queue.job_ids == ["sweep-0"]


def test_a_job_that_waits_long_is_not_given_up(redis: Redis) -> None:
    queue = make_queue(redis)

    for _ in range(2):
        Nudger(queue, patience=timedelta(0))(_ITEM)

    assert queue.job_ids == ["sweep-0"]
