"""Wiring: builds engine, queue, clients and channels from settings; everything else receives them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

import requests
from redis import Redis

from store import clock
from store.db import Database, make_engine
from store.settings import Settings
from web.parts import Parts
from web.queue import Nudger, make_queue

Clock = Callable[[], datetime]


@contextmanager
def build(settings: Settings, *, tick: Clock = clock.now, pool_size: int = 10) -> Iterator[Parts]:
    """The parts for one process; closes what it opened. Needs both URLs in the settings."""
    assert settings.database_url
    assert settings.redis_url
    engine = make_engine(settings.database_url, pool_size=pool_size)
    redis = Redis.from_url(settings.redis_url)
    database = Database(engine, Nudger(make_queue(redis)))
    http = requests.Session()
    try:
        yield _parts(settings, database, redis, tick)
    finally:
        http.close()
        redis.close()
        engine.dispose()
