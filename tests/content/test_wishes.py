"""Reading a wish about messages: only what is nothing else, and until exactly when."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from content import wishes
from content.wishes import CHANNEL_LABELS, Asked, Span
from fatigue.preferences import TO_MEMBERS
from store.consents import WishKind
from tests.times import SHANGHAI, at

_NOW = at("2026-01-31 14:00").astimezone(SHANGHAI)


def test_every_channel_to_members_has_a_name() -> None:
    assert CHANNEL_LABELS.keys() == set(TO_MEMBERS)


@pytest.mark.parametrize(
    ("span", "end"),
    [
        (Span(months=1), "2026-02-28 14:00"),
        (Span(months=12), "2027-01-31 14:00"),
        (Span(days=1), "2026-02-01 14:00"),
        (Span(on=(1, 31)), "2027-01-31 00:00"),
        (Span(on=(2, 29)), "2026-02-28 00:00"),
        (Span(end="月底"), "2026-02-01 00:00"),
        (Span(end="年底"), "2027-01-01 00:00"),
    ],
)
def test_pause_ends_on_the_day_that_people_mean(span: Span, end: str) -> None:
    assert span.after(_NOW) == at(end)


@pytest.mark.parametrize(
    "words",
    [
        *("", "暂停", "暂停0天", "暂停零天", "不要", "继续", "公众号", "积分", "少", "别", "发"),
        *("我上次说暂停一个月你们还是天天发", "这张券为什么停了3天", "恢复出厂设置怎么弄啊"),
    ],
)
def test_words_that_are_no_wish_are_none(words: str) -> None:
    assert wishes.read(words) is None


@pytest.mark.parametrize(
    "words",
    [
        *("发少了", "少发了吗", "减少了", "恢复了", "恢复了吗", "短信恢复了吗", "退订了吗"),
        *("屏蔽了吗", "拒收了", "关闭了吗", "停三天了", "暂停一个月了吗"),
        *("不想打扰", "不想打扰导购", "不用联系导购", "不要联系顾问"),
    ],
)
def test_what_is_told_asked_or_said_out_of_politeness_is_no_wish(words: str) -> None:
    assert wishes.read(words) is None


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        *(("别发了", WishKind.NEVER), ("导购别联系我了", WishKind.NEVER)),
        *(("不想被打扰", WishKind.NEVER), ("可以退订吗", WishKind.NEVER)),
        *(("退订了", WishKind.NEVER), ("不用联系我了", WishKind.NEVER)),
        *(("恢复吧谢谢了", WishKind.RESUME), ("暂停一周谢谢了", WishKind.PAUSE)),
    ],
)
def test_wish_with_a_particle_is_still_one(words: str, kind: WishKind) -> None:
    asked = wishes.read(words)

    assert asked is not None
    assert asked.kind is kind


@pytest.mark.parametrize(
    "words", ["拒收请回复R", "回复R", "回T退订", "td退订", "退订回TD", "回复“R”", "我要退订回T"]
)
def test_way_out_of_an_sms_typed_as_it_was_read_is_a_stop(words: str) -> None:
    assert wishes.read(words) == Asked(WishKind.NEVER)


@pytest.mark.parametrize(
    "words", ["回复R了", "我回复TD了吗", "回复T是什么意思", "回N", "T恤退订单"]
)
def test_talk_about_the_way_out_is_no_stop(words: str) -> None:
    assert wishes.read(words) is None


def test_traditional_characters_and_marks_are_the_same_wish() -> None:
    assert wishes.read("【暫停】兩個星期！") == Asked(WishKind.PAUSE, (), Span(days=14))


@given(words=st.text(max_size=40))
def test_nothing_that_is_typed_breaks_the_reading(words: str) -> None:
    asked = wishes.read(words)

    assert asked is None or asked.kind in WishKind


@given(
    count=st.integers(1, 999),
    unit=st.sampled_from(["天", "周", "个月", "年"]),
    now=st.integers(0, 10**9).map(lambda n: datetime.fromtimestamp(n, SHANGHAI)),
)
def test_pause_of_any_length_ends_later(count: int, unit: str, now: datetime) -> None:
    asked = wishes.read(f"暂停{count}{unit}")

    assert asked is not None
    assert asked.span is not None
    assert asked.span.after(now) > now
