"""The bot's words: every one is there, renders and is short enough."""

from datetime import UTC, date, datetime
from inspect import signature
from string import Formatter

import pytest
from jinja2 import UndefinedError

from content import phrases
from content.keywords import HARD_STOPS, WHOLE, means, normal, trimmed
from content.messages import MessageKind, render
from content.phrases import Intent
from store.coupons import CouponState
from store.errors import NotFound, Refusal
from store.points import EntryKind, NotEnoughPoints

# What a passive reply may hold (wechat-oa.md §4).
_LIMIT = 2048
_DAY = date(2026, 3, 31)
_LINK = "https://members.brand.example/m/gift/abcdefghijklmnopqrstuv"
_COUPON = {
    "name": "满一百减二十元迎新优惠券",
    "min_spend_fen": 10000,
    "ends_on": _DAY,
    "code": "A" * 12,
}
_ORDER = {
    "on": _DAY,
    "shop": "知味 · 中山路店",
    "first": "有机鲜牛奶 950ml",
    "kinds": 12,
    "paid_fen": 123_456,
    "refunded_fen": 12_345,
    "points": 1234,
}
_ENTRY = {"on": _DAY, "label": "退货扣回", "points": -120}
_SHOP = {
    "name": "知味 · 中山路店",
    "far": "1.2 公里",
    "hours": "快打烊了，22:00 关门（还有 20 分钟）",
    "phone": "0571-88886666",
    "address": "浙江省杭州市上城区中山中路 1 号一层 101 室",
}

SAMPLES: dict[MessageKind, dict[str, object]] = {
    MessageKind.WELCOME: {"occasion": "new", "gift": "满100减20元券和 100 积分"},
    MessageKind.WELCOME_SHOP: {
        "occasion": "back",
        "gift": "",
        "shop": "中山路店",
        "address": "中山路 1 号",
    },
    MessageKind.WELCOME_GUIDE: {
        "occasion": "scan",
        "gift": "",
        "shop": "中山路店",
        "guide": "王芳",
        "is_own": True,
    },
    MessageKind.WELCOME_CAMPAIGN: {
        "occasion": "new",
        "gift": "",
        "campaign": "春日回访",
        "offer": "满100减20元券",
    },
    MessageKind.HELP: {},
    MessageKind.LET_BE: {},
    MessageKind.NOT_AT_ALL: {},
    MessageKind.POINTS: {
        "balance": 1280,
        "expiring": 90,
        "before": _DAY,
        "entries": [_ENTRY] * 5,
        "url": _LINK,
    },
    MessageKind.POINTS_SHOP: {
        "spendable": 1280,
        "items": [{"name": "满一百减二十元迎新优惠券", "points": 2000}] * 4,
        "total": 40,
        "url": _LINK,
    },
    MessageKind.ORDERS: {"orders": [_ORDER] * 3, "url": _LINK},
    MessageKind.COUPONS: {
        "coupons": [_COUPON] * 8,
        "total": 30,
        "on_the_way": 3,
        "url": _LINK,
    },
    MessageKind.CARD: {"is_member": True, "url": _LINK},
    MessageKind.GUIDE: {
        "name": "王芳",
        "shop": "中山路店",
        "hours": "营业中，22:00 打烊",
        "phone": "0571-88886666",
        "address": "中山路 1 号",
        "has_code": True,
        "url": _LINK,
    },
    MessageKind.PREFERENCES_CHANGED: {
        "what": "pause",
        "channels": "公众号消息、公众号通知",
        "until": datetime(2026, 5, 1, tzinfo=UTC),
        "url": _LINK,
    },
    MessageKind.SHOPS: {
        "title": "离您最近的门店",
        "shops": [_SHOP] * 5,
        "asks": True,
        "is_on_map": True,
        "url": _LINK,
    },
    MessageKind.SHOPS_WHERE: {
        "missing": "拉萨",
        "is_on_map": True,
        "cities": ["杭州"] * 12,
        "more": True,
        "url": _LINK,
    },
    MessageKind.HANDED_OVER: {"name": "王芳", "shop": "中山路店", "opens": "明天 10:00 "},
    MessageKind.HANDOVER_NOBODY: {},
    MessageKind.HANDOVER_MUTED: {"name": "王芳"},
    MessageKind.HANDOVER_ENDED: {"by": "guide", "name": "王芳"},
    MessageKind.FEEDBACK_ASK: {"bought_on": _DAY, "shop": "中山路店"},
    MessageKind.FEEDBACK_GIVEN: {"is_poor": True, "score": 1, "guide": "王芳"},
    MessageKind.FEEDBACK_KEPT: {"is_poor": True, "guide": "王芳"},
    MessageKind.ATTACHMENT: {"what": "image"},
    MessageKind.TALK_LEFT: {},
    MessageKind.GIFT_CHOOSE: {"coupons": [_COUPON] * 9},
    MessageKind.GIFT_CONFIRM: {"name": "迎新券", "hours": 24},
    MessageKind.GIFT_TITLE: {"name": "迎新券"},
    MessageKind.GIFT_OFFERED: {"ends": datetime(2026, 3, 31, 12, 5, tzinfo=UTC)},
    MessageKind.GIFT_CLAIMED: {"name": "迎新券", "friend": "赵＊"},
    MessageKind.GIFT_TAKEN_BACK: {"name": "", "waiting": 2, "url": _LINK},
    MessageKind.GIFT_NONE: {},
    MessageKind.GIFT_CANCELLED: {},
    MessageKind.STOPPED: {},
    MessageKind.STILL_STOPPED: {"channels": "短信", "url": "https://x.example/m"},
    MessageKind.RESUMED: {},
    MessageKind.GUIDE_DESK: {"url": _LINK},
    MessageKind.SMS_CODE: {"code": "123456", "minutes": 5},
    MessageKind.BIND_TITLE: {},
    MessageKind.BIND: {"gift": "「满一百减二十元迎新优惠券」一张和 100 积分"},
    MessageKind.BOUND: {"masked": "138****5678", "url": _LINK},
    MessageKind.PROFILE: {"name": "李明", "birthday_on": _DAY, "free_from": _DAY, "url": _LINK},
    MessageKind.BIRTHDAY_SURE: {"birthday_on": _DAY},
    MessageKind.BIRTHDAY_SET: {"birthday_on": _DAY},
    MessageKind.BIRTHDAY_LEFT: {},
    MessageKind.BIRTHDAY_HOW: {"has_all_parts": True},
    MessageKind.PRIVACY_TITLE: {},
    MessageKind.PRIVACY: {},
}


def test_every_message_has_a_sample() -> None:
    assert set(SAMPLES) == set(MessageKind)


@pytest.mark.parametrize("kind", MessageKind)
def test_message_renders_within_the_platforms_limit(kind: MessageKind) -> None:
    text = render(kind, **SAMPLES[kind])

    assert 0 < len(text.encode()) <= _LIMIT
    assert "\n\n" not in text


def test_message_without_its_facts_does_not_render() -> None:
    with pytest.raises(UndefinedError):
        render(MessageKind.GIFT_CONFIRM, name="迎新券")


def test_dates_and_money_read_as_chinese() -> None:
    text = render(MessageKind.COUPONS, coupons=[_COUPON], total=1, on_the_way=0, url=_LINK)

    assert "满100元可用" in text
    assert "2026年3月31日前有效" in text


def test_debt_of_points_is_explained() -> None:
    text = render(MessageKind.POINTS, balance=-20, expiring=0, before=_DAY, entries=[])

    assert text == "您的积分是 -20：退货扣回的部分，会由之后的积分先补上。"


@pytest.mark.parametrize(
    ("text", "plain"),
    [("【\uff54\uff44】。", "TD"), (" 退 订 ", "退订"), ("\uff12", "2"), ("好的！", "好的")],
)
def test_words_are_folded_before_they_are_compared(text: str, plain: str) -> None:
    assert normal(text) == plain


@pytest.mark.parametrize("intent", Intent)
def test_every_keyword_is_written_as_it_is_compared(intent: Intent) -> None:
    words = WHOLE[intent]

    assert words
    assert all(normal(word) == word for word in words)


@pytest.mark.parametrize(
    "text", ["查一下我的积分", "我想看看积分", "您好，请问积分有多少？", "积分", "我的积分是多少呀"]
)
def test_politeness_around_a_word_is_taken_off(text: str) -> None:
    assert trimmed(normal(text)) == "积分"
    assert means(text, Intent.POINTS)


def test_politeness_is_not_taken_off_a_word_that_acts() -> None:
    assert not means("我要取消吗", Intent.STOP)
    assert not means("好吧", Intent.CONFIRM)


def test_letter_inside_a_word_is_no_stop() -> None:
    assert means("t", Intent.STOP)
    assert not means("tea", Intent.STOP)
    assert not means("Nice", Intent.STOP)


def test_clear_stops_do_not_mean_cancel() -> None:
    assert {"退订", "TD", "R", "T"} <= HARD_STOPS
    assert not HARD_STOPS & WHOLE[Intent.CANCEL]


@pytest.mark.parametrize("kind", phrases.REFUSALS)
def test_sentence_of_a_refusal_uses_only_facts_it_has(kind: type[Refusal]) -> None:
    names = {name for _, name, _, _ in Formatter().parse(phrases.REFUSALS[kind]) if name}

    given = set(signature(kind.__init__).parameters) | _set_in_init(kind)

    assert names <= given


def _set_in_init(kind: type[Refusal]) -> set[str]:
    return set(kind.__init__.__code__.co_names) if "__init__" in vars(kind) else set()


def test_refusal_tells_its_facts() -> None:
    refusal = NotEnoughPoints(balance=30, asked=100)

    assert phrases.of_refusal(refusal) == "积分不够哦，现在可用 30 分。"


def test_refusal_without_a_sentence_says_that_of_its_family() -> None:
    class NoSuchTea(NotFound):
        pass

    assert phrases.of_refusal(NoSuchTea()) == phrases.REFUSALS[NotFound]


def test_every_state_a_member_reads_has_a_label() -> None:
    assert set(phrases.COUPON_STATES) == set(CouponState)
    assert set(phrases.POINTS_LABELS) == set(EntryKind)
    assert set(phrases.INTENT_LABELS) == set(Intent)
