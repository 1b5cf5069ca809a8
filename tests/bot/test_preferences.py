"""What a member says in the chat about messages takes effect at once, on the channel named."""

import pytest
from sqlmodel import col, select

from fatigue import preferences
from fatigue.preferences import Choice, Mood
from store.consents import Wish, WishKind
from store.inbound import InboundMessage
from store.touches import Channel
from tests.bot.conftest import Phone
from tests.times import at

_OFFICIAL = {Channel.WECHAT_SERVICE, Channel.WECHAT_NOTICE}


def _chosen(li: Phone, mood: Mood) -> dict[Channel | None, Choice]:
    with li.desk.database.transaction() as session:
        found = preferences.choices(session, li.member_id, li.now)
    return {choice.channel: choice for choice in found if choice.mood is mood}


@pytest.mark.parametrize("words", ["少发一点", "请少发点", "能不能少发一些消息", "别发那么多"])
def test_less_is_less_on_every_channel(li: Phone, words: str) -> None:
    reply = li.say(words)

    assert "不再给您发营销消息" in reply
    assert set(_chosen(li, Mood.LESS)) == {None}


@pytest.mark.parametrize(
    ("words", "until"),
    [
        ("暂停一个月", "2026-04-01 14:00"),
        ("暂停3天", "2026-03-04 14:00"),
        ("免打扰两周吧", "2026-03-15 14:00"),
        ("停半年", "2026-09-01 14:00"),
        ("暂停到5月1日", "2026-05-01 00:00"),
        ("暂停到2月1号", "2027-02-01 00:00"),
        ("暂停到月底", "2026-04-01 00:00"),
        ("暂停到年底", "2027-01-01 00:00"),
    ],
)
def test_pause_ends_when_the_member_said(li: Phone, words: str, until: str) -> None:
    reply = li.say(words)

    assert "已暂停到" in reply
    assert _chosen(li, Mood.PAUSED)[None].until == at(until)


@pytest.mark.parametrize(
    ("words", "mood", "channels"),
    [
        ("公众号不要再发了", Mood.NEVER, _OFFICIAL),
        ("导购别联系我了", Mood.NEVER, {Channel.WECOM_BROADCAST}),
        ("企业微信退订", Mood.NEVER, {Channel.WECOM_BROADCAST}),
        ("公众号暂停一周", Mood.PAUSED, _OFFICIAL),
        ("企业微信少发点", Mood.LESS, {Channel.WECOM_BROADCAST}),
    ],
)
def test_wish_holds_on_the_channel_that_is_named(
    li: Phone, words: str, mood: Mood, channels: set[Channel]
) -> None:
    li.say(words)

    assert set(_chosen(li, mood)) == channels


def test_resume_is_said_outright(li: Phone) -> None:
    li.say("导购别联系我了")
    li.say("恢复导购的消息")

    assert set(_chosen(li, Mood.USUAL)) == {None, *preferences.TO_MEMBERS}


@pytest.mark.parametrize(
    "words", ["继续", "好的继续", "我昨天说少发一点你们还是发了三条", "不要", "停"]
)
def test_words_that_may_mean_something_else_change_nothing(li: Phone, words: str) -> None:
    li.say(words)

    with li.desk.database.transaction() as session:
        assert session.exec(select(Wish)).all() == []


def test_bare_pause_asks_for_how_long_and_a_tap_does_it(li: Phone) -> None:
    li.say("暂停")
    with li.desk.database.transaction() as session:
        row = session.exec(select(InboundMessage).order_by(col(InboundMessage.id).desc())).first()
    assert row is not None
    assert row.reply is not None
    offered = [key for key, _ in row.reply["items"]]

    li.do("CLICK", key="pause:7")

    assert offered == ["pause:7", "pause:30", "pause:90"]
    assert _chosen(li, Mood.PAUSED)[None].until == at("2026-03-08 14:00")


def test_every_wish_is_kept_as_it_was_stated(li: Phone) -> None:
    for words in ("少发一点", "暂停一个月", "退订", "恢复"):
        li.say(words)

    with li.desk.database.transaction() as session:
        wishes = session.exec(select(Wish).order_by(col(Wish.id))).all()
    assert [wish.kind for wish in wishes] == [
        WishKind.LESS,
        WishKind.PAUSE,
        WishKind.NEVER,
        WishKind.RESUME,
    ]
    assert {(wish.source, wish.text_version, wish.stated_at) for wish in wishes} == {
        ("chat", preferences.TEXT_VERSION, li.now)
    }


def test_settings_are_one_tap_away(li: Phone) -> None:
    assert "消息设置" in li.say("设置")


@pytest.mark.parametrize(
    ("before", "words", "answer"),
    [
        ("暂停一个月", "暂停3天", "已暂停到2026年4月1日"),
        ("暂停一个月", "公众号暂停3天", "已暂停到2026年4月1日"),
        ("退订", "暂停3天", "您之前已经退订了，"),
        ("退订", "短信暂停3天", "您之前已经退订了，"),
        ("短信退订", "短信暂停3天", "您之前已经退订了短信，"),
        ("短信退订", "暂停3天", "已暂停到2026年3月4日"),
    ],
)
def test_pause_is_answered_with_what_holds(li: Phone, before: str, words: str, answer: str) -> None:
    li.say(before)

    assert answer in li.say(words)
