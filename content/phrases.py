"""The short words: what wishes, states and refusals are called."""

from enum import StrEnum

from store import (
    codes,
    coupons,
    gifts,
    leaves,
    ledger,
    members,
    notes,
    orders,
    organisation,
    points,
    points_shop,
    profile,
    redemptions,
    visibility,
)
from store.coupons import CouponState
from store.errors import Exhausted, NotAllowed, NotFound, Refusal, WrongState
from store.feedback import AlreadyRated, BadScore
from store.handovers import HandoverNotFound, HandoverOver
from store.points import EntryKind


class Intent(StrEnum):
    """What a member can want from the bot; the values are also the keys of the menu."""

    POINTS = "points"
    POINTS_SHOP = "points_shop"
    COUPONS = "coupons"
    GIFT = "gift"
    CARD = "card"
    BIND = "bind"
    ORDERS = "orders"
    SHOPS = "shops"
    GUIDE = "guide"
    HUMAN = "human"
    PROFILE = "profile"
    PREFERENCES = "preferences"
    PAUSE = "pause"
    STOP = "stop"
    RESUME = "resume"
    FEEDBACK = "feedback"
    PRIVACY = "privacy"
    HELP = "help"
    CONFIRM = "confirm"
    CANCEL = "cancel"
    GREETING = "greeting"
    THANKS = "thanks"


# As a choice to tap.
INTENT_LABELS: dict[Intent, str] = {
    Intent.POINTS: "我的积分",
    Intent.POINTS_SHOP: "积分商城",
    Intent.COUPONS: "我的优惠券",
    Intent.GIFT: "把券送给朋友",
    Intent.CARD: "会员卡",
    Intent.BIND: "绑定手机号",
    Intent.ORDERS: "我的订单",
    Intent.SHOPS: "附近门店",
    Intent.GUIDE: "我的导购",
    Intent.HUMAN: "转人工",
    Intent.PROFILE: "生日和资料",
    Intent.PREFERENCES: "少发一点",
    Intent.PAUSE: "暂停一阵子",
    Intent.STOP: "停止发送",
    Intent.RESUME: "恢复接收",
    Intent.FEEDBACK: "意见反馈",
    Intent.PRIVACY: "我的数据和隐私",
    Intent.HELP: "我能做什么",
    Intent.CONFIRM: "确认",
    Intent.CANCEL: "取消",
    Intent.GREETING: "打个招呼",
    Intent.THANKS: "谢谢",
}
# What is asked before anything changes that nobody said outright.
SURE: dict[Intent, str] = {
    Intent.STOP: "要我停止给您发送营销和关怀消息吗？",
    Intent.RESUME: "要恢复接收我们的消息吗？",
    Intent.HUMAN: "要我请一位同事来回复您吗？",
}
WHICH = "您是想问哪一件？点一下就好。"
NEITHER = "都不是"
RATHER_NOT = "不用了"
# What a language model reads of its tools.
TOOL_SHOWS = "查看这位顾客的“{label}”"
TOOL_ASKS = "顾客想要“{label}”：请顾客自己点按确认"
NO_SUCH_TOOL = "没有这个工具。"
AI_LABEL = "（以上由 AI 生成，仅供参考）"
POINTS_LABELS: dict[EntryKind, str] = {
    EntryKind.EARN: "获得",
    EntryKind.SPEND: "使用",
    EntryKind.REVERSE: "退货扣回",
    EntryKind.GIVE_BACK: "退还",
    EntryKind.EXPIRE: "到期",
    EntryKind.ADJUST: "调整",
}
# What a movement is called where its reason says more than its kind.
_POINTS_REASONS: dict[tuple[EntryKind, str], str] = {
    (EntryKind.EARN, orders.EARNED_BY_ORDER): "购物获得",
    (EntryKind.SPEND, points_shop.REASON): "积分兑换",
    (EntryKind.SPEND, redemptions.SPENT): "到店使用",
    (EntryKind.GIVE_BACK, redemptions.UNDONE): "到店使用退回",
    (EntryKind.ADJUST, ledger.UNEXPIRED): "到期退回",
    (EntryKind.ADJUST, "import"): "结转",
}
COUPON_STATES: dict[CouponState, str] = {
    CouponState.AVAILABLE: "可使用",
    CouponState.GIFTING: "赠送中",
    CouponState.REDEEMED: "已使用",
    CouponState.EXPIRED: "已过期",
    CouponState.REVOKED: "已收回",
}

# Said in the chat while a coupon waits for a friend.
TAKE_BACK = frozenset(
    {"收回", "撤回", "收回券", "撤回券", "收回优惠券", "收回礼物", "不送了"}
    | {"取消赠送", "取消转赠"}
)
FAULT = "抱歉，我这边出了点小状况，请稍后再试。"
# A refusal without a sentence of its own says that of its family.
REFUSALS: dict[type[Refusal], str] = {
    NotFound: "没有找到您要的内容，可能已经失效了。",
    WrongState: "它的状态刚刚变了，请重新查看后再试。",
    NotAllowed: "抱歉，这项操作暂时不能为您办理。",
    Exhausted: "抱歉，数量或次数已经用完了。",
    Refusal: "抱歉，这次没有办成，请稍后再试。",
    points_shop.ItemNotFound: "没有找到这件兑换品，可能已经下架了。",
    points_shop.ItemSoldOut: "来晚了一步，刚刚兑完了，您的积分没有动。",
    points_shop.ItemLimitReached: "这件每人最多兑 {limit} 份，您已经兑过了。",
    points_shop.PriceChanged: "这件刚刚调整了积分，您的积分没有动，请看好再兑换。",
    points_shop.TokenUsed: "这一页已经用过了，请重新打开再兑换。",
    points.NotEnoughPoints: "积分不够哦，现在可用 {balance} 分。",
    members.BadMobile: "手机号好像不对，请输入 11 位手机号。",
    members.MobileTaken: "手机号 {masked} 已经属于另一位会员。",
    codes.CodeNotSent: "短信没有发出去，请核对手机号，或者稍后再试。",
    codes.CodeWrong: "验证码不对，或者已经过期了，请重新获取。",
    codes.CodeTooSoon: "验证码已经发过了，{seconds} 秒后可以重新获取。",
    codes.TooManyCodes: "今天的验证码次数用完了，明天再来吧。",
    profile.BadBirthday: "这个生日好像不对，请按 1990-03-08 这样填写。",
    profile.BirthdayFixed: "生日一年只能改一次，{until:%Y年%m月%d日} 以后可以再改。",
    profile.BadName: "称呼请填 1 到 {most} 个字。",
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
    organisation.RoleTooLow: "您的账号没有这项权限，请找管理员办理。",
    visibility.MobileHidden: "完整手机号只有店长以上可以查看。",
    visibility.TeamHidden: "这一页是给店长和区域看的。",
    notes.NoteNotFound: "没有找到这条记事，可能已经删掉了。",
    notes.BadNote: "记事写 1 到 {most} 个字，现在有 {size} 个字。",
    leaves.LeaveEndsFirst: "休假结束的日子要晚于开始的日子。",
    BadScore: "请回复 {worst} 到 {best} 之间的一个数字。",
    AlreadyRated: "这次的评价已经收到啦，谢谢您。还想补充，回复“人工”说给我们的同事听。",
    HandoverNotFound: "没有找到这段对话，可能不是您负责的顾客。",
    HandoverOver: "这段对话已经结束，顾客已回到自助服务。",
}


def initial(name: str) -> str:
    """What a stranger may know of a name: enough for a friend to guess, no more."""
    return f"{name[0]}＊" if name else "朋友"


def points_label(kind: EntryKind, reason: str) -> str:
    """What a movement of points is called."""
    return _POINTS_REASONS.get((kind, reason), POINTS_LABELS[kind])


def of_refusal(refusal: Refusal) -> str:
    """The sentence a member reads for a refusal."""
    nearest = next(kind for kind in type(refusal).__mro__ if kind in REFUSALS)
    return REFUSALS[nearest].format_map(vars(refusal))


def joining_gift(coupon: str, points: int) -> str:
    """What a new member gets: a coupon by its name, points, or both."""
    parts = [f"「{coupon}」一张"] if coupon else []
    parts += [f"{points} 积分"] if points else []
    return "和 ".join(parts)
