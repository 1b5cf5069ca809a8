"""Who it is, in the chat: binding, birthday, own data; and being forgotten after leaving."""

from datetime import date, timedelta

import pytest
from sqlalchemy import text
from sqlmodel import Session

from store import binding, consents, members
from store.members import Member
from tests.bot.builders import ZHAO
from tests.bot.conftest import Phone
from tests.store.test_erasure import places_of


def _member(li: Phone) -> Member:
    with li.desk.database.transaction() as session:
        return session.get_one(Member, li.member_id)


def test_binding_is_a_card_that_says_what_joining_brings(li: Phone) -> None:
    li.say("你好")
    with li.desk.database.transaction() as session:
        binding.offer(session, _member(li).brand_id, points=100)

    said = li.say("绑定手机号")

    assert "https://x.example/m/bind" in said
    assert "新会员送100 积分" in said


def test_member_is_told_that_the_mobile_is_bound(li: Phone) -> None:
    li.say("你好")
    with li.desk.database.transaction() as session:
        members.bind_mobile(session, li.member_id, "13812345678", now=li.now)

    said = li.say("绑定手机号")

    assert "138****5678" in said
    assert "13812345678" not in said


def test_birthday_is_set_after_it_was_confirmed(li: Phone) -> None:
    asked = li.say("生日")
    sure = li.say("1988年2月29日")
    before = _member(li).birthday_on
    done = li.say("确认")

    assert "回复一个日期" in asked
    assert "1988年2月29日，对吗" in sure
    assert before is None
    assert "记下了" in done
    assert _member(li).birthday_on == date(1988, 2, 29)


def test_birthday_is_left_when_the_member_says_no_or_names_no_day(li: Phone) -> None:
    li.say("生日")
    li.say("1988-02-29")
    left = li.say("取消")
    li.say("生日")
    li.say("1989-02-29")

    assert left == "好的，没有改。"
    assert _member(li).birthday_on is None


def test_another_day_takes_the_place_of_the_first_before_it_is_confirmed(li: Phone) -> None:
    li.say("生日")
    li.say("1988-02-29")
    li.say("1988-02-28")
    li.say("确认")

    assert _member(li).birthday_on == date(1988, 2, 28)


def test_birthday_that_was_set_is_told_with_the_day_of_the_next_change(li: Phone) -> None:
    for words in ("生日", "1988-02-29", "确认"):
        li.say(words)

    again = li.say("生日")
    li.now += timedelta(seconds=1)
    refused = li.say("1990-01-01")

    assert "1988年2月29日" in again
    assert "2027年3月1日 以后可以再改" in again
    assert "对吗" not in refused


def test_day_in_the_future_is_no_birthday_to_confirm(li: Phone) -> None:
    for words in ("生日", "2999-01-01"):
        li.say(words)

    li.say("确认")

    assert _member(li).birthday_on is None


def test_privacy_is_one_friendly_card(li: Phone) -> None:
    said = li.say("隐私")

    assert "https://x.example/m/privacy" in said
    assert "您的数据属于您" in said


def test_visitor_who_unfollows_leaves_no_openid_anywhere(li: Phone) -> None:
    li.do("subscribe")
    li.say("我叫欧阳雨桐")
    li.do("unsubscribe")

    with Session(li.desk.database.engine) as session:
        assert places_of(session, li.openid) == set()
        assert places_of(session, "欧阳雨桐") == set()


def test_stop_holds_for_a_visitor_who_left_and_follows_again(li: Phone) -> None:
    li.do("subscribe")
    li.say("TD")
    li.do("unsubscribe")
    li.now += timedelta(days=1)

    li.do("subscribe")

    with li.desk.database.transaction() as session:
        assert [stop.reason for stop in consents.stops(session, li.member_id, li.now)] == ["erased"]


def test_revoked_permission_of_one_leaves_the_other_alone(li: Phone) -> None:
    zhao = Phone(li.desk, li.now, openid=ZHAO)
    li.say("你好")
    zhao.say("你好")

    li.do("unsubscribe")

    with Session(li.desk.database.engine) as session:
        assert places_of(session, ZHAO)
        left = session.execute(text("SELECT count(*) FROM identities")).scalar_one()
    assert left == 1
    assert zhao.say("积分")


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        *(("1990-13-45", "这个日期好像不对"), ("1990年2月30日", "这个日期好像不对")),
        *(("2090-01-01", "这个日期好像不对"), ("1880-01-01", "这个日期好像不对")),
        *(("5月1号", "要有年、月、日"), ("我的生日是五月一日", "要有年、月、日")),
        *(("90年5月1日", "要有年、月、日"), ("0501", "要有年、月、日")),
    ],
)
def test_day_that_can_be_no_birthday_is_asked_for_again(li: Phone, said: str, answer: str) -> None:
    li.say("生日")

    told = [li.say(said), li.say("1990-05-01"), li.say("对")]

    assert answer in told[0]
    assert "1990年5月1日" in told[1]
    assert told[2].startswith("记下了")


def test_another_wish_within_the_birthday_is_no_day(li: Phone) -> None:
    li.say("生日")

    assert li.say("积分") == "您现在有 0 积分。"
