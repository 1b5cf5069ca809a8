"""What a member may type for each wish, and how typed words are folded before they are compared.

The words that mean "stop" come from reference compliance.md §3.2; a letter counts only on its own.
"""

import unicodedata
from functools import cache, lru_cache
from pathlib import Path

from content.phrases import Intent
from content.spelling import simplified

# The whole message is one of these, after `normal` and without what `trimmed` takes off.
WHOLE: dict[Intent, frozenset[str]] = {
    Intent.POINTS: frozenset({"JF", "积分", "积分余额", "积分明细", "积分查询", "几分"}),
    Intent.POINTS_SHOP: frozenset({"积分商城", "换积分", "积分兑换", "兑换", "换礼品", "积分换礼"}),
    Intent.COUPONS: frozenset(
        {"券", "卷", "YHQ", "优惠券", "优惠卷", "代金券", "卡券", "有什么优惠", "优惠", "红包"}
    ),
    Intent.GIFT: frozenset(
        {"ZS", "转赠", "赠送", "赠券", "送券", "送朋友", "送给朋友", "送优惠券", "送券给朋友"}
        | {"把券送给朋友", "转赠优惠券", "送一张券", "券送朋友"}
    ),
    Intent.CARD: frozenset({"卡", "HYK", "会员", "会员卡", "会员码", "二维码", "付款码"}),
    Intent.BIND: frozenset({"绑定", "注册", "绑定手机号", "注册会员", "入会", "成为会员"}),
    Intent.ORDERS: frozenset({"订单", "DD", "购买记录", "物流", "快递", "消费记录"}),
    Intent.SHOPS: frozenset(
        {"门店", "MD", "附近门店", "附近的店", "营业时间", "店铺", "地址", "门店地址", "附近"}
    ),
    Intent.GUIDE: frozenset({"导购", "顾问", "专属顾问", "专属导购", "谁是我的导购"}),
    Intent.HUMAN: frozenset(
        {"人工", "RG", "转人工", "找人", "找人工", "人工客服", "客服", "人工服务", "真人"}
    ),
    Intent.PROFILE: frozenset({"生日", "资料", "个人资料", "个人信息", "修改资料", "改生日"}),
    Intent.PREFERENCES: frozenset({"偏好", "设置", "消息设置", "少发一点", "少发点", "接收设置"}),
    Intent.PAUSE: frozenset({"暂停", "暂停接收", "暂停发送", "ZT"}),
    Intent.STOP: frozenset(
        {"R", "TD", "T", "N", "QX", "退订", "退定", "退", "拒收", "拒绝", "取消", "取消订阅"}
        | {"不要再发", "不要再发了", "别再发了", "别再发", "不再接收", "停止", "屏蔽", "STOP"}
        | {
            "请退订",
            "帮我退订",
            "我要退订",
            "我想退订",
            "给我退订",
            "退订谢谢",
            "全部退订",
            "退订退订",
        }
    ),
    Intent.RESUME: frozenset({"恢复", "恢复接收", "恢复订阅", "重新订阅", "继续接收", "HF"}),
    Intent.FEEDBACK: frozenset({"反馈", "投诉", "评价", "意见", "建议", "意见反馈", "我要投诉"}),
    Intent.PRIVACY: frozenset(
        {"隐私", "注销", "注销账号", "导出数据", "删除我的数据", "导出我的数据", "注销会员"}
    ),
    Intent.HELP: frozenset({"帮助", "菜单", "功能", "HELP", "BZ", "你会什么", "怎么用"}),
    Intent.CONFIRM: frozenset(
        {"确认", "确定", "是", "是的", "好", "好的", "可以", "Y", "YES", "OK", "对", "对的"}
        | {"没错", "嗯", "嗯嗯", "行", "要", "要的", "好啊", "好呀"}
    ),
    Intent.CANCEL: frozenset(
        {"取消", "不送了", "算了", "退出", "不", "不了", "不用了", "N", "NO"}
        | {"取消赠送", "取消转赠"}
    ),
    Intent.GREETING: frozenset({"你好", "您好", "在吗", "嗨", "哈喽", "HI", "HELLO", "在不在"}),
    Intent.THANKS: frozenset({"谢谢", "谢谢你", "多谢", "感谢", "谢啦", "THANKS", "3Q"}),
}

# Still "stop" in the middle of a conversation, where the others may mean "not this coupon".
HARD_STOPS = WHOLE[Intent.STOP] - WHOLE[Intent.CANCEL]
# These do something at once, so nothing is taken off before they are compared.
_TO_THE_LETTER = frozenset({Intent.STOP, Intent.RESUME, Intent.CONFIRM, Intent.CANCEL})
# Who types these has read the question; the others of CONFIRM may be a "fine" to anything.
_DECISIVE = frozenset({"确认", "确定"})
# Every route asks for the same words again, and people say the same words again and again.
_REMEMBERED = 4096


@lru_cache(_REMEMBERED)
def normal(text: str) -> str:
    """The letters and digits of what was typed: full-width folded, upper case, without marks.

    Traditional characters become simplified ones.
    """
    folded = simplified(unicodedata.normalize("NFKC", text)).upper()
    return "".join(letter for letter in folded if letter.isalnum())


def means(text: str, intent: Intent) -> bool:
    """Whether the words as a whole are a word for this wish."""
    said = normal(text)
    words = WHOLE[intent]
    return said in words or (intent not in _TO_THE_LETTER and trimmed(said) in words)


def wish(text: str) -> Intent | None:
    """The wish that the words as a whole are a word for; never an answer to a question."""
    answers = {Intent.CONFIRM, Intent.CANCEL}
    return next((one for one in Intent if one not in answers and means(text, one)), None)


def is_decisive(words: str) -> bool:
    """A confirmation that cannot be meant for anything else."""
    return normal(words) in _DECISIVE


def joints() -> tuple[str, ...]:
    """Words that join one wish to another."""
    return _padding()[2]


@lru_cache(_REMEMBERED)
def trimmed(said: str) -> str:
    """Normal words without the politeness around them."""
    before, after, _ = _padding()
    while True:
        start = next((word for word in before if said.startswith(word) and said != word), "")
        end = next((word for word in after if said.endswith(word) and said != word), "")
        if not start and not end:
            return said
        said = said.removeprefix(start) if start else said.removesuffix(end)


@cache
def _padding() -> list[tuple[str, ...]]:
    """What may stand before a word for a wish, after it, and between two; the longest first."""
    lines = (Path(__file__).parent / "padding.txt").read_text().splitlines()
    return [tuple(sorted(line.split(), key=len, reverse=True)) for line in lines]
