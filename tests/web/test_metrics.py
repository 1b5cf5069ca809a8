"""`/metrics`: the figures are those of the rows, nobody outside reads them, nobody is named."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis
from rq import Worker
from rq.serializers import JSONSerializer

from store import accounts, api_keys, circuits, inbound, letters
from store.circuits import Way
from store.db import Database, make_engine
from store.inbound import Heard, InboundState
from store.jobs import Job
from store.members import Member
from store.settings import Settings
from store.touches import Category, Channel, Touch, TouchState
from tests.builders import a_mobile, number
from tests.web.scene import HOST, Scene, parts_of, set_up
from web.app import create_app
from web.queue import Nudger, make_queue

_OUTSIDE = ("203.0.113.9", 4711)
_INSIDE = ("127.0.0.1", 4711)
_SMS = Channel.SMS


@pytest.fixture
def scene(settings: Settings, database: Database, redis: Redis, now: datetime) -> Scene:
    """The shop at noon."""
    return set_up(parts_of(settings, database, redis, now), now)


def ask(scene: Scene, client: tuple[str, int] = _INSIDE, **headers: str) -> httpx.Response:
    """Ask for the figures from an address."""

    async def get() -> httpx.Response:
        transport = httpx.ASGITransport(app=create_app(scene.parts), client=client)
        async with httpx.AsyncClient(transport=transport, base_url=HOST) as browser:
            return await browser.get("/metrics", headers=headers)

    return asyncio.run(get())


def figures(scene: Scene) -> dict[str, float]:
    """What a Prometheus reads, by name and labels."""
    answer = ask(scene)
    assert answer.status_code == HTTPStatus.OK, answer.text
    return {
        " ".join((sample.name, *sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def a_touch(scene: Scene, state: TouchState, *, asked_at: datetime, **more: Any) -> Touch:
    """A touch by SMS to a member of its own."""
    member = scene.add(
        Member(
            brand_id=scene.brand.id,
            name="李燕",
            mobile=a_mobile(),
            created_at=scene.now,
        )
    )
    touch: Touch = scene.add(
        Touch(
            key=f"counted-{number()}",
            member_id=member.id,
            channel=_SMS,
            channels=[_SMS.value],
            category=Category.CARE,
            brand_id=scene.brand.id,
            state=state,
            asked_at=asked_at,
            **more,
        )
    )
    return touch


def test_touches_are_counted_by_channel_and_state_within_the_hour(scene: Scene) -> None:
    for minutes, state in ((1, TouchState.SENT), (59, TouchState.SENT), (5, TouchState.WITHHELD)):
        a_touch(scene, state, asked_at=scene.now - timedelta(minutes=minutes))
    a_touch(scene, TouchState.SENT, asked_at=scene.now - timedelta(minutes=61))

    found = figures(scene)

    assert found["zhiyin_touches_last_hour sms sent"] == 2
    assert found["zhiyin_touches_last_hour sms withheld"] == 1


def test_oldest_waiting_touch_is_as_old_as_it_is_due(scene: Scene) -> None:
    now = scene.now
    a_touch(scene, TouchState.ASKED, asked_at=now - timedelta(hours=9), retry_at=now)
    late = now - timedelta(minutes=2)
    a_touch(scene, TouchState.ASKED, asked_at=now - timedelta(hours=9), retry_at=late)
    a_touch(scene, TouchState.UNKNOWN, asked_at=now, fenced_at=now - timedelta(hours=1))

    found = figures(scene)

    assert found["zhiyin_touches_waiting sms asked"] == 2
    assert found["zhiyin_touches_oldest_waiting_seconds sms asked"] == 120
    assert found["zhiyin_touches_oldest_waiting_seconds sms unknown"] == 3600


def test_deferred_touch_is_not_late_before_its_time(scene: Scene) -> None:
    due = scene.now + timedelta(hours=3)
    a_touch(scene, TouchState.ASKED, asked_at=scene.now - timedelta(hours=9), retry_at=due)

    assert figures(scene)["zhiyin_touches_oldest_waiting_seconds sms asked"] == 0


def test_paused_ways_and_lost_messages_are_shown(scene: Scene) -> None:
    lost = a_touch(scene, TouchState.FAILED, asked_at=scene.now)
    with scene.database.transaction() as session:
        letters.write(session, {lost.id: "bad_content"}, now=scene.now)
        for channel, failures in ((_SMS, circuits.MOST_FAILURES), (Channel.WECHAT_SERVICE, 1)):
            way = Way("wx1", channel)
            circuits.failed(session, way, reason="busy", failures=failures, now=scene.now)

    found = figures(scene)

    assert found["zhiyin_letters_open"] == 1
    paused = [name for name in found if name.startswith("zhiyin_circuits_open")]
    assert paused == ["zhiyin_circuits_open wx1 sms open"]


def test_callbacks_of_the_last_minutes_are_timed(scene: Scene) -> None:
    with scene.database.transaction() as session:
        account = accounts.of_brand(session, scene.brand.id, accounts.Platform.WECHAT)
        for name, minutes, took in (("a", 1, 40.0), ("b", 4, 2.0), ("c", 6, 999.0), ("d", 0, None)):
            heard = Heard(account.id, name, "oLi", "text", {})
            at = scene.now - timedelta(minutes=minutes)
            row = inbound.hear(session, heard, now=at)
            if took is not None:
                state = InboundState.ANSWERED
                inbound.close(session, row, {}, state=state, handled_ms=took, now=at)

    found = figures(scene)

    assert found["zhiyin_callbacks_last_5_minutes answered"] == 2
    assert found["zhiyin_callbacks_last_5_minutes_seconds answered"] == pytest.approx(0.042)
    assert found["zhiyin_callbacks_last_5_minutes_p99_seconds answered"] == pytest.approx(0.04)
    assert found["zhiyin_callbacks_waiting"] == 1


def test_queue_and_workers_are_counted(scene: Scene, redis: Redis) -> None:
    queue = make_queue(redis)
    Nudger(queue)((Job.SWEEP, 0))
    Nudger(queue)((Job.EXPIRE, 0))
    worker: Any = Worker([queue], connection=redis, serializer=JSONSerializer)
    worker.register_birth()

    found = figures(scene)

    assert found["zhiyin_queue_jobs"] == 2
    assert found["zhiyin_workers"] == 1


def test_servers_that_do_not_answer_are_down(scene: Scene) -> None:
    nowhere = make_engine("postgresql://nobody@127.0.0.1:1/none?connect_timeout=1")
    away = Redis.from_url("redis://127.0.0.1:1/0")
    scene.parts = replace(scene.parts, database=Database(nowhere), redis=away)

    assert figures(scene) == {"zhiyin_up database": 0, "zhiyin_up redis": 0}


def test_nobody_is_named(scene: Scene) -> None:
    touch = a_touch(scene, TouchState.RESERVED, asked_at=scene.now, counted_at=scene.now)
    with scene.database.transaction() as session:
        mobile = session.get_one(Member, touch.member_id).mobile
    assert mobile

    told = ask(scene).text

    assert "zhiyin_touches_waiting" in told
    assert not any(name in told for name in (mobile, "李燕", scene.wang.userid, scene.wang.name))


def test_only_this_machine_or_a_key_may_ask(scene: Scene) -> None:
    with scene.database.transaction() as session:
        key = api_keys.issue(session, "watch", now=scene.now)

    assert ask(scene).status_code == HTTPStatus.OK
    assert ask(scene, ("::1", 1)).status_code == HTTPStatus.OK
    assert ask(scene, _OUTSIDE, Authorization=f"Bearer {key}").status_code == HTTPStatus.OK
    for client, headers in (
        (_OUTSIDE, {}),
        (_OUTSIDE, {"Authorization": "Bearer zy_wrong"}),
        # A proxy on this machine speaks for the world.
        (_INSIDE, {"X-Forwarded-For": "203.0.113.9"}),
        (_INSIDE, {"Forwarded": "for=203.0.113.9"}),
        (("testclient", 1), {}),
    ):
        answer = ask(scene, client, **headers)
        assert (answer.status_code, "zhiyin_" in answer.text) == (HTTPStatus.UNAUTHORIZED, False)
