"""What the bot says: one story per wish, through the real door."""

import threading
from datetime import timedelta

import pytest
from sqlmodel import select

from bot.handlers import gift
from content import phrases
from store import coupons, gifts, inbound, members, points, relations
from store.consents import Suppression
from store.coupons import Coupon, CouponKind, CouponPlan, CouponState, Gift
from store.inbound import Conversation, Heard, InboundMessage, InboundState
from store.members import Identity
from store.organisation import Guide, Shop
from store.tokens import digest
from tests.bot.builders import LI, ZHAO, Push, a_push, text_xml
from tests.bot.conftest import Phone


def _coupon(li: Phone, name: str, *, days: int = 30, hops: int = 1) -> int:
    """Give Li a coupon of a plan of its own."""
    with li.desk.database.transaction() as session:
        plan = CouponPlan(
            code=name,
            name=name,
            kind=CouponKind.AMOUNT_OFF,
            value=2000,
            min_spend_fen=10000,
            valid_days=days,
            gift_hops=hops,
        )
        session.add(plan)
        session.flush()
        coupon = coupons.issue(
            session, plan.id, li.member_id, reason="test", source_id=name, now=li.now
        )
        return coupon.id


def _state(li: Phone, coupon_id: int) -> CouponState:
    with li.desk.database.transaction() as session:
        return session.get_one(Coupon, coupon_id).state


def test_points_are_told_with_what_expires_soon(li: Phone) -> None:
    li.say("你好")
    with li.desk.database.transaction() as session:
        for source, given, days in (("a", 100, 30), ("b", 60, 300)):
            points.earn(
                session,
                li.member_id,
                given,
                reason="test",
                source_id=source,
                now=li.now,
                expires_at=li.now + timedelta(days=days),
            )

    reply = li.say("我的积分")

    assert "您现在有 160 积分" in reply
    assert "其中 100 积分" in reply
    assert "获得 +60" in reply


def test_points_of_a_stranger_are_nought(li: Phone) -> None:
    assert li.say("积分") == "您现在有 0 积分。"


def test_menu_and_words_lead_to_the_same_answer(li: Phone) -> None:
    assert li.do("CLICK", key="points") == li.say("积分")


def test_usable_coupons_are_listed_the_first_to_expire_on_top(li: Phone) -> None:
    li.say("你好")
    _coupon(li, "迎新券", days=30)
    _coupon(li, "生日券", days=7)

    reply = li.say("优惠券")

    assert "您有 2 张可用的券" in reply
    assert "满100元可用" in reply
    assert reply.index("生日券") < reply.index("迎新券")


def test_somebody_without_coupons_is_told_so(li: Phone) -> None:
    assert "没有可用的券" in li.say("优惠券")


def test_card_is_offered_to_a_member_and_joining_to_a_visitor(li: Phone) -> None:
    invited = li.say("会员卡")
    with li.desk.database.transaction() as session:
        members.bind_mobile(session, li.member_id, "13800005678", now=li.now)
    shown = li.say("会员卡")

    assert "绑定手机号" in invited
    assert "您的会员卡" in shown
    assert "https://x.example/m/card" in shown


def test_own_guide_is_named_with_the_shop(li: Phone) -> None:
    nobody = li.say("导购")
    with li.desk.database.transaction() as session:
        shop = Shop(brand_id=1, code="s1", name="中山路店", address="中山路 1 号")
        session.add(shop)
        session.flush()
        wang = Guide(shop_id=shop.id, userid="wang", name="王芳")
        session.add(wang)
        session.flush()
        relations.own(session, li.member_id, wang.id, now=li.now)

    assert "还没有专属顾问" in nobody
    told = li.say("我的导购是谁").splitlines()
    assert told[:3] == [
        "您的专属顾问是中山路店的王芳。",
        "营业中，22:00 打烊",
        "门店地址：中山路 1 号",
    ]


@pytest.mark.parametrize("words", ["退订", "TD", "t", "\uff2e", "【R】", "不要再发了！", "取消"])
def test_stop_word_stops_everything_at_once(li: Phone, words: str) -> None:
    reply = li.say(words)

    with li.desk.database.transaction() as session:
        stop = session.exec(select(Suppression)).one()
    assert "已为您退订" in reply
    assert (stop.member_id, stop.channel, stop.lifted_at) == (li.member_id, "", None)


def test_resume_lifts_the_stop(li: Phone) -> None:
    li.say("退订")

    reply = li.say("恢复")

    with li.desk.database.transaction() as session:
        stop = session.exec(select(Suppression)).one()
    assert "欢迎回来" in reply
    assert stop.lifted_at == li.now


def test_story_is_understood_by_its_meaning(li: Phone) -> None:
    reply = li.say("我昨天在你们店里买了茶，店员说有积分可是我没有看到")

    assert reply.startswith("您现在有 0 积分。")


def test_what_asks_for_nothing_here_gets_help(li: Phone) -> None:
    assert li.say("给我讲讲昨晚的球赛").startswith("我能帮您")


def test_picture_gets_help_instead_of_silence(li: Phone) -> None:
    push = a_push(text_xml("x").replace("[text]", "[image]"), now=li.now)

    assert li.receive(push).startswith("图片我还看不懂")


def test_follower_is_welcomed(li: Phone) -> None:
    assert li.do("subscribe", key="qrscene_shop-1").startswith("欢迎关注")


def test_only_coupon_is_given_after_one_question(li: Phone) -> None:
    li.say("你好")
    coupon_id = _coupon(li, "迎新券")

    asked = li.say("送券给朋友")
    given = li.say("确认")

    token = given.split("/m/gift/")[1].split()[0]
    with li.desk.database.transaction() as session:
        made = session.exec(select(Gift)).one()
    assert "把“迎新券”送给朋友，对吗" in asked
    assert made.token_hash == digest(token)
    assert _state(li, coupon_id) is CouponState.GIFTING


def test_one_of_several_coupons_is_chosen_by_number(li: Phone) -> None:
    li.say("你好")
    first, second = _coupon(li, "生日券", days=7), _coupon(li, "迎新券", days=30)

    listed = li.say("转赠")
    asked = li.say("2")
    li.say("好的")

    assert "1. 生日券" in listed
    assert "2. 迎新券" in listed
    assert "把“迎新券”送给朋友" in asked
    assert (_state(li, first), _state(li, second)) == (CouponState.AVAILABLE, CouponState.GIFTING)


@pytest.mark.parametrize("words", ["0", "3", "99999999999999999999", "那张红的"])
def test_answer_that_is_no_choice_repeats_the_question(li: Phone, words: str) -> None:
    li.say("你好")
    _coupon(li, "生日券", days=7)
    _coupon(li, "迎新券")
    listed = li.say("转赠")

    assert li.say(words) == listed


@pytest.mark.parametrize("words", ["取消", "算了", "不送了", "N"])
def test_cancel_word_ends_the_gift_and_stops_nothing_else(li: Phone, words: str) -> None:
    li.say("你好")
    coupon_id = _coupon(li, "迎新券")
    li.say("送券")

    reply = li.say(words)

    with li.desk.database.transaction() as session:
        left = session.exec(select(Conversation)).all()
        stops = session.exec(select(Suppression)).all()
    assert "不送了" in reply
    assert (left, stops) == ([], [])
    assert _state(li, coupon_id) is CouponState.AVAILABLE


def test_clear_stop_counts_in_the_middle_of_a_gift(li: Phone) -> None:
    li.say("你好")
    _coupon(li, "迎新券")
    li.say("送券")

    assert "已为您退订" in li.say("退订")


def test_question_in_between_does_not_lose_the_gift(li: Phone) -> None:
    li.say("你好")
    coupon_id = _coupon(li, "迎新券")
    li.say("送券")
    li.say("积分")

    li.say("确认")

    assert _state(li, coupon_id) is CouponState.GIFTING


def test_a_mere_fine_after_another_answer_sends_no_gift(li: Phone) -> None:
    li.say("你好")
    coupon_id = _coupon(li, "迎新券")
    asked = li.say("送券")
    li.now += timedelta(seconds=5)
    li.say("我的积分")
    li.now += timedelta(seconds=5)

    again = li.say("好的")
    meanwhile = _state(li, coupon_id)
    li.say("好的")

    assert (again, meanwhile) == (asked, CouponState.AVAILABLE)
    assert _state(li, coupon_id) is CouponState.GIFTING


def test_gift_that_waits_too_long_is_forgotten(li: Phone) -> None:
    li.say("你好")
    coupon_id = _coupon(li, "迎新券")
    li.say("送券")
    li.now += timedelta(minutes=10)

    reply = li.say("确认")

    assert reply.startswith("我能帮您")
    assert _state(li, coupon_id) is CouponState.AVAILABLE


def test_coupon_that_may_not_travel_is_not_offered(li: Phone) -> None:
    li.say("你好")
    _coupon(li, "专属券", hops=0)

    assert li.say("送券") == "您现在没有可以转赠的券。"


def test_refused_gift_is_told_and_ends_the_talk(li: Phone) -> None:
    li.say("你好")
    coupon_id = _coupon(li, "迎新券")
    li.say("送券")
    with li.desk.database.transaction() as session:
        session.get_one(Coupon, coupon_id).state = CouponState.REVOKED

    reply = li.say("确认")

    with li.desk.database.transaction() as session:
        assert session.exec(select(Conversation)).all() == []
        assert session.exec(select(Gift)).all() == []
    assert "/m/gift/" not in reply
    assert reply


def test_link_of_a_gift_is_not_readable_in_the_record(li: Phone) -> None:
    li.say("你好")
    _coupon(li, "迎新券")
    li.say("送券")
    given = li.say("确认", number=7)
    token = given.split("/m/gift/")[1].split()[0]

    with li.desk.database.transaction() as session:
        kept = [row.reply for row in session.exec(select(InboundMessage)).all()]

    assert token not in str(kept)
    assert li.say("确认", number=7) == given


def test_fault_in_a_handler_is_a_sentence_not_a_stack_trace(li: Phone) -> None:
    li.say("你好")
    with li.desk.database.transaction() as session:
        identity = session.exec(select(Identity)).one()
        # A step whose facts are lost, as after a bad deployment.
        inbound.begin_talk(session, identity.id, gift.CHOOSE, facts={}, now=li.now)

    reply = li.say("1")

    with li.desk.database.transaction() as session:
        rows = session.exec(select(InboundMessage)).all()
    assert "小状况" in reply
    assert [row.state for row in rows] == [InboundState.ANSWERED, InboundState.FAILED]


@pytest.mark.race
def test_two_confirmations_at_once_make_one_gift(li: Phone) -> None:
    li.say("你好")
    _coupon(li, "迎新券")
    li.say("送券")
    barrier = threading.Barrier(2)

    def confirm() -> None:
        phone = Phone(li.desk, li.now, LI)
        barrier.wait()
        phone.say("确认")

    threads = [threading.Thread(target=confirm) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    with li.desk.database.transaction() as session:
        assert len(session.exec(select(Gift)).all()) == 1


def test_gift_is_a_card_that_can_be_handed_on(li: Phone) -> None:
    li.say("你好")
    _coupon(li, "迎新券")
    li.say("送券")

    card = li.say("确认")

    title, words, link = card.splitlines()
    assert title == "送你一张「迎新券」"
    assert "前没人领会自动退回" in words
    assert "先到先得" in words
    assert link.startswith("https://x.example/m/gift/")


def test_coupon_on_its_way_is_told_and_comes_back_on_a_word(li: Phone) -> None:
    li.say("你好")
    coupon_id = _coupon(li, "迎新券")
    li.say("送券")
    li.say("确认")

    told = li.say("优惠券")
    back = li.say("收回")

    assert "另有 1 张正在等朋友领" in told
    assert back.startswith("收回来了，“迎新券”")
    assert _state(li, coupon_id) is CouponState.AVAILABLE
    assert li.say("收回").startswith("现在没有等朋友领的券")


def test_of_several_gifts_none_comes_back_by_a_word_alone(li: Phone) -> None:
    li.say("你好")
    both = [_coupon(li, name) for name in ("迎新券", "生日券")]
    for words in ("送券", "1", "确认", "送券", "确认"):
        li.say(words)

    reply = li.say("收回")

    assert "您有 2 张券正在等朋友领" in reply
    assert "/m/coupons?show=on_the_way" in reply
    assert [_state(li, one) for one in both] == [CouponState.GIFTING] * 2


def test_cancel_after_a_gift_was_handed_out_asks_which_is_meant(li: Phone) -> None:
    li.say("你好")
    coupon_id = _coupon(li, "迎新券")
    li.say("送券")
    li.say("确认")

    told = [li.say("取消"), li.say("退订")]

    with li.desk.database.transaction() as session:
        stops = session.exec(select(Suppression)).all()
    assert "想收回就回复“收回”" in told[0]
    assert told[1].startswith("已为您退订")
    assert len(stops) == 1
    assert _state(li, coupon_id) is CouponState.GIFTING


def test_word_that_takes_the_gift_back_is_no_stop(li: Phone) -> None:
    li.say("你好")
    coupon_id = _coupon(li, "迎新券")
    li.say("送券")
    li.say("确认")

    told = li.say("取消赠送")

    assert told.startswith("收回来了")
    assert _state(li, coupon_id) is CouponState.AVAILABLE


def test_cancel_once_the_gift_was_claimed_is_a_stop(li: Phone) -> None:
    li.say("你好")
    _coupon(li, "迎新券")
    li.say("送券")
    token = li.say("确认").rpartition("/")[2]
    zhao = Phone(li.desk, li.now, ZHAO)
    zhao.say("你好")
    with li.desk.database.transaction() as session:
        gifts.claim(session, token, zhao.member_id, now=li.now)

    assert li.say("取消").startswith("已为您退订")


@pytest.mark.parametrize("kind", ["image", "location"])
def test_mere_yes_after_something_else_was_answered_gives_nothing_away(
    li: Phone, kind: str
) -> None:
    li.say("你好")
    coupon_id = _coupon(li, "迎新券")
    with li.desk.database.transaction() as session:
        session.add(Shop(brand_id=1, code="s1", name="中山路店", latitude=30.27, longitude=120.16))
    li.say("送券")
    li.now += timedelta(seconds=30)
    li.receive(_sent(li, kind))

    told = li.say("好的")

    assert "回复“确认”送出" in told
    assert _state(li, coupon_id) is CouponState.AVAILABLE


def test_mere_yes_to_the_sentence_for_a_fault_gives_nothing_away(li: Phone) -> None:
    li.say("你好")
    coupon_id = _coupon(li, "迎新券")
    li.say("送券")
    li.now += timedelta(seconds=30)
    with li.desk.database.transaction() as session:
        heard = Heard(1, "7", li.openid, "text", {"content": "积分"})
        row = inbound.hear(session, heard, now=li.now)
        row.member_id = li.member_id
        told = {"kind": "text", "text": phrases.FAULT}
        inbound.close(session, row, told, state=InboundState.FAILED, handled_ms=1, now=li.now)

    again = li.say("好的")

    assert "回复“确认”送出" in again
    assert _state(li, coupon_id) is CouponState.AVAILABLE


def _sent(li: Phone, kind: str) -> Push:
    rest = {
        "image": "<PicUrl>https://p.example/1</PicUrl><MediaId>m1</MediaId>",
        "location": "<Location_X>30.27</Location_X><Location_Y>120.16</Location_Y><Scale>15</Scale>"
        "<Label><![CDATA[杭州]]></Label>",
    }
    xml = text_xml("x", sender=li.openid)
    xml = xml.replace("<MsgType><![CDATA[text]]>", f"<MsgType><![CDATA[{kind}]]>")
    return a_push(xml.replace("<Content><![CDATA[x]]></Content>", rest[kind]), now=li.now)
