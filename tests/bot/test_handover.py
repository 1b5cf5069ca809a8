"""A person, please: who is told, what the bot says meanwhile (nothing), and the way back."""

from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import Session, col, select

from bot import handing_over
from bot.dialogue import HUMAN
from bot.wechat import inbound as wechat
from store import handovers, leaves, members, notices, relations
from store.accounts import Account
from store.consents import Suppression
from store.handovers import Ending, Handover, HandoverLine, Side
from store.inbound import Conversation
from store.members import Member
from store.notices import Notice, NoticeKind, NoticeState
from store.organisation import Brand, Guide, GuideRole, GuideStatus, HumanDesk, Shop
from store.touches import Category, Touch, TouchState
from tests.bot.builders import Push, a_push, opened_reply, text_xml
from tests.bot.conftest import Phone

_URL = "https://x.example"


def _guide(session: Session, userid: str, *, shop: str = "s1", **facts: Any) -> Guide:
    found = session.exec(select(Shop).where(Shop.code == shop)).first()
    if found is None:
        found = Shop(brand_id=session.exec(select(Brand.id)).one(), code=shop, name="中山路店")
        session.add(found)
        session.flush()
    guide = Guide(shop_id=found.id, userid=userid, name=facts.pop("name", "王芳"), **facts)
    session.add(guide)
    session.flush()
    return guide


@pytest.fixture
def wang(li: Phone) -> int:
    """Li's own guide."""
    li.say("你好")
    with li.desk.database.transaction() as session:
        guide = _guide(session, "wang")
        session.get_one(Member, li.member_id).name = "李明"
        # Long enough ago to be no part of the talk.
        li.now += timedelta(hours=1)
        relations.own(session, li.member_id, guide.id, now=li.now)
        return guide.id


def _lines(li: Phone) -> list[str]:
    with li.desk.database.transaction() as session:
        query = select(HandoverLine).order_by(col(HandoverLine.id))
        return [line.words for line in session.exec(query)]


def _notices(li: Phone) -> list[Notice]:
    with li.desk.database.transaction() as session:
        query = select(Notice).where(Notice.kind == NoticeKind.HANDOVER)
        return list(session.exec(query.order_by(col(Notice.id))).all())


def _talk(li: Phone) -> Handover:
    with li.desk.database.transaction() as session:
        return session.exec(select(Handover)).one()


def _tend(li: Phone) -> None:
    handing_over.tend(li.desk.database, public_url=_URL, now=li.now)


def test_own_guide_is_told_with_the_masked_name_and_the_last_words(li: Phone, wang: int) -> None:
    li.say("我昨天买的茶叶盒子是破的，怎么办")

    reply = li.say("人工")

    told = _notices(li)
    assert "已经转给中山路店的王芳" in reply
    assert [(notice.guide_id, notice.message["title"]) for notice in told] == [
        (wang, "李**想和您说话")
    ]
    assert "茶叶盒子是破的" in told[0].message["text"]
    assert told[0].message["url"] == f"{_URL}/guide/talks/{_talk(li).token}"


@pytest.mark.parametrize("words", ["转人工", "找人工", "人工客服", "客服"])
def test_words_for_a_person_lead_to_one(li: Phone, wang: int, words: str) -> None:
    del wang

    assert "已经转给" in li.say(words)


def test_bot_keeps_still_and_forwards_what_is_said(li: Phone, wang: int) -> None:
    del wang
    li.say("人工")

    answers = [li.say("积分"), li.say("盒子破了"), li.receive(_picture(li))]

    assert answers == ["", "", ""]
    assert _lines(li)[-3:] == ["积分", "盒子破了", "[图片]"]


def test_tap_on_the_menu_says_how_to_come_back(li: Phone, wang: int) -> None:
    del wang
    li.say("人工")

    assert "您正在和王芳说话" in li.do("CLICK", key="points")


@pytest.mark.parametrize("words", ["退订", "TD", "r", "公众号不要再发了"])
def test_stop_words_work_while_a_person_answers(li: Phone, wang: int, words: str) -> None:
    del wang
    li.say("人工")

    reply = li.say(words)

    with li.desk.database.transaction() as session:
        stops = session.exec(select(Suppression)).all()
        talk = session.exec(select(Conversation)).one()
    assert reply
    assert stops
    assert talk.step == HUMAN


def test_word_for_goods_reaches_the_person_and_stops_nothing(li: Phone, wang: int) -> None:
    del wang
    li.say("人工")

    reply = li.say("退")

    with li.desk.database.transaction() as session:
        assert session.exec(select(Suppression)).all() == []
    assert "回复“退订”" in reply
    assert _lines(li)[-1] == "退"


def test_one_nudge_carries_all_lines_of_five_minutes(li: Phone, wang: int) -> None:
    del wang
    li.say("人工")
    for words in ("一", "二", "三"):
        li.say(words)
    _tend(li)
    early = len(_notices(li))

    li.now += handovers.NUDGE_PAUSE
    _tend(li)
    _tend(li)

    told = _notices(li)
    assert (early, len(told)) == (1, 2)
    assert told[1].message["text"] == "一；二；三"


def test_line_after_the_pause_is_told_at_once(li: Phone, wang: int) -> None:
    del wang
    li.say("人工")
    li.now += handovers.NUDGE_PAUSE

    li.say("还在吗，急")

    assert [notice.message["text"] for notice in _notices(li)] == ["人工", "还在吗，急"]


def test_nothing_that_was_said_is_untold(li: Phone, wang: int) -> None:
    del wang
    li.say("人工")
    for number in range(7):
        li.now += timedelta(minutes=2)
        li.say(f"第{number}句")
    li.now += handovers.NUDGE_PAUSE
    _tend(li)

    told = {notice.key for notice in _notices(li)}
    with li.desk.database.transaction() as session:
        lines = session.exec(select(HandoverLine)).all()
    assert len(lines) == 8
    assert {f"handover-{line.handover_id}-{line.nudge}" for line in lines} == told


@pytest.mark.parametrize("words", ["结束", "返回机器人", "退出人工"])
def test_member_comes_back_by_a_word(li: Phone, wang: int, words: str) -> None:
    del wang
    li.say("人工")

    back = li.say(words)

    assert "已回到自助服务" in back
    assert li.say("积分") == "您现在有 0 积分。"
    assert _talk(li).ended_by is Ending.MEMBER


def test_cancel_word_is_meant_for_the_person(li: Phone, wang: int) -> None:
    del wang
    li.say("人工")

    assert li.say("取消") == ""
    assert _lines(li)[-1] == "取消"


def test_guide_releases_and_the_member_is_told(li: Phone, wang: int) -> None:
    del wang
    li.say("人工")
    with li.desk.database.transaction() as session:
        talk = session.exec(select(Handover)).one()
        handing_over.release(session, talk, Ending.GUIDE, now=li.now)

    with li.desk.database.transaction() as session:
        touch = session.exec(select(Touch)).one()
    assert touch.text.startswith("王芳已结束这次人工服务")
    assert (touch.category, touch.state) == (Category.SERVICE, TouchState.RESERVED)
    assert li.say("积分") == "您现在有 0 积分。"


def test_guide_answers_through_the_account(li: Phone, wang: int) -> None:
    del wang
    li.say("人工")
    with li.desk.database.transaction() as session:
        talk = session.exec(select(Handover)).one()
        answered = handing_over.answer(session, talk, "马上给您换", step=HUMAN, now=li.now)

    assert answered.touch.state is TouchState.RESERVED
    assert (answered.line.side, answered.touch.text) == (Side.GUIDE, "马上给您换")


def test_talk_lapses_after_hours_of_silence_with_a_sentence(li: Phone, wang: int) -> None:
    del wang
    li.say("人工")
    li.now += handovers.PATIENCE - timedelta(seconds=1)
    _tend(li)
    before = li.say("还在吗")

    li.now += handovers.PATIENCE
    _tend(li)

    with li.desk.database.transaction() as session:
        texts = [touch.text for touch in session.exec(select(Touch))]
    assert before == ""
    assert _talk(li).ended_by is Ending.LAPSED
    assert [text[:13] for text in texts] == ["人工服务很久没有新消息，已"]
    assert li.say("积分") == "您现在有 0 积分。"


def test_bot_answers_again_at_the_very_moment_even_before_the_sweep(li: Phone, wang: int) -> None:
    del wang
    li.say("人工")
    li.now += handovers.PATIENCE

    assert li.say("积分") == "您现在有 0 积分。"


def test_shop_that_is_closed_says_when_it_opens_and_waits_so_long(li: Phone, wang: int) -> None:
    del wang
    li.now += timedelta(hours=8)

    reply = li.say("人工")

    assert "明天 10:00 开门后回您" in reply
    assert _talk(li).expires_at == li.now + timedelta(hours=11) + handovers.PATIENCE


def test_without_own_guide_the_least_busy_of_the_shop_answers(li: Phone) -> None:
    li.say("你好")
    with li.desk.database.transaction() as session:
        _guide(session, "one")
        two = _guide(session, "two")
        session.get_one(Member, li.member_id).shop_id = two.shop_id
    zhao = Phone(li.desk, li.now, "oZhao_000000000000000000000B")
    zhao.say("你好")
    with li.desk.database.transaction() as session:
        session.get_one(Member, zhao.member_id).shop_id = two.shop_id

    zhao.say("人工")
    li.say("人工")

    with li.desk.database.transaction() as session:
        assert len(set(session.exec(select(Handover.guide_id)).all())) == 2


def test_without_shop_a_manager_of_the_brand_answers(li: Phone) -> None:
    li.say("你好")
    with li.desk.database.transaction() as session:
        _guide(session, "guide")
        boss = _guide(session, "boss", role=GuideRole.MANAGER, name="陈店长").id

    assert "陈店长" in li.say("人工")
    assert _talk(li).guide_id == boss


def test_with_nobody_at_all_the_bot_says_so_and_stays(li: Phone) -> None:
    assert "没有同事在线" in li.say("人工")
    assert li.say("积分") == "您现在有 0 积分。"


@pytest.mark.parametrize("how", ["left", "unreachable"])
def test_talk_that_nobody_hears_is_passed_on_with_every_line(
    li: Phone, wang: int, how: str
) -> None:
    li.say("人工")
    li.say("盒子破了")
    with li.desk.database.transaction() as session:
        boss = _guide(session, "boss", role=GuideRole.MANAGER).id
        if how == "left":
            session.get_one(Guide, wang).status = GuideStatus.LEFT
        else:
            notice = notices.claim(session, session.exec(select(Notice.id)).one(), now=li.now)
            assert notice is not None
            notices.move(notice, NoticeState.FAILED)

    _tend(li)

    told = _notices(li)[-1]
    assert (_talk(li).guide_id, told.guide_id) == (boss, boss)
    assert told.message["text"] == "人工；盒子破了"


def test_bot_keeps_still_as_long_as_a_talk_that_was_passed_on_lasts(li: Phone, wang: int) -> None:
    li.say("人工")
    li.now += timedelta(hours=3)
    with li.desk.database.transaction() as session:
        _guide(session, "boss", role=GuideRole.MANAGER)
        session.get_one(Guide, wang).status = GuideStatus.LEFT
    _tend(li)
    li.now += timedelta(hours=2)

    answer = li.say("盒子破了")

    assert _talk(li).ended_at is None
    assert (answer, _lines(li)) == ("", ["人工", "盒子破了"])


def test_talk_that_nobody_can_take_ends_with_a_sentence(li: Phone, wang: int) -> None:
    li.say("人工")
    with li.desk.database.transaction() as session:
        session.get_one(Guide, wang).status = GuideStatus.LEFT

    _tend(li)

    assert _talk(li).ended_by is Ending.NOBODY
    assert li.say("积分") == "您现在有 0 积分。"


def test_account_may_leave_talks_to_wechats_own_agents(li: Phone) -> None:
    li.say("你好")
    with li.desk.database.transaction() as session:
        account = session.exec(select(Account).where(Account.code == "brand")).one()
        account.human_desk = HumanDesk.WECHAT
    kinds = [_kind_of_answer(li, words) for words in ("人工", "在吗", "结束", "积分")]

    assert kinds == ["transfer_customer_service", "transfer_customer_service", "text", "text"]


def test_who_leaves_the_account_takes_the_talk_along(li: Phone, wang: int) -> None:
    del wang
    li.say("人工")
    li.do("unsubscribe")

    with li.desk.database.transaction() as session:
        assert session.exec(select(Handover)).all() == []
        assert session.exec(select(HandoverLine)).all() == []


def test_merge_in_the_middle_keeps_the_talk(li: Phone, wang: int) -> None:
    del wang
    li.say("人工")
    with li.desk.database.transaction() as session:
        owner = Member(brand_id=1, created_at=li.now, mobile="13800005678", name="李明")
        session.add(owner)
        session.flush()
        members.bind_mobile(session, li.member_id, "13800005678", now=li.now)

    li.say("还在吗")

    assert _lines(li) == ["人工", "还在吗"]
    assert _talk(li).member_id == li.member_id


def _kind_of_answer(li: Phone, words: str) -> str:
    push = a_push(text_xml(words), now=li.now)
    answer = wechat.receive(li.desk, "brand", push.query, push.body, now=li.now)
    kind: str = opened_reply(answer)["MsgType"]
    return kind


def _picture(li: Phone) -> Push:
    return a_push(text_xml("x").replace("[text]", "[image]"), now=li.now)


@pytest.mark.parametrize(
    ("happens", "answers"), [("", "two"), ("answered", "wang"), ("closed", "wang")]
)
def test_talk_goes_to_a_colleague_when_the_guide_is_away_and_has_not_answered(
    li: Phone, wang: int, happens: str, answers: str
) -> None:
    if happens == "closed":
        li.now += timedelta(hours=8)
    li.say("人工")
    li.now += timedelta(minutes=10)
    with li.desk.database.transaction() as session:
        two = _guide(session, "two", name="张敏")
        session.get_one(Member, li.member_id).shop_id = two.shop_id
        leaves.grant(session, wang, since=li.now, until=li.now + timedelta(days=3))
        if happens == "answered":
            talk = session.exec(select(Handover)).one()
            handing_over.answer(session, talk, "稍等", step=HUMAN, now=li.now)

    _tend(li)
    _tend(li)

    with li.desk.database.transaction() as session:
        assert session.get_one(Guide, _talk(li).guide_id).userid == answers
    assert len([one for one in _notices(li) if one.guide_id != wang]) == (answers == "two")


def test_talk_stays_with_a_guide_who_is_away_when_there_is_nobody_else(
    li: Phone, wang: int
) -> None:
    li.say("人工")
    with li.desk.database.transaction() as session:
        leaves.grant(session, wang, since=li.now, until=li.now + timedelta(days=3))

    _tend(li)

    assert (_talk(li).guide_id, _talk(li).ended_by) == (wang, None)
