"""Words that no rule knows: what is guessed may show something, and changes nothing."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Table, text
from sqlmodel import Session, col, delete, select

from bot import routes
from bot.handlers.free_words import ASK_MODEL, HARMLESS, SHOWS, sure
from bot.inbox import Desk
from bot.messages import Menu, Turn, Wits
from bot.router import Router
from content.phrases import SURE, Intent
from store import coupons, late, members
from store.consents import Suppression
from store.coupons import CouponKind, CouponPlan
from store.db import Database
from store.inbound import Conversation, InboundMessage, LateState
from store.members import IdentityChannel, Member
from store.tables import metadata
from store.touches import Category, Channel, Touch, TouchState
from tests.bot.builders import APP_ID
from tests.bot.conftest import Phone
from tests.understanding.measure import utterances

# Every message leaves these: what was said, where the talk stands, which windows it opened.
_OF_EVERY_MESSAGE = frozenset({"inbound_messages", "conversations", "grants"})
# Whoever says one of these in plain words is obeyed, and told so.
_OBEYED = {"已为您退订": "stop", "欢迎回来": "resume", "好的，已暂停到": "pause"}
_TABLES = [table for name, table in metadata.tables.items() if name not in _OF_EVERY_MESSAGE]
Row = tuple[str, int | None, str]


def _rows(database: Database) -> set[Row]:
    """Every row of the record: its table, whose it is, and all it says."""
    with database.engine.connect() as connection:
        return {
            (table.name, row[0], row[1])
            for table in _TABLES
            for row in connection.execute(text(_reading(table)))
        }


def _reading(table: Table) -> str:
    owner = "member_id" if "member_id" in table.columns else "NULL"
    return f"SELECT {owner}, row::text FROM {table.name} AS row"  # noqa: S608 -- our own tables


def _kept(li: Phone) -> dict[str, Any]:
    """The last answer, as it is kept with its message."""
    with li.desk.database.transaction() as session:
        newest = select(InboundMessage).order_by(col(InboundMessage.id).desc())
        row = session.exec(newest).first()
        assert row is not None
        return row.reply or {}


def _people(desk: Desk, openids: list[str], now: datetime) -> None:
    """Members of the brand, each with a coupon to lose."""
    with desk.database.transaction() as session:
        plan = CouponPlan(
            code="p", name="券", kind=CouponKind.AMOUNT_OFF, value=2000, valid_days=30, gift_hops=1
        )
        session.add(plan)
        session.flush()
        for openid in openids:
            met = members.meet(
                session,
                channel=IdentityChannel.WECHAT,
                account=APP_ID,
                outside_id=openid,
                brand_id=1,
                now=now,
            )
            coupons.issue(session, plan.id, met.member_id, reason="test", source_id=openid, now=now)


def test_nothing_that_is_guessed_changes_anything(desk: Desk, now: datetime) -> None:
    said = utterances("utterances")
    phones = [Phone(desk, now, f"oPerson_{number:020}") for number in range(len(said))]
    _people(desk, [phone.openid for phone in phones], now)

    before = _rows(desk.database)
    told = {phone.openid: phone.say(one.text) for phone, one in zip(phones, said, strict=True)}
    changed = {owner for _, owner, _ in _rows(desk.database) ^ before}

    people = zip(phones, said, strict=True)
    obeyed = [(one, told[phone.openid]) for phone, one in people if phone.member_id in changed]
    print("\nobeyed:", [(one.text, words) for one, words in obeyed])  # noqa: T201 -- worth a look
    assert len(obeyed) == len(changed)
    assert [one.text for one, words in obeyed if not one.intents & _obeying(words)] == []


def _obeying(told: str) -> set[str]:
    """The wishes for which this is the answer when the person is obeyed."""
    return {wish for start, wish in _OBEYED.items() if told.startswith(start)}


def test_stop_that_is_understood_is_asked_about_and_tapped(li: Phone) -> None:
    li.say("你们的消息能不能都别发给我了呀")
    asked = _kept(li)
    with li.desk.database.transaction() as session:
        before = session.exec(select(Suppression)).all()

    told = li.do("CLICK", key=asked["items"][0][0])

    assert asked["head"] == SURE[Intent.STOP]
    assert before == []
    assert "已为您退订" in told
    with li.desk.database.transaction() as session:
        assert len(session.exec(select(Suppression)).all()) == 1


def _brought(li: Phone) -> None:
    """The question that follows the last callback, if any, has reached the phone."""
    with li.desk.database.transaction() as session:
        newest = select(InboundMessage).order_by(col(InboundMessage.id).desc()).limit(1)
        row = session.exec(newest).one()
        if row.late is None:
            return
        for state in (LateState.SENDING, LateState.SENT):
            late.move(row, state)


def _stops(li: Phone) -> int:
    with li.desk.database.transaction() as session:
        return len(session.exec(select(Suppression)).all())


@pytest.mark.parametrize("yes", ["好的", "对", "嗯", "要", "确认", "行！"])
def test_yes_to_what_was_understood_does_it(li: Phone, yes: str) -> None:
    li.say("你们的消息能不能都别发给我了呀")
    _brought(li)

    told = li.say(yes)

    assert ("已为您退订" in told, _stops(li)) == (True, 1)


def test_yes_before_the_question_has_come_is_none(li: Phone) -> None:
    li.say("你们的消息能不能都别发给我了呀")

    told = li.say("好的")

    assert ("已为您退订" in told, _stops(li)) == (False, 0)


@pytest.mark.parametrize("between", ["积分", "不用了", "later"])
def test_yes_is_none_once_the_talk_has_gone_on(li: Phone, between: str) -> None:
    li.say("你们的消息能不能都别发给我了呀")
    _brought(li)
    if between == "later":
        li.now += timedelta(minutes=11)
    else:
        li.say(between)

    li.say("好的")

    assert _stops(li) == 0


@pytest.mark.parametrize("talk", [["生日", "1990-03-08"], ["附近门店"]])
def test_yes_after_a_question_within_a_talk_answers_the_question(
    li: Phone, talk: list[str]
) -> None:
    for words in talk:
        li.say(words)
    li.now += timedelta(seconds=30)
    li.say("你们的消息能不能都别发给我了呀")
    _brought(li)

    told = li.say("好的")

    assert ("已为您退订" in told, _stops(li)) == (True, 1)


@pytest.mark.parametrize("talk", ["你们的消息能不能都别发给我了呀", "送券"])
def test_yes_after_a_message_of_ours_is_none_to_the_question_before_it(
    li: Phone, talk: str
) -> None:
    li.say("你好")
    _people(li.desk, [li.openid], li.now)
    li.say(talk)
    _brought(li)
    li.now += timedelta(seconds=30)
    _written_to(li, "新品到店了，要不要给您留一件？")
    li.now += timedelta(seconds=30)
    before = _rows(li.desk.database)

    li.say("好的")

    assert _rows(li.desk.database) == before


def _written_to(li: Phone, words: str) -> None:
    """A touch has come into Li's chat with the account."""
    with li.desk.database.transaction() as session:
        session.add(
            Touch(
                key="touch-1",
                member_id=li.member_id,
                channel=Channel.WECHAT_SERVICE,
                category=Category.CARE,
                brand_id=1,
                state=TouchState.SENT,
                text=words,
                asked_at=li.now,
                counted_at=li.now,
                fenced_at=li.now,
                settled_at=li.now,
            )
        )


def test_yes_to_one_question_is_none_to_the_one_before(li: Phone) -> None:
    li.say("生日")
    asked = li.say("1990-03-08")
    li.now += timedelta(seconds=30)
    li.say("你们的消息能不能都别发给我了呀")
    _brought(li)
    li.now += timedelta(seconds=30)

    told = [li.say("好的"), li.say("好的")]

    assert told[0].startswith("已为您退订")
    assert told[1] == asked
    with li.desk.database.transaction() as session:
        assert session.get_one(Member, li.member_id).birthday_on is None


def test_tapping_no_leaves_all_as_it_is(li: Phone) -> None:
    li.say("你们的消息能不能都别发给我了呀")

    told = li.do("CLICK", key=_kept(li)["items"][1][0])

    assert told.startswith("好的")
    with li.desk.database.transaction() as session:
        assert session.exec(select(Suppression)).all() == []


@pytest.mark.parametrize("words", ["我不想退订", "不要取消", "恢复了吗", "发少了"])
def test_denied_or_told_wish_changes_nothing(li: Phone, words: str) -> None:
    li.say("你好")
    before = _rows(li.desk.database)

    li.say(words)

    assert _rows(li.desk.database) == before


def test_two_wishes_are_offered_to_tap(li: Phone) -> None:
    li.say("看看会员卡，顺便查一下积分")
    asked = _kept(li)

    told = li.do("CLICK", key=asked["items"][1][0])

    assert [key for key, _ in asked["items"]] == ["card", "points", "help"]
    assert told == "您现在有 0 积分。"


def test_open_talk_takes_its_own_answers_first(li: Phone) -> None:
    li.say("你好")
    _people(li.desk, [li.openid], li.now)
    asked = li.say("送券")

    assert "对吗" in asked
    li.now += timedelta(seconds=5)
    assert li.say("嗯嗯送吧") == asked
    li.now += timedelta(seconds=5)
    # Asked once more, it is the last question.
    assert "点开就能领取" in li.say("好的")


def test_without_its_model_it_helps_with_the_words_that_work(desk: Desk, now: datetime) -> None:
    phone = Phone(replace(desk, wits=Wits(understands=False)), now)

    assert phone.say("我还剩几多积分哟").startswith("我能帮您")
    assert phone.say("积分") == "您现在有 0 积分。"


def test_language_model_is_asked_last(desk: Desk, now: datetime) -> None:
    phone = Phone(replace(desk, wits=Wits(asks_model=True)), now)

    understood = phone.say("我还剩几多积分哟")
    asked = phone.say("给我讲讲昨晚的球赛")

    assert understood == "您现在有 0 积分。"
    assert asked == ""
    assert (_kept(phone)["kind"], _kept(phone)["wish"]) == ("later", ASK_MODEL)


@pytest.fixture
def visitor(li: Phone) -> Iterator[Turn]:
    """A turn of somebody who is known by the chat alone."""
    li.say("你好")
    with li.desk.database.transaction() as session:
        session.execute(delete(Conversation))
        identity = members.meet(
            session,
            channel=IdentityChannel.WECHAT,
            account=APP_ID,
            outside_id=li.openid,
            brand_id=1,
            now=li.now,
        )
        yield Turn(Menu("x"), identity.member_id, identity.id, li.desk.public_url, li.desk.zone)


@pytest.mark.parametrize("is_member", [False, True])
@pytest.mark.parametrize("intent", sorted(SHOWS & routes.HANDLERS.keys()))
def test_what_only_shows_writes_nothing(
    li: Phone, visitor: Turn, intent: Intent, is_member: bool
) -> None:
    with li.desk.database.transaction() as session:
        if is_member:
            members.bind_mobile(session, visitor.member_id, "13800005678", now=li.now)
    with Session(li.desk.database.engine) as session:
        session.execute(text("SET TRANSACTION READ ONLY"))
        router = Router(otherwise=routes.HANDLERS[intent])

        outcome = router.answer(visitor, session, li.now)

    assert not outcome.is_fault


def test_every_wish_that_is_no_show_is_asked_about() -> None:
    guessed = routes.HANDLERS.keys() - {Intent.CONFIRM, Intent.CANCEL}

    assert guessed - HARMLESS == SURE.keys()
    assert all(sure(intent).items[0][0] == intent for intent in SURE)
