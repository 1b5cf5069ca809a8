"""Two web processes, many people, every message three times and shuffled: each handled once."""

import json
import random
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text
from sqlmodel import Session, col, func, select

from store.db import Database
from store.grants import Grant
from store.inbound import InboundMessage, InboundState
from store.members import Identity
from tests.bot.builders import event_xml, text_xml
from tests.protocol.conftest import Served
from tests.protocol.platform import Answered, Platform

pytestmark = pytest.mark.race

_USERS, _TRIES, _LINES = 200, 3, 16
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
def doors(served: Served) -> Iterator[list[str]]:
    """The door of one account, in two processes."""
    with served(2) as doors:
        yield doors


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
