"""The ground of a storm: own servers and the house's processes, each of which may be killed.

What ends by itself, or is killed, is started again, as a supervisor would do; how often each of
them was is counted.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import httpx
from redis import Redis
from redis.exceptions import RedisError
from rq.suspension import resume, suspend

from sandbox.processes import free_port, wait_until_answers
from store import migrate
from store.embedded.postgres import Postgres
from store.embedded.process import spawn
from store.embedded.valkey import Valkey
from tests.chaos.showing import left_running
from web.queue import make_queue

ROOT = Path(__file__).parents[2]
WORKERS = 4
ASKERS = 2
_ZHIYIN = (sys.executable, "-m", "web.cli")
_START_SECONDS = 60.0
# A process that ends at once is not started again in a tight loop.
_REST_SECONDS = 0.5
_STOP_SECONDS = 10.0
# Ten batches of a lane with slow calls among them, or the start of a worker on a busy machine.
_JOB_SECONDS = 180.0
# A worker that rests looks up once a second.
_SUSPENDED_FOR = 2.0
_STATES_OF_WORKERS = "rq:worker:*"


class Ground:
    """Servers and processes under one `var`; use as a context, in the main thread.

    `worker` is the command of the workers: a twin brings its own.
    """

    def __init__(self, var: Path, worker: tuple[str, ...] = (*_ZHIYIN, "worker")) -> None:
        self.var = var
        self.starts: Counter[str] = Counter()
        self.deaths: Counter[str] = Counter()
        self._sockets = Path(tempfile.mkdtemp(prefix="zhiyin-storm-"))
        self._postgres = Postgres(var, self._sockets)
        self._valkey = Valkey(var, self._sockets)
        self.sandbox = f"http://127.0.0.1:{free_port(8150)}"
        self.product = f"http://127.0.0.1:{free_port(8050)}"
        self._commands: dict[str, tuple[str, ...]] = {
            f"worker{number}": worker for number in range(WORKERS)
        }
        self._commands |= {
            "cron": (*_ZHIYIN, "cron"),
            "web": (*_ZHIYIN, "serve", "--port", self.product.rpartition(":")[2]),
        }
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._rest_until: dict[str, float] = {}

    def __enter__(self) -> Self:
        try:
            self._postgres.start(_say, _nothing)
            self._valkey.start(_say, _nothing)
            migrate.upgrade(self.database_url)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        assert left_running(self.var) == []

    @property
    def database_url(self) -> str:
        """Where the record is."""
        return self._postgres.url

    @property
    def redis_url(self) -> str:
        """Where the queue is."""
        return self._valkey.url

    def open(self, environment: Mapping[str, str]) -> None:
        """Start the sandbox, then the house in `environment`, and wait until both answer."""
        self._environment = [f"{name}={value}" for name, value in environment.items()]
        port, receipts = self.sandbox.rpartition(":")[2], str(self.var / "receipts.jsonl")
        sandbox = (*_ZHIYIN, "sandbox", "--port", port, "--receipts", receipts)
        self._start("sandbox", sandbox)
        for name, command in self._commands.items():
            self._start(name, command)
        for url in (f"{self.sandbox}/", f"{self.product}/readyz"):
            wait_until_answers(url, _START_SECONDS)

    def join(self, name: str, *command: str) -> None:
        """One more process, kept running like the others."""
        self._commands[name] = (sys.executable, "-m", *command)
        self._start(name, self._commands[name])

    def dismiss(self, name: str) -> None:
        """End a process for good."""
        self._commands.pop(name, None)
        self._end(self._running.pop(name))

    def tend(self) -> None:
        """Start again what has ended."""
        for name, command in self._commands.items():
            process = self._running.get(name)
            if process is not None and process.poll() is not None:
                self.deaths[f"{name.rstrip('0123456789')} ended with {process.returncode}"] += 1
                self._rest_until[name] = time.monotonic() + _REST_SECONDS
                del self._running[name]
            elif process is None and time.monotonic() > self._rest_until.get(name, 0.0):
                self._start(name, command)
        assert self._running["sandbox"].poll() is None, "The sandbox has fallen."

    def kill(self, name: str) -> None:
        """`kill -9`; nothing when it is not there just now."""
        process = self._running.get(name)
        if process is not None and process.poll() is None:
            process.kill()
            process.wait()

    def rest(self) -> None:
        """Every worker ends what it is about, and nobody begins anything before `wake`."""
        self._signal_cron(signal.SIGSTOP)
        until = time.monotonic() + _JOB_SECONDS
        with Redis.from_url(self.redis_url) as redis:
            while not self._comes_to_rest(redis, until):
                resume(redis)
                time.sleep(_SUSPENDED_FOR)

    def _comes_to_rest(self, redis: Redis, until: float) -> bool:
        """Whether all did. One that died on the way has left its state, so all are asked anew."""
        deaths = self.deaths.total()
        for key in redis.scan_iter(_STATES_OF_WORKERS, _type="HASH"):
            redis.hdel(key, "state")
        suspend(redis)
        queue = make_queue(redis)
        while self._resting(redis) < WORKERS:
            assert time.monotonic() < until, "A worker does not come to rest."
            # Who waits for work looks up only when there is some.
            queue.enqueue_call("time.sleep", args=(0.2,), result_ttl=0)
            self.tend()
            time.sleep(0.3)
        self.tend()
        return self.deaths.total() == deaths

    def wake(self) -> None:
        """The next day begins; gives nobody the chance to sleep through it."""
        until = time.monotonic() + _JOB_SECONDS
        with Redis.from_url(self.redis_url) as redis:
            resume(redis)
            while self._resting(redis):
                assert time.monotonic() < until, "A worker does not wake."
                time.sleep(0.1)
        self._signal_cron(signal.SIGCONT)

    def restart_postgres(self, how: signal.Signals) -> None:
        """Stop it by a signal (fast, immediate, or kill -9 of the postmaster), and start it."""
        pid = int((self.var / "postgres" / "postmaster.pid").read_text().split()[0])
        os.kill(pid, how)
        self._wait_for_fault(self._postgres)
        self._postgres.start(_say, _nothing)

    def restart_valkey(self) -> None:
        """Kill it and start it, empty."""
        pid = int((self.var / "valkey" / "valkey.pid").read_text().split()[0])
        os.kill(pid, signal.SIGKILL)
        self._wait_for_fault(self._valkey)
        self._valkey.start(_say, _nothing)

    def flush_valkey(self) -> None:
        """Forget the queue, the tokens and the counts."""
        with Redis.from_url(self.redis_url, socket_timeout=2) as redis:
            try:
                redis.flushall()
            except RedisError:
                return

    def tell(self, what: str, **body: object) -> None:
        """Make something happen in the sandbox."""
        url = f"{self.sandbox}/sandbox/{what}"
        answer = httpx.post(url, json=body, timeout=60, trust_env=False)
        assert answer.is_success, answer.text

    def _resting(self, redis: Redis) -> int:
        keys = redis.scan_iter(_STATES_OF_WORKERS, _type="HASH")
        return sum(redis.hget(key, "state") == b"suspended" for key in keys)

    def _signal_cron(self, number: signal.Signals) -> None:
        cron = self._running.get("cron")
        if cron is not None and cron.poll() is None:
            cron.send_signal(number)

    def _start(self, name: str, command: tuple[str, ...]) -> None:
        self.starts[name.rstrip("0123456789")] += 1
        self._running[name] = spawn(
            ["/usr/bin/env", *self._environment, *command],
            log=self.var / "log" / f"{name}.log",
            folder=ROOT,
            dies_with_us=signal.SIGKILL,
        )

    def _wait_for_fault(self, server: Postgres | Valkey) -> None:
        until = time.monotonic() + _START_SECONDS
        while server.fault() is None:
            assert time.monotonic() < until, "A server does not stop."
            time.sleep(0.02)

    def _stop(self) -> None:
        for process in self._running.values():
            process.terminate()
        for process in self._running.values():
            self._end(process)
        self._valkey.stop(_nothing)
        self._postgres.stop(_nothing)
        shutil.rmtree(self._sockets, ignore_errors=True)

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        process.terminate()
        process.send_signal(signal.SIGCONT)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _say(_sentence: str) -> None:
    """A storm tells its own progress."""


def _nothing() -> None:
    """There is nobody to let in meanwhile."""
