"""Questions that only read are answered many at once, and as if they had come one by one."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from sqlmodel import Session, col, func, select

from bot.inbox import Desk
from bot.wechat import express
from bot.wechat import inbound as wechat
from bot.wechat.express import Question
from bot.wechat.push import open_push
from store import asking, erasure
from store.bare import Lines
from store.campaigns import CareTask, TaskState
from store.grants import Grant
from store.inbound import InboundMessage, InboundState
from store.members import Member
from store.trips import Rows, Statement
from tests.bot.builders import LI, ZHAO, a_push, opened_reply, text_xml
from tests.bot.conftest import Phone
from tests.builders import a_care_task, a_touch

ASK = "积分"


def question(desk: Desk, now: datetime, *, sender: str, number: int) -> Question:
    """A question about points, open."""
    push = a_push(text_xml(ASK, sender=sender, number=number), now=now)
    found = express.question_in(desk, open_push(desk, "brand", push.query, push.body, now=now))
    assert found is not None
    return found


def answered(desk: Desk, asked: Sequence[Question], now: datetime) -> list[str | None]:
    """The answers to questions that are asked at once."""
    return asyncio.run(express.answer_many(desk, asked, now=now))


def words(answers: Sequence[str | None]) -> list[str | None]:
    """What the answers say."""
    return [None if one is None else str(opened_reply(one)["Content"]) for one in answers]


@pytest.fixture
def zhao(desk: Desk, now: datetime) -> Phone:
    """Zhao's phone."""
    return Phone(desk, now, openid=ZHAO)


def test_each_gets_the_answer_that_they_would_get_alone(
    desk: Desk, li: Phone, zhao: Phone, now: datetime
) -> None:
    alone = [li.say(ASK), zhao.say(ASK)]

    asked = [question(desk, now, sender=who, number=n) for n, who in enumerate([LI, ZHAO])]

    assert words(answered(desk, asked, now)) == alone


def test_what_was_asked_is_kept_and_opens_a_window(desk: Desk, li: Phone, now: datetime) -> None:
    li.say(ASK)

    answered(desk, [question(desk, now, sender=LI, number=7)], now)

    with Session(desk.database.engine) as session:
        one, other = session.exec(select(InboundMessage).order_by(col(InboundMessage.id))).all()
        first, second = session.exec(select(Grant).order_by(col(Grant.id))).all()
    assert (other.state, other.reply, other.kind) == (InboundState.ANSWERED, one.reply, one.kind)
    assert (other.member_id, other.payload) == (one.member_id, one.payload)
    assert (second.allowance, second.expires_at) == (first.allowance, first.expires_at)
    assert second.source_id == f"inbound-{other.id}"


def test_the_same_question_twice_is_kept_once_and_answered_alike(
    desk: Desk, li: Phone, now: datetime
) -> None:
    said = li.say(ASK)
    same = question(desk, now, sender=LI, number=7)

    both = words(answered(desk, [same, same], now))
    again = answered(desk, [same], now)

    assert both == [said, said]
    assert again == [None]
    assert opened_reply(wechat.answer(desk, same.push, now=now))["Content"] == said
    with Session(desk.database.engine) as session:
        kept = session.exec(select(func.count()).select_from(InboundMessage)).one()
    assert kept == 2


def test_a_stranger_takes_the_usual_way(desk: Desk, now: datetime) -> None:
    assert answered(desk, [question(desk, now, sender=LI, number=7)], now) == [None]


def test_who_is_in_a_talk_takes_the_usual_way(desk: Desk, li: Phone, now: datetime) -> None:
    li.say("投诉")

    assert answered(desk, [question(desk, now, sender=LI, number=7)], now) == [None]


def test_who_answers_a_care_task_takes_the_usual_way(desk: Desk, li: Phone, now: datetime) -> None:
    li.say(ASK)
    with desk.database.transaction() as session:
        member = session.get_one(Member, li.member_id)
        task = a_care_task(session, member, state=TaskState.SENT, sent_at=now)
        a_touch(session, member, now=now - timedelta(minutes=1), care_task_id=task.id)

    assert answered(desk, [question(desk, now, sender=LI, number=7)], now) == [None]
    li.say(ASK)
    with Session(desk.database.engine) as session:
        assert session.get_one(CareTask, task.id).state is TaskState.REPLIED


def test_a_wish_that_changes_something_is_no_question(desk: Desk, now: datetime) -> None:
    push = a_push(text_xml("退订", sender=LI), now=now)

    opened = open_push(desk, "brand", push.query, push.body, now=now)

    assert express.question_in(desk, opened) is None


def test_nobody_waits_for_a_member_whom_others_hold(
    desk: Desk, li: Phone, zhao: Phone, now: datetime
) -> None:
    for phone in (li, zhao):
        phone.say(ASK)
    asked = [question(desk, now, sender=who, number=n) for n, who in enumerate([LI, ZHAO])]

    with desk.database.transaction() as session:
        session.get_one(Member, li.member_id, with_for_update=True)
        answers = answered(desk, asked, now)

    assert answers == [None, None]


def test_questions_on_a_line_that_breaks_take_the_usual_way(
    desk: Desk, li: Phone, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    li.say(ASK)
    hang_up: Statement = ("SELECT pg_terminate_backend(pg_backend_pid())", {})
    monkeypatch.setattr(asking, "seeking", lambda *_, **__: hang_up)
    told = answered(desk, [question(desk, now, sender=LI, number=7)], now)
    monkeypatch.undo()

    assert told == [None]
    assert words(answered(desk, [question(desk, now, sender=LI, number=7)], now)) == [li.say(ASK)]


def test_who_is_erased_between_the_question_and_its_answer_leaves_nothing(
    desk: Desk, li: Phone, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    li.say(ASK)
    member_id = li.member_id
    asked = question(desk, now, sender=LI, number=7)
    keep = Lines.fetch

    async def erased_before(lines: Lines, statement: Statement) -> Rows:
        with desk.database.transaction() as session:
            erasure.erase(session, member_id, secret_key=desk.secret_key, now=now)
        return await keep(lines, statement)

    monkeypatch.setattr(Lines, "fetch", erased_before)

    assert answered(desk, [asked], now) == [None]
    with Session(desk.database.engine) as session:
        assert {row.outside_id for row in session.exec(select(InboundMessage)).all()} == {""}
        assert session.exec(select(Grant)).all() == []


def test_who_leaves_the_account_between_the_question_and_its_answer_leaves_no_words(
    desk: Desk, li: Phone, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    li.say(ASK)
    with desk.database.transaction() as session:
        session.get_one(Member, li.member_id).mobile = "13800138000"
    asked = question(desk, now, sender=LI, number=7)
    app_id, keep = asked.push.account.app_id, Lines.fetch

    async def left_before(lines: Lines, statement: Statement) -> Rows:
        with desk.database.transaction() as session:
            erasure.forget_wechat(
                session, app_id=app_id, openid=LI, secret_key=desk.secret_key, now=now
            )
        return await keep(lines, statement)

    monkeypatch.setattr(Lines, "fetch", left_before)

    assert answered(desk, [asked], now) == [None]
    with Session(desk.database.engine) as session:
        assert {row.outside_id for row in session.exec(select(InboundMessage)).all()} == {""}
        assert session.exec(select(Grant)).all() == []
