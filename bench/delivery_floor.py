"""What delivery cannot do without, each alone: the calls by the same client, the same row updates.

Runs in processes of its own, as many as there are workers.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter, sleep
from typing import Any

import requests
from redis import Redis
from sqlalchemy import text
from sqlmodel import select

from bench.pushes import APP_ID
from bot.channels.base import Address, Outgoing
from bot.channels.wechat_custom import WechatService
from bot.wechat.client import WechatClients
from store.accounts import Account
from store.db import Database, make_engine

HANDS, BATCH = 8, 50
_FENCE = text("""
    UPDATE touches SET state = 'sending', fenced_at = now(), counted_at = now(),
        attempts = attempts + 1, lease_until = NULL
    WHERE id = ANY(CAST(:ids AS bigint[]))
""")
_SETTLE = text("""
    UPDATE touches SET state = 'sent', settled_at = now(), evidence = 'platform'
    WHERE id = ANY(CAST(:ids AS bigint[]))
""")


@dataclass(frozen=True)
class Place:
    """Where the floor is measured."""

    database_url: str
    redis_url: str
    api_url: str
    secret: str


def per_second(
    pool: ProcessPoolExecutor,
    act: Callable[[Place, Sequence[Any]], float],
    place: Place,
    shares: Sequence[Sequence[object]],
) -> float:
    """How many a second all processes do together; the slowest share ends it."""
    seconds = list(pool.map(act, [place] * len(shares), shares))
    return sum(len(share) for share in shares) / max(seconds)


def warm(_place: Place, _share: Sequence[object]) -> float:
    """Nothing: the process has started and imported what it needs."""
    sleep(1)
    return 1.0


def calls(place: Place, openids: Sequence[str]) -> float:
    """Seconds for one message to each of these, by the product's own client."""
    engine = make_engine(place.database_url, pool_size=1)
    with Database(engine).transaction() as session:
        account = session.exec(select(Account)).one()
    engine.dispose()
    redis = Redis.from_url(place.redis_url)
    channel = WechatService(WechatClients(place.api_url, redis, place.secret))
    out = Outgoing("floor", WORDS)
    channel.send(out, Address(openids[0]), account)
    began = perf_counter()
    with ThreadPoolExecutor(HANDS) as hands:
        for _ in hands.map(lambda one: channel.send(out, Address(one), account), openids[1:]):
            pass
    return perf_counter() - began


def bare_calls(place: Place, openids: Sequence[str]) -> float:
    """Seconds for the same requests, with nothing of ours around them."""
    http = requests.Session()
    token = http.post(
        f"{place.api_url}/cgi-bin/stable_token",
        json={
            "grant_type": "client_credential",
            "appid": APP_ID,
            "secret": APP_SECRET,
        },
        timeout=10,
    ).json()["access_token"]
    url = f"{place.api_url}/cgi-bin/message/custom/send?access_token={token}"

    def send(openid: str) -> None:
        body = {"touser": openid, "msgtype": "text", "text": {"content": WORDS}}
        assert http.post(url, json=body, timeout=10).json()["errcode"] == 0

    began = perf_counter()
    with ThreadPoolExecutor(HANDS) as hands:
        for _ in hands.map(send, openids):
            pass
    return perf_counter() - began


def updates(place: Place, ids: Sequence[int]) -> float:
    """Seconds for both updates of these rows, in the batches of a worker."""
    engine = make_engine(place.database_url, pool_size=1)
    database = Database(engine)
    began = perf_counter()
    for first in range(0, len(ids), BATCH):
        for statement in (_FENCE, _SETTLE):
            with database.transaction() as session:
                facts = {"ids": list(ids[first : first + BATCH])}
                session.connection().execute(statement, facts)
    took = perf_counter() - began
    engine.dispose()
    return took


APP_SECRET = "bench"  # noqa: S105 -- it opens nothing but a bench
WORDS = "A line about something new, and where to find it: the shop on the corner."
