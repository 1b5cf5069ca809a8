"""Two web processes, many people, every message three times and shuffled: each handled once."""

import json
import random
import socket
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlmodel import Session, col, func, select

from sandbox.processes import Crew
from store import clock
from store.db import Database
from store.grants import Grant
from store.inbound import InboundMessage, InboundState
from store.members import Identity
from store.organisation import Brand
from tests.bot.builders import SECRET_KEY, an_account, event_xml, text_xml
from tests.protocol.platform import Answered, Platform

pytestmark = pytest.mark.race

_USERS, _TRIES, _LINES = 200, 3, 16
_START_SECONDS = 60.0
# Each push to "answered" is one handler that ran to its end, whichever way it took.
_COUNT_HANDLERS = """
CREATE TABLE handled (inbound_id bigint);
CREATE FUNCTION note_handled() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO handled VALUES (NEW.id); RETURN NULL; END $$;
CREATE TRIGGER note_update AFTER UPDATE ON inbound_messages FOR EACH ROW
    WHEN (NEW.reply IS NOT NULL) EXECUTE FUNCTION note_handled();
CREATE TRIGGER note_insert AFTER INSERT ON inbound_messages FOR EACH ROW
    WHEN (NEW.reply IS NOT NULL) EXECUTE FUNCTION note_handled();
"""
_STOP_COUNTING = """
DROP TRIGGER note_update ON inbound_messages; DROP TRIGGER note_insert ON inbound_messages;
DROP FUNCTION note_handled; DROP TABLE handled;
"""


@pytest.fixture
def counting(fresh_database: Database) -> Iterator[None]:
    """The database itself counts how often a message was handled."""
    with fresh_database.engine.begin() as connection:
        connection.execute(text(_COUNT_HANDLERS))
    yield
    with fresh_database.engine.begin() as connection:
        connection.execute(text(_STOP_COUNTING))


@pytest.fixture
def doors(
    fresh_database: Database, database_url: str, redis_url: str, tmp_path: Path
) -> Iterator[list[str]]:
    """The door of one account, in two processes."""
    with fresh_database.transaction() as session:
        brand = Brand(code="zhiwei", name="Zhiwei")
        session.add(brand)
        session.flush()
        an_account(session, brand, now=clock.now())
    environment = {
        "ZHIYIN_DATABASE_URL": database_url,
        "ZHIYIN_REDIS_URL": redis_url,
        "ZHIYIN_SECRET_KEY": SECRET_KEY,
        "ZHIYIN_VAR_DIR": str(tmp_path / "var"),
    }
    with Crew(tmp_path) as crew:
        addresses = []
        for name in ("web-1", "web-2"):
            port = _free_port()
            command = [sys.executable, "-m", "web.cli", "serve", "--port", str(port)]
            crew.start(name, command, environment)
            addresses.append(f"http://127.0.0.1:{port}")
        for address in addresses:
            crew.wait_until_answers(f"{address}/readyz", _START_SECONDS)
        yield [f"{address}/wechat/brand" for address in addresses]


@pytest.fixture
def platform() -> Iterator[Platform]:
    """The other side."""
    platform = Platform()
    yield platform
    platform.close()


def _messages() -> list[str]:
    """For each of the people: a follow, words that only ask, and words that change something."""
    people = [f"o{number:027}" for number in range(_USERS)]
    return [
        xml
        for openid in people
        for xml in (
            event_xml("subscribe", sender=openid),
            text_xml("我的积分", sender=openid),
            text_xml("退订", sender=openid),
        )
    ]


@pytest.mark.usefixtures("counting")
def test_every_message_is_handled_once_by_two_processes(
    doors: list[str],
    platform: Platform,
    fresh_database: Database,
    capsys: pytest.CaptureFixture[str],
) -> None:
    messages = _messages()
    tries = [(number, doors[turn % 2]) for number in range(len(messages)) for turn in range(_TRIES)]
    random.Random(7).shuffle(tries)  # noqa: S311 -- the same order in every run

    def push(one: tuple[int, str]) -> tuple[int, Answered]:
        number, door = one
        return number, platform.push(door, messages[number])

    began = time.monotonic()
    with ThreadPoolExecutor(_LINES) as pool:
        answers = list(pool.map(push, tries))
    seconds = time.monotonic() - began

    told = defaultdict(list)
    for number, answer in answers:
        assert answer.status == 200
        told[number].append(answer.reply)
    differing = [number for number, replies in told.items() if len(set(map(_plain, replies))) != 1]
    with capsys.disabled():
        sys.stdout.write(
            f"\n  {len(tries)} pushes in {seconds:.1f} s, {len(tries) / seconds:.0f}/s\n"
        )
    assert differing == []
    assert all(replies[0] for replies in told.values())
    _check_record(fresh_database, len(messages))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _plain(reply: dict[str, str] | None) -> str:
    return json.dumps(reply, sort_keys=True)


def _check_record(database: Database, messages: int) -> None:
    with Session(database.engine) as session:
        rows = session.exec(
            select(InboundMessage.state).where(col(InboundMessage.reply).is_not(None))
        )
        handled = session.connection().execute(
            text("SELECT count(*), count(DISTINCT inbound_id) FROM handled")
        )
        assert list(rows) == [InboundState.ANSWERED] * messages
        assert tuple(handled.one()) == (messages, messages)
        assert session.exec(select(func.count()).select_from(Identity)).one() == _USERS
        assert session.exec(select(func.count()).select_from(Grant)).one() == messages
