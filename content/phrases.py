"""The short words: what a member may type for each wish, and what states and refusals are called.

The words that mean "stop" come from reference compliance.md §3.2; a letter counts only on its own.
"""

import unicodedata
from enum import StrEnum

from store import coupons, gifts, members, points
from store.coupons import CouponState
from store.errors import Exhausted, NotAllowed, NotFound, Refusal, WrongState
from store.points import EntryKind


class Intent(StrEnum):
    """What a member can want from the bot; the values are also the keys of the menu."""

    POINTS = "points"
    COUPONS = "coupons"
    GIFT = "gift"
    CARD = "card"
    GUIDE = "guide"
    HELP = "help"
    STOP = "stop"
    RESUME = "resume"
    CONFIRM = "confirm"
    CANCEL = "cancel"


# The whole message is one of these, after `normal`.
WHOLE: dict[Intent, frozenset[str]] = {
    Intent.POINTS: frozenset({"JF"}),
    Intent.COUPONS: frozenset({"券", "YHQ", "有什么优惠"}),
    Intent.GIFT: frozenset({"ZS"}),
    Intent.CARD: frozenset({"卡", "HYK", "会员"}),
    Intent.GUIDE: frozenset({"顾问", "谁是我的导购"}),
    Intent.HELP: frozenset(
        {"帮助", "菜单", "功能", "HELP", "你好", "您好", "在吗", "嗨", "HI", "HELLO"}
    ),
    Intent.STOP: frozenset(
        {"R", "TD", "T", "N", "QX", "退订", "退定", "退", "拒收", "拒绝", "取消", "取消订阅"}
        | {"不要再发", "不要再发了", "别再发了", "别再发", "不再接收", "停止", "屏蔽", "STOP"}
    ),
    Intent.RESUME: frozenset({"恢复", "恢复接收", "恢复订阅", "重新订阅", "继续接收", "HF"}),
    Intent.CONFIRM: frozenset(
        {"确认", "确定", "是", "是的", "好", "好的", "可以", "Y", "YES", "OK"}
    ),
    Intent.CANCEL: frozenset({"取消", "不送了", "算了", "退出", "不", "不了", "不用了", "N", "NO"}),
}
# The message contains one of these and is short, so that a story about a coupon is not a command.
PART: dict[Intent, frozenset[str]] = {
    Intent.POINTS: frozenset({"积分"}),
    Intent.COUPONS: frozenset({"优惠券", "优惠卷", "代金券", "我的券", "卡券"}),
    Intent.GIFT: frozenset(
        {"转赠", "赠送", "赠券", "送券", "券送", "送给朋友", "送朋友"}
        | {"送优惠券", "送一张", "送张券"}
    ),
    Intent.CARD: frozenset({"会员卡", "会员码", "我的卡"}),
    Intent.GUIDE: frozenset({"导购", "我的顾问", "专属顾问"}),
    Intent.STOP: frozenset({"退订"}),
}
_SHORT = 16

# Still "stop" in the middle of a conversation, where the others may mean "not this coupon".
HARD_STOPS = WHOLE[Intent.STOP] - WHOLE[Intent.CANCEL]

POINTS_LABELS: dict[EntryKind, str] = {
    EntryKind.EARN: "获得",
    EntryKind.SPEND: "使用",
    EntryKind.REVERSE: "退货扣回",
    EntryKind.GIVE_BACK: "退还",
    EntryKind.EXPIRE: "到期",
    EntryKind.ADJUST: "调整",
}
COUPON_STATES: dict[CouponState, str] = {
    CouponState.AVAILABLE: "可使用",
    CouponState.GIFTING: "赠送中",
    CouponState.REDEEMED: "已使用",
    CouponState.EXPIRED: "已过期",
    CouponState.REVOKED: "已收回",
}

FAULT = "抱歉，我这边出了点小状况，请稍后再试。"
# A refusal without a sentence of its own says that of its family.
REFUSALS: dict[type[Refusal], str] = {
    NotFound: "没有找到您要的内容，可能已经失效了。",
    WrongState: "它的状态刚刚变了，请重新查看后再试。",
    NotAllowed: "抱歉，这项操作暂时不能为您办理。",
    Exhausted: "抱歉，数量或次数已经用完了。",
    Refusal: "抱歉，这次没有办成，请稍后再试。",
    points.NotEnoughPoints: "积分不够哦，现在可用 {balance} 分。",
    members.BadMobile: "手机号好像不对，请输入 11 位手机号。",
    members.MobileTaken: "手机号 {masked} 已经属于另一位会员。",
    coupons.CouponNotFound: "没有找到这张券。",
    coupons.CouponExpired: "这张券已经过期了。",
    coupons.StockUsedUp: "这种券已经发完了。",
    coupons.LimitReached: "这种券每人最多 {limit} 张，您已经领过了。",
    gifts.GiftNotFound: "没有找到这份礼物，请让朋友重新发一次链接。",
    gifts.CouponNotGiftable: "这张券现在不能转赠：可能已经使用、过期，或正在送给别人。",
    gifts.HopsUsedUp: "这张券不能再转赠了。",
    gifts.TooManyGifts: "一天最多送出 {limit} 份礼物，明天再来吧。",
    gifts.TooManyClaims: "一天最多领取 {limit} 份礼物，明天再来吧。",
    gifts.GiftToSelf: "这是您自己送出的礼物，发给朋友来领吧。",
    gifts.GiftTaken: "来晚了一步，这份礼物已经被领走了。",
    gifts.GiftCancelled: "朋友收回了这份礼物。",
    gifts.GiftLapsed: "这份礼物过了领取时间，券已经还给朋友了。",
}


def normal(text: str) -> str:
    """The letters and digits of what was typed: full-width folded, upper case, without marks."""
    folded = unicodedata.normalize("NFKC", text).upper()
    return "".join(letter for letter in folded if letter.isalnum())


def means(text: str, intent: Intent) -> bool:
    """Whether the words say this wish."""
    said = normal(text)
    if said in WHOLE.get(intent, frozenset()):
        return True
    return len(said) <= _SHORT and any(part in said for part in PART.get(intent, frozenset()))


def of_refusal(refusal: Refusal) -> str:
    """The sentence a member reads for a refusal."""
    nearest = next(kind for kind in type(refusal).__mro__ if kind in REFUSALS)
    return REFUSALS[nearest].format_map(vars(refusal))
