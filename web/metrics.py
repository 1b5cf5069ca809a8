"""`GET /metrics`: how the house is doing, in Prometheus' text format; no label names a person.

Every figure is read from the database or Redis when it is asked for, so that all processes tell the
same, and a process that died takes nothing with it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from ipaddress import ip_address
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily as Gauge
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector
from redis.exceptions import RedisError
from rq import Worker
from rq.serializers import JSONSerializer
from sqlalchemy.exc import DBAPIError

from store import api_keys, figures
from store.figures import Figures
from web.deps import NowDep, PartsDep
from web.parts import Parts
from web.queue import make_queue

router = APIRouter()
_BEARER = HTTPBearer(auto_error=False)
# A proxy on this machine speaks from the loopback address for the whole world.
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")


def _is_let_in(
    request: Request,
    parts: PartsDep,
    shown: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)],
) -> None:
    if _is_from_here(request):
        return
    with parts.database.transaction() as session:
        if shown is None or api_keys.holder(session, shown.credentials) is None:
            raise HTTPException(
                HTTPStatus.UNAUTHORIZED,
                "Ask from this machine, or with a key in `Authorization: Bearer …`.",
                {"WWW-Authenticate": "Bearer"},
            )


@router.get("/metrics", dependencies=[Depends(_is_let_in)])
def metrics(parts: PartsDep, now: NowDep) -> Response:
    """What is there to count at this moment."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_House(parts, now))
    return Response(generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})


def _is_from_here(request: Request) -> bool:
    if request.client is None or any(name in request.headers for name in _FORWARDED):
        return False
    try:
        return ip_address(request.client.host).is_loopback
    except ValueError:
        return False


@dataclass(eq=False)
class _House(Collector):
    """The figures of one instant; a server that does not answer is `zhiyin_up 0`."""

    parts: Parts
    now: datetime
    _up: Gauge = field(
        default_factory=lambda: Gauge("zhiyin_up", "Whether the server answers.", labels=["server"])
    )

    def collect(self) -> Iterator[Gauge]:
        """Every family with its samples."""
        yield from self._of_database()
        yield from self._of_redis()
        yield self._up

    def _of_database(self) -> Iterator[Gauge]:
        try:
            with self.parts.database.transaction() as session:
                found = figures.read(session, now=self.now)
        except DBAPIError:
            self._up.add_metric(["database"], 0)
            return
        self._up.add_metric(["database"], 1)
        yield from _touches(found, self.now)
        yield from _ways(found)
        yield from _callbacks(found)

    def _of_redis(self) -> Iterator[Gauge]:
        queue = make_queue(self.parts.redis)
        try:
            waiting, workers = queue.count, Worker.all(queue=queue, serializer=JSONSerializer)
        except RedisError:
            self._up.add_metric(["redis"], 0)
            return
        self._up.add_metric(["redis"], 1)
        yield Gauge("zhiyin_queue_jobs", "Jobs that wait for a worker.", waiting)
        yield Gauge("zhiyin_workers", "Workers that have been heard of lately.", len(workers))


def _touches(found: Figures, now: datetime) -> Iterator[Gauge]:
    labels = ["channel", "state"]
    recent = Gauge("zhiyin_touches_last_hour", "Touches asked for in the last hour.", labels=labels)
    for channel, state, touches in found.recent:
        recent.add_metric([channel, state], touches)
    waiting = Gauge("zhiyin_touches_waiting", "Touches that are not over.", labels=labels)
    oldest = Gauge(
        "zhiyin_touches_oldest_waiting_seconds",
        "How long the oldest is due (asked), reserved, or out without an answer.",
        labels=labels,
    )
    for channel, state, touches, since in found.waiting:
        waiting.add_metric([channel, state], touches)
        age = (now - since).total_seconds() if since is not None else 0.0
        oldest.add_metric([channel, state], max(age, 0.0))
    yield from (recent, waiting, oldest)


def _ways(found: Figures) -> Iterator[Gauge]:
    circuits = Gauge(
        "zhiyin_circuits_open",
        "Ways out that are paused because their platform fails.",
        labels=["channel", "account", "state"],
    )
    for channel, account, state in found.circuits:
        circuits.add_metric([channel, account, state], 1)
    yield circuits
    yield Gauge("zhiyin_letters_open", "Lost messages that wait for a person.", found.letters)


def _callbacks(found: Figures) -> Iterator[Gauge]:
    heard = Gauge(
        "zhiyin_callbacks_last_5_minutes", "Callbacks by what became of them.", labels=["state"]
    )
    took = Gauge(
        "zhiyin_callbacks_last_5_minutes_seconds",
        "Seconds that they took, all together.",
        labels=["state"],
    )
    slowest = Gauge(
        "zhiyin_callbacks_last_5_minutes_p99_seconds",
        "Seconds within which 99 of 100 were handled.",
        labels=["state"],
    )
    for state, callbacks, seconds, longest in found.callbacks:
        heard.add_metric([state], callbacks)
        took.add_metric([state], seconds)
        slowest.add_metric([state], longest)
    yield from (heard, took, slowest)
    yield Gauge("zhiyin_callbacks_waiting", "Callbacks that a worker has to do.", found.unheard)
