"""The processes: `zhiyin serve`, `zhiyin worker` and `zhiyin cron`."""

import gc
import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import click
import uvicorn

from bot import understanding
from store import migrate
from web import cron, wiring, worker
from web.app import create_app, warm
from web.corking import CorkedHttp
from web.entrance import read_settings, servers
from web.parts import Parts
from web.queue import Nudger, make_queue

_GRACE_SECONDS = 5


@contextmanager
def _parts() -> Iterator[Parts]:
    """The parts of this process, with servers that answer and a database at the newest revision."""
    logging.basicConfig(level="INFO", format="%(asctime)s %(levelname)s %(name)s %(message)s")
    settings = read_settings()
    with servers(settings) as held:
        migrate.upgrade(held.database_url)
        urls = {"database_url": held.database_url, "redis_url": held.redis_url}
        with wiring.build(settings.model_copy(update=urls)) as parts:
            yield parts


def _settle() -> None:
    """What is there now stays for good: the collector need not walk through it again and again."""
    gc.collect()
    gc.freeze()


@click.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True)
def serve(host: str, port: int) -> None:
    """Serve the doors, the API and the pages."""
    with _parts() as parts:
        if parts.settings.embedding_enabled:
            # The first person who writes freely should not wait for the model to open.
            threading.Thread(target=understanding.warm, daemon=True).start()
        app = create_app(parts)
        warm(app)
        _settle()
        uvicorn.run(
            app,
            http=CorkedHttp,
            host=host,
            port=port,
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )


@click.command("worker")
def work() -> None:
    """Do the jobs of the queue."""
    with _parts() as parts:
        _settle()
        worker.work(parts, parts.redis)


@click.command("cron")
def tick() -> None:
    """Nudge the recurring jobs; one process of these is enough."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with _parts() as parts:
        cron.run(Nudger(make_queue(parts.redis)), parts.clock, stop)
