"""What tests of the bot lean on: a brand with its accounts, and a desk that answers."""

from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from sqlmodel import Session, select

from bot.fields import Fields
from bot.inbox import Desk
from bot.wechat import inbound as wechat
from store.accounts import Platform
from store.db import Database
from store.jobs import Job
from store.members import Identity
from store.organisation import Brand
from tests.bot.builders import (
    LI,
    SECRET_KEY,
    Push,
    a_push,
    an_account,
    event_xml,
    opened_reply,
    text_xml,
)
from tests.bot.delivering import House, a_guide_wang, the_member_li


@pytest.fixture
def desk(database: Database, now: datetime) -> Desk:
    """A desk over a brand with an official account and a WeCom app."""
    with database.transaction() as session:
        brand = Brand(code="zhiwei", name="Zhiwei")
        session.add(brand)
        session.flush()
        an_account(session, brand, now=now)
        an_account(session, brand, platform=Platform.WECOM, now=now)
    return Desk(
        database,
        secret_key=SECRET_KEY,
        public_url="https://x.example",
        zone=ZoneInfo("Asia/Shanghai"),
        wait_ms=300,
    )


@dataclass
class Phone:
    """A person's chat with the official account."""

    desk: Desk
    now: datetime
    openid: str = LI
    answers: list[str] = field(default_factory=list)

    def say(self, words: str, *, number: int | None = None) -> str:
        """Write something; gives the words of the reply, empty for silence."""
        return self._push(text_xml(words, sender=self.openid, number=number))

    def do(self, event: str, *, key: str = "", more: str = "") -> str:
        """Do something; gives the words of the reply, empty for silence."""
        return self._push(event_xml(event, sender=self.openid, key=key, more=more))

    def _push(self, xml: str) -> str:
        return self.receive(a_push(xml, now=self.now))

    def receive(self, push: Push) -> str:
        """Bring a push of one's own making; gives the words of the reply."""
        answer = wechat.receive(self.desk, "brand", push.query, push.body, now=self.now)
        self.answers.append(answer)
        if answer == wechat.NOTHING_TO_SAY:
            return ""
        reply = opened_reply(answer)
        assert reply["ToUserName"] == self.openid
        return _words(reply)

    @property
    def member_id(self) -> int:
        """The member or visitor behind this phone."""
        with Session(self.desk.database.engine) as session:
            found = select(Identity.member_id).where(Identity.outside_id == self.openid)
            return session.exec(found).one()


def _words(reply: Fields) -> str:
    """A text, or what stands on a card and behind it."""
    if reply["MsgType"] == "text":
        return str(reply["Content"])
    card = reply["Articles"]["item"]
    return f"{card['Title']}\n{card['Description']}\n{card['Url']}"


@pytest.fixture
def li(desk: Desk, now: datetime) -> Phone:
    """Li's phone."""
    return Phone(desk, now)


@pytest.fixture
def house(database: Database, now: datetime) -> House:
    """The house, with Li's consent and an open window of five messages."""
    nudged: list[tuple[Job, int]] = []
    house = House(Database(database.engine, nudged.append), now, nudged)
    with house.database.transaction() as session:
        brand = Brand(code="zhiwei", name="Zhiwei")
        session.add(brand)
        session.flush()
        an_account(session, brand, now=now)
        an_account(session, brand, platform=Platform.WECOM, now=now)
        house.wang = a_guide_wang(session, brand)
        house.li = the_member_li(session, brand, house.wang, now)
    return house
