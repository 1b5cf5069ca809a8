"""What the SMS provider reports, and what people answer by SMS: signed, once, and obeyed."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from http import HTTPStatus
from itertools import count
from typing import Any

import httpx
import pytest
from redis import Redis
from sqlalchemy import text
from sqlmodel import Session, select

from bot.channels.base import Address, Outgoing
from bot.channels.sms import Sms, SmsAccess, SmsKind
from bot.envelope import MAX_BODY_BYTES
from content import sms_words
from fatigue import preferences
from sandbox.app import create_sandbox_app
from sandbox.sms_server import KEY_ID, SECRET
from store import accounts, clock, consents, inbound, letters, members
from store.accounts import Platform
from store.consents import WishKind
from store.db import Database
from store.inbound import Heard, InboundMessage
from store.members import Member
from store.settings import Settings
from store.touches import Category, Channel, Evidence, Touch, TouchState
from tests.builders import a_mobile, number
from tests.sandbox.serving import serving
from tests.waiting import until
from tests.web.browser import Browser
from tests.web.scene import HOST, Scene, parts_of, set_up
from web.app import create_app

SMS = Channel.SMS
ACCESS = SmsAccess("http://sms.test/sms", KEY_ID, SECRET, "知鲜")


@dataclass
class Line:
    """A brand with a member, Li, an SMS to her that is out, and the provider's line to us."""

    scene: Scene
    browser: Browser
    path: str
    mobile: str
    li: int
    touch_id: int

    def tell(self, facts: dict[str, Any], *, secret: str = SECRET, **changed: str) -> int:
        """The provider says something; gives the status of our answer."""
        body = json.dumps({"id": f"cb-{number()}", **facts}).encode()
        return self.send(body, self.headers(body, secret) | changed)

    def send(self, body: bytes, headers: dict[str, str]) -> int:
        """A request to the door as it is."""
        return self.browser.post(self.path, content=body, headers=headers).status_code

    def headers(self, body: bytes, secret: str = SECRET, *, age: int = 0) -> dict[str, str]:
        """Signed by the rules of the sandbox's provider, at an instant of the scene."""
        moment = str(int(self.scene.now.timestamp()) - age)
        signer = Sms(replace(ACCESS, secret=secret))
        mark = signer._mark(self.path, moment, "n", body)
        names = ("X-Sms-Key", "X-Sms-Time", "X-Sms-Nonce", "X-Sms-Signature")
        return dict(zip(names, (KEY_ID, moment, "n", mark), strict=True))

    def report(self, status: str = "delivered", **more: str) -> int:
        """What became of the SMS to Li."""
        return self.tell({"kind": "report", "ref": self.touch.key, "status": status, **more})

    def reply(self, words: str, **more: str) -> int:
        """Li answers."""
        return self.tell({"kind": "reply", "from": self.mobile, "text": words, **more})

    @property
    def touch(self) -> Touch:
        """The SMS as it stands."""
        with self.scene.database.transaction() as session:
            return session.get_one(Touch, self.touch_id)

    def look(self, see: Callable[[Session], Any]) -> Any:
        """Something in the record."""
        with self.scene.database.transaction() as session:
            return see(session)

    def stops(self) -> list[str]:
        """The channels that Li has stopped."""
        found = self.look(lambda session: consents.stops(session, self.li, self.scene.now))
        return [stop.channel for stop in found]

    def kept(self) -> int:
        """How many callbacks were written down."""
        return len(self.look(lambda session: session.exec(select(InboundMessage)).all()))


@pytest.fixture
def line(settings: Settings, database: Database, redis: Redis, now: datetime) -> Line:
    """The line at noon."""
    return a_line(settings, database, redis, now)


def a_line(settings: Settings, database: Database, redis: Redis, now: datetime) -> Line:
    """The line at an instant."""
    scene = set_up(replace(parts_of(settings, database, redis, now), sms=Sms(ACCESS)), now)
    mobile = a_mobile()
    li = scene.add(Member(brand_id=scene.brand.id, name="李燕", mobile=mobile, created_at=now))
    touch = scene.add(
        Touch(
            key=f"sms-touch-{number()}",
            member_id=li.id,
            channel=SMS,
            channels=[SMS.value],
            category=Category.CARE,
            brand_id=scene.brand.id,
            state=TouchState.SENDING,
            attempts=1,
            asked_at=now,
            counted_at=now,
            fenced_at=now,
        )
    )
    with database.transaction() as session:
        code = accounts.of_brand(session, scene.brand.id, Platform.WECHAT).code
    browser = Browser(create_app(scene.parts), HOST)
    return Line(scene, browser, f"/sms/{code}", mobile, li.id, touch.id)


@pytest.mark.parametrize("state", [TouchState.SENDING, TouchState.SENT, TouchState.UNKNOWN])
def test_a_report_of_arrival_is_the_platforms_own_evidence(line: Line, state: TouchState) -> None:
    with line.scene.database.transaction() as session:
        session.get_one(Touch, line.touch_id).state = state
        if state is TouchState.UNKNOWN:
            letters.write(session, {line.touch_id: "no_answer"}, now=line.scene.now)

    assert line.report(message="m-1") == HTTPStatus.OK

    touch = line.touch
    assert (touch.state, touch.evidence) == (TouchState.SENT, Evidence.PLATFORM)
    assert touch.provider_id == "m-1"
    open_letters = line.look(letters.count_open)
    assert open_letters == 0


def test_a_report_finds_its_touch_by_the_providers_id(line: Line) -> None:
    with line.scene.database.transaction() as session:
        touch = session.get_one(Touch, line.touch_id)
        touch.state, touch.provider_id = TouchState.SENT, "m-7"

    line.tell({"kind": "report", "message": "m-7", "status": "delivered"})

    assert line.touch.evidence is Evidence.PLATFORM


def test_an_sms_that_did_not_arrive_has_failed(line: Line) -> None:
    line.report("failed", reason="OUT_OF_REACH")

    assert (line.touch.state, line.touch.failure) == (TouchState.FAILED, "platform_failed")
    assert line.stops() == []


def test_a_number_that_is_not_there_is_written_to_no_more(line: Line) -> None:
    line.report("failed", reason="NO_SUCH_NUMBER")

    assert (line.touch.state, line.touch.failure) == (TouchState.FAILED, "recipient_gone")
    assert line.stops() == [SMS]


def test_what_arrived_is_not_taken_back(line: Line) -> None:
    line.report()
    line.report("failed", reason="OUT_OF_REACH")

    assert line.touch.state is TouchState.SENT


@pytest.mark.parametrize("state", [TouchState.ASKED, TouchState.WITHHELD, TouchState.FAILED])
def test_a_report_on_a_touch_that_is_not_out_changes_nothing(line: Line, state: TouchState) -> None:
    with line.scene.database.transaction() as session:
        session.get_one(Touch, line.touch_id).state = state

    assert line.report() == HTTPStatus.OK
    assert (line.touch.state, line.touch.evidence) == (state, None)


def test_a_report_on_a_code_is_taken_and_changes_nothing(line: Line) -> None:
    found = line.tell({"kind": "report", "ref": "code-1", "message": "x", "status": "delivered"})

    assert found == HTTPStatus.OK
    assert line.touch.state is TouchState.SENDING


@pytest.mark.parametrize(
    "words", ["R", "r", "\uff32", "TD", "td。", "T", "退订", "拒收", "\0R", "请不要再给我发短信"]
)
def test_an_answer_that_says_no_stops_sms_and_nothing_else(line: Line, words: str) -> None:
    assert line.reply(words) == HTTPStatus.OK

    assert line.stops() == [SMS]
    wishes = line.look(lambda session: consents.wishes(session, line.li))
    assert [(one.kind, one.channel, one.source) for one in wishes] == [(WishKind.NEVER, SMS, "sms")]


@pytest.mark.parametrize("words", ["好的", "谢谢", "退货怎么办", "TDD", "RR", ""])
def test_an_answer_that_says_something_else_stops_nothing(line: Line, words: str) -> None:
    assert line.reply(words) == HTTPStatus.OK

    assert (line.stops(), sms_words.says_stop(words)) == ([], False)


def test_an_answer_from_an_unknown_mobile_leaves_no_mobile_behind(line: Line) -> None:
    stranger = a_mobile()

    assert line.tell({"kind": "reply", "from": stranger, "text": "R"}) == HTTPStatus.OK

    rows = line.look(
        lambda session: session.execute(text("SELECT m::text FROM inbound_messages m"))
    )
    told = [row for (row,) in rows.all()]
    assert len(told) == 1
    assert stranger not in told[0]


def test_an_answer_that_is_played_again_does_not_stop_who_has_come_back(line: Line) -> None:
    line.reply("R", id="same")
    with line.scene.database.transaction() as session:
        preferences.resume(session, line.li, channel=SMS, now=line.scene.now)

    assert line.reply("R", id="same") == HTTPStatus.OK

    assert (line.stops(), line.kept()) == ([], 1)


def test_ten_tries_at_once_are_one_wish(line: Line) -> None:
    with ThreadPoolExecutor(10) as pool:
        found = list(pool.map(lambda _: line.reply("R", id="same"), range(10)))

    assert found == [HTTPStatus.OK] * 10
    assert len(line.look(lambda session: consents.wishes(session, line.li))) == 1


def test_ten_tries_at_once_are_ten_wishes_without_the_one_row(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The twin of the test above: what keeps the promise is the row that only one try can write."""
    hear, numbers = inbound.hear, count()

    def hear_anew(session: Session, heard: Heard, *, now: datetime) -> InboundMessage:
        own = replace(heard, platform_id=f"{heard.platform_id}-{next(numbers)}")
        return hear(session, own, now=now)

    monkeypatch.setattr(inbound, "hear", hear_anew)
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(lambda _: line.reply("R", id="same"), range(10)))

    assert len(line.look(lambda session: consents.wishes(session, line.li))) > 1


def test_a_locked_member_lets_the_provider_come_again(line: Line) -> None:
    line.scene.parts = replace(line.scene.parts)
    object.__setattr__(line.scene.parts, "desk", replace(line.scene.parts.desk, wait_ms=200))
    line.browser = Browser(create_app(line.scene.parts), HOST)
    with line.scene.database.transaction() as session:
        members.lock(session, line.li)

        assert line.reply("R", id="same") == HTTPStatus.SERVICE_UNAVAILABLE

    assert line.reply("R", id="same") == HTTPStatus.OK
    assert line.stops() == [SMS]


def test_nobody_else_can_stop_or_confirm_anything(line: Line) -> None:
    facts = {"kind": "reply", "id": "1", "from": line.mobile, "text": "R"}
    body = json.dumps(facts).encode()
    other = body.replace(b'"R"', b'"T"')
    forbidden = (
        line.tell(facts, secret="another"),
        line.tell(facts, **{"X-Sms-Key": "another"}),
        line.send(other, line.headers(body)),
        line.send(body, {}),
        line.send(body, line.headers(body) | {"X-Sms-Signature": "0" * 64}),
        line.send(body, line.headers(body, age=2 * 3600)),
        line.send(body, line.headers(body, age=-2 * 3600)),
        line.browser.post("/sms/another", content=body, headers=line.headers(body)).status_code,
    )

    assert set(forbidden) == {HTTPStatus.FORBIDDEN}
    assert (line.stops(), line.kept()) == ([], 0)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"\xff",
        b'{"kind": "reply"}',
        b'{"kind": "other", "id": "1"}',
        b'{"kind": "reply", "id": "", "from": "13800000000", "text": "R"}',
        b'{"kind": "reply", "id": "1", "from": "12", "text": "R"}',
        b'{"kind": "reply", "id": "1", "from": "13800000000", "text": "\\ud800R"}',
        b'{"kind": "reply", "id": "\\u0000", "from": "13800000000", "text": "R"}',
        b'{"kind": "report", "id": "1", "ref": "\\u0000", "status": "delivered"}',
        b'{"kind": "report", "id": "1", "ref": "x", "status": "delivered", "reason": "\\u0000"}',
    ],
)
def test_what_is_neither_report_nor_answer_is_refused(line: Line, body: bytes) -> None:
    assert line.send(body, line.headers(body)) == HTTPStatus.FORBIDDEN
    assert line.kept() == 0


def test_a_body_larger_than_any_callback_is_refused(line: Line) -> None:
    body = b" " * (MAX_BODY_BYTES + 1)

    assert line.send(body, line.headers(body)) == HTTPStatus.FORBIDDEN


def test_without_a_provider_the_door_is_shut(line: Line) -> None:
    line.browser = Browser(create_app(replace(line.scene.parts, sms=None)), HOST)

    assert line.reply("R") == HTTPStatus.FORBIDDEN


def test_the_sandboxs_provider_reports_and_brings_answers(
    settings: Settings, database: Database, redis: Redis
) -> None:
    line = a_line(settings, database, redis, clock.now())
    with serving(create_app(line.scene.parts)) as product, serving(create_sandbox_app()) as url:
        control = f"{url}/sandbox/sms"
        httpx.post(f"{control}/door", json={"url": f"{product}{line.path}"}).raise_for_status()
        sms = Sms(replace(ACCESS, url=f"{url}/sms"))
        sms.send(Outgoing(line.touch.key, "到店有茶"), Address(line.mobile), kind=SmsKind.NOTICE)
        until(lambda: line.touch.evidence is Evidence.PLATFORM)
        answer = {"mobile": line.mobile, "text": "R"}
        told = httpx.post(f"{control}/reply", json=answer).json()

    assert told == {"ok": True}
    assert line.touch.state is TouchState.SENT
    assert line.stops() == [SMS]
