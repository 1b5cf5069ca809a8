"""Feedback in the chat: a score, a few words, and somebody who makes amends when it is poor."""

from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import col, select

from content import notices as words_of
from guide_tasks import deadlines
from store import relations
from store.campaigns import Campaign, CampaignState, CareTask, TaskState
from store.feedback import Feedback
from store.inbound import InboundMessage
from store.members import Member
from store.notices import Notice, NoticeKind
from store.orders import Order
from store.organisation import Guide, Shop
from tests.bot.conftest import Phone


@pytest.fixture
def wang(li: Phone) -> int:
    """Li's own guide."""
    li.say("你好")
    with li.desk.database.transaction() as session:
        shop = Shop(brand_id=1, code="s1", name="中山路店")
        session.add(shop)
        session.flush()
        guide = Guide(shop_id=shop.id, userid="wang", name="王芳")
        session.add(guide)
        session.flush()
        session.get_one(Member, li.member_id).name = "李明"
        relations.own(session, li.member_id, guide.id, now=li.now)
        return guide.id


def _order(li: Phone, number: str = "1", *, days_ago: int = 1) -> int:
    with li.desk.database.transaction() as session:
        order = Order(
            source="till",
            external_id=number,
            member_id=li.member_id,
            amount_fen=1000,
            paid_at=li.now - timedelta(days=days_ago),
            created_at=li.now,
        )
        session.add(order)
        session.flush()
        return order.id


def _given(li: Phone) -> list[Feedback]:
    with li.desk.database.transaction() as session:
        return list(session.exec(select(Feedback).order_by(col(Feedback.id))).all())


def _tasks(li: Phone) -> list[CareTask]:
    with li.desk.database.transaction() as session:
        return list(session.exec(select(CareTask)).all())


def _asked(li: Phone) -> dict[str, Any]:
    with li.desk.database.transaction() as session:
        newest = select(InboundMessage).order_by(col(InboundMessage.id).desc())
        row = session.exec(newest).first()
    assert row is not None
    assert row.reply is not None
    return row.reply


def test_question_names_the_last_purchase_and_offers_five_answers(li: Phone, wang: int) -> None:
    del wang
    _order(li)

    li.say("评价")

    asked = _asked(li)
    assert str(asked["head"]).startswith("2月28日在我们这里的这次购物")
    assert [key for key, _ in asked["items"]] == [f"feedback:{score}" for score in range(5, 0, -1)]


@pytest.mark.parametrize("score", [1, 2, 3, 4, 5])
def test_only_a_poor_score_raises_a_care_task(li: Phone, wang: int, score: int) -> None:
    order_id = _order(li)
    li.say("反馈")

    reply = li.do("CLICK", key=f"feedback:{score}")

    given, tasks = _given(li)[0], _tasks(li)
    assert (given.score, given.order_id, given.source) == (score, order_id, "chat")
    assert [task.guide_id for task in tasks] == ([wang] if score <= 2 else [])
    assert ("让您失望了" in reply) is (score <= 2)


def test_guide_is_told_at_once_with_the_way_to_the_task(li: Phone, wang: int) -> None:
    li.say("投诉")
    li.say("1")

    task = _tasks(li)[0]
    with li.desk.database.transaction() as session:
        told = session.exec(select(Notice).where(Notice.kind == NoticeKind.FEEDBACK)).one()
        campaign = session.get_one(Campaign, task.campaign_id)
    assert (told.guide_id, told.message["title"]) == (wang, "李**给了 1 分，请跟进")
    assert told.message["url"] == f"https://x.example/guide/t/{task.token}"
    assert (task.state, campaign.state) == (TaskState.ASSIGNED, CampaignState.RUNNING)
    assert "我是中山路店的王芳" in task.draft


def test_words_reach_the_guide(li: Phone, wang: int) -> None:
    del wang
    li.say("反馈")
    li.say("2")

    reply = li.say("排队太久，积分也没到账")

    assert "交给了王芳" in reply
    assert _given(li)[0].words == "排队太久，积分也没到账"
    assert _tasks(li)[0].reason.endswith("排队太久，积分也没到账")


@pytest.mark.parametrize("words", ["不用了", "没有", "算了", "跳过"])
def test_words_are_no_duty(li: Phone, wang: int, words: str) -> None:
    del wang
    li.say("反馈")
    li.say("5")

    li.say(words)

    assert _given(li)[0].words == ""
    assert "您现在有 0 积分" in li.say("积分")


def test_word_for_a_wish_is_no_opinion(li: Phone, wang: int) -> None:
    del wang
    li.say("反馈")
    li.say("1")

    assert li.say("我的积分").startswith("您现在有 0 积分")
    assert "已经转给中山路店的王芳" in li.say("转人工")
    assert _given(li)[0].words == ""


@pytest.mark.parametrize("words", ["投诉", "服务态度差"])
def test_opinion_that_sounds_like_the_question_is_kept(li: Phone, wang: int, words: str) -> None:
    del wang
    li.say("反馈")
    li.say("1")

    li.say(words)

    assert _given(li)[0].words == words


def test_second_score_of_a_day_or_an_order_is_refused_kindly(li: Phone, wang: int) -> None:
    del wang
    _order(li)
    for _ in range(2):
        li.say("反馈")
        li.say("4")
        li.say("不用了")
    li.say("反馈")

    reply = li.say("1")

    assert "已经收到" in reply
    # One for the order, one for the day.
    assert [given.order_id is None for given in _given(li)] == [False, True]


def test_next_day_is_another_day(li: Phone, wang: int) -> None:
    del wang
    for _ in range(2):
        li.say("反馈")
        li.say("1")
        li.say("不用了")
        li.now += timedelta(days=1)

    assert len({task.campaign_id for task in _tasks(li)}) == 2


def test_two_poor_scores_of_a_day_are_one_task_with_both(li: Phone, wang: int) -> None:
    del wang
    _order(li)
    for score in ("2", "1"):
        li.say("反馈")
        li.say(score)
        li.say("不用了")

    tasks = _tasks(li)
    assert [task.reason for task in tasks] == [
        f"{words_of.poor_rating_line(2)} {words_of.poor_rating_line(1)}"
    ]
    assert {given.care_task_id for given in _given(li)} == {tasks[0].id}


def test_task_that_nobody_took_up_ends_and_its_campaign_with_it(li: Phone, wang: int) -> None:
    del wang
    li.say("反馈")
    li.say("1")

    deadlines.pass_due(li.desk.database, now=li.now + timedelta(days=3))

    with li.desk.database.transaction() as session:
        campaign = session.exec(select(Campaign)).one()
    assert _tasks(li)[0].state is TaskState.EXPIRED
    assert campaign.state is CampaignState.FINISHED


def test_without_any_guide_the_score_is_kept_and_nothing_is_promised(li: Phone) -> None:
    li.say("反馈")

    reply = li.say("1")

    assert "我们会认真处理" in reply
    assert [given.care_task_id for given in _given(li)] == [None]


@pytest.mark.parametrize("words", ["0", "6", "还行吧", "9999999"])
def test_answer_that_is_no_score_asks_again(li: Phone, wang: int, words: str) -> None:
    del wang
    li.say("反馈")

    li.say(words)

    assert _asked(li)["kind"] == "choices"
    assert _given(li) == []


def test_old_purchase_is_not_asked_about(li: Phone, wang: int) -> None:
    del wang
    _order(li, days_ago=15)

    li.say("反馈")

    assert str(_asked(li)["head"]).startswith("您对我们满意吗")


def test_tap_long_after_the_question_still_counts(li: Phone, wang: int) -> None:
    del wang
    li.say("反馈")
    li.now += timedelta(hours=2)

    li.do("CLICK", key="feedback:5")

    assert [given.score for given in _given(li)] == [5]
