"""The router: the first filter that fits, and an answer whatever happens."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from sqlmodel import Session, select

from bot import router as r
from bot.messages import Act, Answer, Menu, Reply, Silence, Text, Turn
from content import phrases
from content.phrases import Intent
from store.errors import NotFound
from store.organisation import Brand


def _turn(message: Act) -> Turn:
    return Turn(
        message=message,
        member_id=1,
        identity_id=1,
        public_url="https://x.example",
        zone=ZoneInfo("Asia/Shanghai"),
    )


def _saying(words: str) -> r.Handler:
    return lambda _turn, _session, _now: Reply(words)


def _add_brand(session: Session) -> None:
    session.add(Brand(code="b1", name="Brand"))
    session.flush()


def test_first_route_that_fits_wins(session: Session, now: datetime) -> None:
    router = r.Router(otherwise=_saying("otherwise"))
    router.on(r.says(Intent.POINTS), _saying("first"))
    router.on(r.wants(Intent.POINTS), _saying("second"))

    told = [
        router.answer(_turn(message), session, now).answer
        for message in (Text("积分"), Menu("points"), Text("x"))
    ]

    assert told == [Reply("first"), Reply("second"), Reply("otherwise")]


def test_filters_combine(session: Session, now: datetime) -> None:
    router = r.Router(otherwise=_saying("no"))
    router.on(r.NUMBER & r.says_exactly(frozenset({"7"})) | r.SCANS, _saying("yes"))

    told = [router.answer(_turn(Text(words)), session, now).answer for words in ("7", "8")]

    assert told == [Reply("yes"), Reply("no")]


def test_refusal_becomes_a_sentence_and_its_writes_are_undone(
    session: Session, now: datetime
) -> None:
    def refuse(_turn: Turn, session: Session, _now: datetime) -> Answer:
        _add_brand(session)
        raise NotFound("nothing")

    outcome = r.Router(otherwise=refuse).answer(_turn(Text("x")), session, now)

    assert outcome == r.Outcome(Reply(phrases.of_refusal(NotFound())))
    assert session.exec(select(Brand)).all() == []


def test_fault_becomes_a_sentence_and_its_writes_are_undone(
    session: Session, now: datetime, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_turn: Turn, session: Session, _now: datetime) -> Answer:
        _add_brand(session)
        raise ZeroDivisionError

    outcome = r.Router(otherwise=fail).answer(_turn(Text("x")), session, now)

    assert outcome == r.Outcome(Reply(phrases.FAULT), is_fault=True)
    assert session.exec(select(Brand)).all() == []
    assert "ZeroDivisionError" in caplog.text


def test_silence_is_an_answer(session: Session, now: datetime) -> None:
    router = r.Router(otherwise=lambda _turn, _session, _now: Silence())

    assert router.answer(_turn(Text("x")), session, now) == r.Outcome(Silence())
