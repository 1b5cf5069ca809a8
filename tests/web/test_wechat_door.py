"""WeChat asks again only where nobody answered: until then the door itself tries again."""

import asyncio
import logging
from dataclasses import replace
from datetime import datetime, timedelta
from threading import Timer
from zoneinfo import ZoneInfo

import httpx
import pytest
from redis import Redis
from sqlmodel import Session, select

from bot.inbox import Desk
from store.db import Database, make_engine
from store.members import Member
from store.organisation import Brand
from store.settings import Settings
from tests.bot.builders import SECRET_KEY, a_push, an_account, opened_reply, text_xml
from tests.web.scene import parts_of
from web.parts import Parts
from web.wechat_door import WechatDoor

pytestmark = pytest.mark.race
_WORDS = "你好呀"


@pytest.fixture
def parts(settings: Settings, fresh_database: Database, redis: Redis, now: datetime) -> Parts:
    """The parts of a house with one official account."""
    with fresh_database.transaction() as session:
        brand = Brand(code="zhiwei", name="知味")
        session.add(brand)
        session.flush()
        an_account(session, brand, now=now)
    parts = parts_of(settings, fresh_database, redis, now)
    vars(parts)["desk"] = Desk(
        fresh_database,
        secret_key=SECRET_KEY,
        public_url="https://x.example",
        zone=ZoneInfo("Asia/Shanghai"),
        wait_ms=200,
        fresh=timedelta(hours=1),
    )
    return parts


def knock(parts: Parts, now: datetime, *, number: int, patience: float) -> httpx.Response:
    """Push words to the door, which tries for so many seconds."""
    push = a_push(text_xml(_WORDS, number=number), now=now)

    async def knocking() -> httpx.Response:
        transport = httpx.ASGITransport(app=WechatDoor(parts, patience))
        async with httpx.AsyncClient(transport=transport, base_url="http://x.example") as client:
            return await client.post("/wechat/brand", params=push.query, content=push.body)

    return asyncio.run(knocking())


@pytest.mark.parametrize(("patience", "status"), [(20.0, 200), (0.0, 503)])
def test_message_of_somebody_who_is_locked_is_answered_as_soon_as_they_are_free(
    parts: Parts, now: datetime, patience: float, status: int
) -> None:
    """Without patience the message is lost, and the person reads that the account is broken."""
    knock(parts, now, number=1, patience=0)
    with Session(parts.database.engine) as launch:
        launch.exec(select(Member).with_for_update()).all()
        Timer(1.0, launch.rollback).start()

        answer = knock(parts, now, number=2, patience=patience)

    assert answer.status_code == status
    assert (b"<Encrypt>" in answer.content) is (status == 200)
    if status == 200:
        assert opened_reply(answer.text)["Content"]


def test_message_is_left_unanswered_without_a_word_while_the_database_is_away(
    parts: Parts, now: datetime, caplog: pytest.LogCaptureFixture
) -> None:
    away = Database(make_engine("postgresql://nobody@127.0.0.1:9/nowhere"))
    vars(parts)["desk"] = replace(parts.desk, database=away)

    with caplog.at_level(logging.WARNING):
        answer = knock(parts, now, number=1, patience=0)

    assert (answer.status_code, answer.content) == (503, b"")
    assert "OperationalError at " in caplog.text
    assert "nowhere" not in caplog.text
