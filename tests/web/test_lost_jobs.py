"""A worker that is killed in the middle takes no job with it for longer than a minute."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta

import pytest
from redis import Redis
from rq import Worker
from rq.serializers import JSONSerializer

from store.jobs import Job
from tests.waiting import SECONDS, until
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
    time.sleep(600)

worker.run = stall
redis = Redis.from_url(sys.argv[1])
SimpleWorker([make_queue(redis)], connection=redis, serializer=JSONSerializer).work(
    logging_level="ERROR"
)
"""


_SERVING = """
import sys
from redis import Redis
from redis.exceptions import ConnectionError
from rq import SimpleWorker
from web import worker

def served(*_):
    print("began", flush=True)
    if sys.argv[2] == "breaks off":
        raise ConnectionError("Redis is away.")

SimpleWorker.execute_job = served
worker.work(None, Redis.from_url(sys.argv[1]))
"""

_EMPTIED = """
import sys
from redis import Redis
from rq import SimpleWorker
from store.jobs import Job
from web import worker
from web.queue import Nudger, make_queue

redis = Redis.from_url(sys.argv[1])
if sys.argv[2] == "by rq alone":
    worker._Worker.execute_job = SimpleWorker.execute_job

def act(job, row_id):
    print(job, flush=True)
    if job == "sweep":
        redis.flushdb()
        Nudger(make_queue(redis))((Job.EXPIRE, 0))

worker.run = act
worker.work(None, redis)
"""


@pytest.fixture
def stalled(redis: Redis, redis_url: str) -> Iterator[subprocess.Popen[bytes]]:
    """A worker in the middle of a sweep that will take many minutes."""
    Nudger(make_queue(redis))(_ITEM)
    command = [sys.executable, "-c", _WORKER, redis_url]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as worker:
        assert worker.stdout is not None
        try:
            assert worker.stdout.readline() == b"began\n"
            yield worker
        finally:
            worker.kill()


@pytest.mark.parametrize(("what", "code"), [("breaks off", 1), ("is told to stop", 0)])
def test_a_worker_ends_as_a_failure_unless_it_was_told_to_stop(
    redis: Redis, redis_url: str, what: str, code: int
) -> None:
    Nudger(make_queue(redis))(_ITEM)
    command = [sys.executable, "-c", _SERVING, redis_url, what]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as worker:
        assert worker.stdout is not None
        try:
            assert worker.stdout.readline() == b"began\n"
            if code == 0:
                worker.terminate()
            ended = worker.wait(SECONDS)
        finally:
            worker.kill()

    assert ended == code


@pytest.mark.parametrize(("who", "then"), [("by ours", b"expire\n"), ("by rq alone", b"")])
def test_a_worker_goes_on_when_redis_is_emptied_in_the_middle_of_a_job(
    redis: Redis, redis_url: str, who: str, then: bytes
) -> None:
    """With rq's own way of it the worker ends."""
    Nudger(make_queue(redis))(_ITEM)
    command = [sys.executable, "-c", _EMPTIED, redis_url, who]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as worker:
        assert worker.stdout is not None
        try:
            done = [worker.stdout.readline() for _ in range(2)]
            worker.terminate()
            ended = worker.wait(SECONDS)
        finally:
            worker.kill()

    assert done == [b"sweep\n", then]
    assert ended == (1 if who == "by rq alone" else 0)


def test_an_emptied_redis_learns_again_who_works_for_it(redis: Redis, redis_url: str) -> None:
    Nudger(make_queue(redis))(_ITEM)
    command = [sys.executable, "-c", _EMPTIED, redis_url, "by ours"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as worker:
        assert worker.stdout is not None
        try:
            assert [worker.stdout.readline() for _ in range(2)] == [b"sweep\n", b"expire\n"]
            queue = make_queue(redis)
            until(lambda: len(Worker.all(queue=queue, serializer=JSONSerializer)) == 1)
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


def test_what_a_heartbeat_left_of_a_job_in_an_emptied_redis_is_out_of_the_way(redis: Redis) -> None:
    queue = make_queue(redis)
    redis.hset(f"rq:job:{_ITEM[0].value}-{_ITEM[1]:x}", "last_heartbeat", "2026-03-02T02:00:00Z")

    Nudger(queue)(_ITEM)

    assert queue.job_ids == ["sweep-0"]
