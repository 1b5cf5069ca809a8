"""Talks of several turns: a stop wins in every state, a cancel word leaves every talk."""

from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlmodel import Session, select

from bot import dialogue, routes
from bot.dialogue import HUMAN
from bot.handlers import feedback, gift, handover, preferences, profile, shops
from bot.messages import Text, Turn
from content import keywords, talk_words
from content.phrases import Intent
from store import inbound
from store.consents import Suppression
from store.inbound import Conversation
from store.members import Identity, Member
from store.organisation import Brand, Guide, Shop
from tests.bot.conftest import Phone
from tests.races.racing import race, waiting, winners

_TALKS = (
    gift.CHOOSE,
    gift.CONFIRM,
    profile.ASK,
    profile.SURE,
    shops.WHERE,
    feedback.SCORE,
    feedback.WORDS,
)
_CLEAR_NO = ("公众号不要再发了", "导购别联系我了", "企业微信退订", "不想收到消息")
_ROUTER = routes.build()


def _turn(words: str, step: str) -> Turn:
    return Turn(
        message=Text(words),
        member_id=1,
        identity_id=1,
        public_url="https://x.example",
        zone=ZoneInfo("Asia/Shanghai"),
        step=step,
    )


@given(
    step=st.sampled_from(["", HUMAN, *_TALKS]) | st.text(max_size=12),
    words=st.sampled_from([*sorted(keywords.HARD_STOPS), *_CLEAR_NO]),
    before=st.sampled_from(["", "【", " ", "“"]),
    after=st.sampled_from(["", "！", "。。", " "]),
)
def test_stop_words_win_in_any_state_of_any_talk(
    step: str, words: str, before: str, after: str
) -> None:
    handler = _ROUTER.handler(_turn(f"{before}{words}{after}", step))

    # With a person one speaks of goods, too: "退" is passed on, and answered with how to stop.
    is_doubtful = step == HUMAN and words in talk_words.FOR_A_PERSON
    stops = {handover.forward_doubtful} if is_doubtful else {preferences.stop, preferences.grant}
    assert handler in stops


@pytest.mark.parametrize("step", _TALKS)
@pytest.mark.parametrize("words", sorted(keywords.WHOLE[Intent.CANCEL]))
def test_cancel_words_leave_any_talk_from_any_state(step: str, words: str) -> None:
    handler = _ROUTER.handler(_turn(words, step))

    assert handler in {dialogue.leave, gift.cancel, profile.cancel}


@pytest.mark.parametrize("step", _TALKS)
def test_cancel_word_really_ends_the_talk(li: Phone, step: str) -> None:
    li.say("你好")
    _put(li, step)

    li.say("算了")

    with li.desk.database.transaction() as session:
        assert session.exec(select(Conversation)).all() == []
        assert session.exec(select(Suppression)).all() == []


@settings(max_examples=25)
@given(
    said=st.lists(
        st.sampled_from(
            [
                "人工",
                "反馈",
                "门店",
                "1",
                "5",
                "送券",
                "确认",
                "取消",
                "生日",
                "杭州",
                "结束",
                "积分",
            ]
        ),
        max_size=5,
    ),
    stop=st.sampled_from(sorted(keywords.HARD_STOPS - talk_words.FOR_A_PERSON)),
)
def test_stop_is_obeyed_after_any_conversation(li: Phone, said: list[str], stop: str) -> None:
    _employ(li)
    for words in said:
        li.say(words)

    li.say(stop)

    with li.desk.database.transaction() as session:
        held = session.exec(select(Suppression).where(Suppression.member_id == li.member_id)).all()
        open_stops = [one for one in held if one.lifted_at is None]
        assert [(one.channel, one.until) for one in open_stops] == [("", None)]
        for one in held:
            session.delete(one)


def test_talk_ends_by_itself_after_ten_minutes(li: Phone) -> None:
    li.say("你好")
    _put(li, feedback.WORDS)
    li.now += inbound.CONVERSATION_LIFE

    assert "您现在有 0 积分" in li.say("积分")


@pytest.mark.parametrize("words", ["取消", "N"])
def test_cancel_word_after_a_talk_lapsed_unsubscribes_nobody(li: Phone, words: str) -> None:
    li.say("你好")
    _put(li, gift.CONFIRM)
    li.now += inbound.CONVERSATION_LIFE

    first = li.say(words)

    assert "什么都没有改" in first
    assert "已为您退订" in li.say(words)


@pytest.mark.parametrize("words", ["暂停", "你们的消息能不能都别发给我了呀", "查快递顺便看看积分"])
def test_cancel_word_after_a_question_with_choices_says_no_to_it(li: Phone, words: str) -> None:
    li.say(words)

    assert "什么都没有改" in li.say("取消")


def test_score_is_taken_in_words_too(li: Phone) -> None:
    li.say("反馈")

    assert li.say("非常满意！").startswith("太好了")


def _take_step(session: Session, identity_id: int, li: Phone) -> int:
    talk = inbound.conversation(session, identity_id, li.now)
    assert talk is not None
    inbound.move_talk(session, talk, gift.CONFIRM, facts={}, now=li.now)
    return talk.version


@pytest.mark.race
def test_two_workers_take_one_step_after_the_other(li: Phone) -> None:
    li.say("你好")
    identity_id = _put(li, gift.CHOOSE)

    outcomes = race(li.desk.database, [lambda session: _take_step(session, identity_id, li)] * 2)

    # The second waits for the row and goes on from the step of the first.
    assert sorted(winners(outcomes)) == [1, 2]


@pytest.mark.race
def test_unlocked_twin_finds_that_the_talk_went_on_and_refuses(li: Phone) -> None:
    """Without the lock both read one version; only the version keeps them from interleaving."""
    li.say("你好")
    identity_id = _put(li, gift.CHOOSE)

    def read(session: Session) -> Conversation:
        return session.exec(
            select(Conversation).where(Conversation.identity_id == identity_id)
        ).one()

    read_by_both = waiting(2, read)

    def step(session: Session) -> None:
        inbound.move_talk(session, read_by_both(session), gift.CONFIRM, facts={}, now=li.now)

    outcomes = race(li.desk.database, [step, step])

    assert sorted(type(found).__name__ for found in outcomes) == ["Interleaved", "NoneType"]


@pytest.mark.race
def test_two_messages_of_one_person_make_one_talk_with_a_guide(li: Phone) -> None:
    _employ(li)

    outcomes = race(
        li.desk.database,
        [lambda _session: Phone(li.desk, li.now).say("人工")] * 2,
    )

    # Whoever was second found the bot still, and its word is a line for the guide.
    assert sorted(bool(words) for words in outcomes) == [False, True]


def _put(li: Phone, step: str) -> int:
    """Li in the middle of a talk."""
    with li.desk.database.transaction() as session:
        identity_id = session.exec(select(Identity.id)).one()
        inbound.begin_talk(session, identity_id, step, facts={}, now=li.now)
        return identity_id


def _employ(li: Phone) -> None:
    """A shop with a guide, where Li is at home."""
    li.say("你好")
    with li.desk.database.transaction() as session:
        if session.exec(select(Guide)).first() is not None:
            inbound.end_talk(session, session.exec(select(Identity.id)).one())
            return
        brand = session.exec(select(Brand)).one()
        shop = Shop(brand_id=brand.id, code="s1", name="中山路店", city="杭州")
        session.add(shop)
        session.flush()
        session.add(Guide(shop_id=shop.id, userid="wang", name="王芳"))
        identity = session.exec(select(Identity)).one()
        session.get_one(Member, identity.member_id).shop_id = shop.id


def test_talk_with_a_person_is_the_only_one_that_a_cancel_word_does_not_leave() -> None:
    assert _ROUTER.handler(_turn("取消", HUMAN)) is handover.forward
