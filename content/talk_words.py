"""The words of talks with several turns, and how a shop's hours are said."""

from datetime import datetime, timedelta

from store.shops import Door, Hours

# Said while a person answers: back to the bot.
RELEASE = frozenset(
    {"结束", "结束人工", "结束服务", "结束对话", "返回机器人", "机器人", "退出人工", "不用人工了"}
    | {"返回自助", "自助服务", "JS"}
)
# To a person this may be about goods; to the bot it is a stop.
FOR_A_PERSON = frozenset({"退"})
PASSED_ON = "这句话已经转给同事。如果是不想再收到我们的消息，请回复“退订”。"
# Said where a few words are asked for.
NOTHING_TO_ADD = frozenset({"没有", "没有了", "没了", "无", "跳过", "不说了", "没啥", "没什么"})
# What an older WeChat says in place of what it cannot carry, such as a sticker from the shop.
_NOT_CARRIED = ("【收到不支持的消息类型", "[收到不支持的消息类型")

SCORE_LABELS: dict[int, str] = {
    5: "非常满意",
    4: "满意",
    3: "一般",
    2: "不满意",
    1: "很不满意",
}
# The same said in words, which an older WeChat shows without a tap.
SCORE_WORDS: dict[str, int] = {label: score for score, label in SCORE_LABELS.items()}
# "Cancel" after a question that nobody answered is an answer to it, late.
LEFT_OPEN = "好的，先放下，什么都没有改。如果是不想再收到我们的消息，请回复“退订”。"
# Nobody can tell whether the same word is meant for the gift that was just handed out.
GIFT_LEFT_OPEN = (
    "您送出的券还在等朋友领，想收回就回复“收回”。如果是不想再收到我们的消息，请回复“退订”。"
)
# Days of a pause, by the choice that is tapped.
PAUSE_LABELS: dict[int, str] = {7: "暂停一周", 30: "暂停一个月", 90: "暂停三个月"}
PAUSE_HEAD = "想安静多久？点一个，或者直接回复“暂停两周”“暂停到5月1日”。"
PREFERENCES_TITLE = "消息设置"
PREFERENCES_CARD = (
    "少发一点、暂停一阵、不再接收，按渠道自己定。\n也可以直接回复“少发一点”“暂停一个月”“退订”。"
)

# How what somebody sent is called to the guide who cannot see it.
ATTACHMENT_LABELS: dict[str, str] = {
    "image": "[图片]",
    "voice": "[语音]",
    "video": "[视频]",
    "shortvideo": "[小视频]",
    "link": "[链接]",
    "place": "[位置]",
    "sticker": "[表情]",
}
_ANY_ATTACHMENT = "[其他消息]"
NEAREST, SHOPS_OF, OWN_SHOP = "离您最近的门店", "{place}的门店", "您常去的门店"
_FAR_KM = 10
_NEAR_KM = 1


def is_sticker(words: str) -> bool:
    """Whether the words stand for something that WeChat could not carry."""
    return words.startswith(_NOT_CARRIED)


def attachment(kind: str, label: str = "") -> str:
    """What somebody sent, in words."""
    name = ATTACHMENT_LABELS.get(kind, _ANY_ATTACHMENT)
    return f"{name} {label}".strip()


def far(km: float | None) -> str:
    """A distance as one says it."""
    if km is None:
        return ""
    if km < _NEAR_KM:
        return f"{max(round(km * 1000, -1), 10):.0f} 米"
    return f"{km:.1f} 公里" if km < _FAR_KM else f"{km:.0f} 公里"


def open_hours(hours: Hours, now: datetime) -> str:
    """How the door stands; `now` is on the shop's clock, and the words are too."""
    if hours.until is None:
        return "24 小时营业"
    until = hours.until.astimezone(now.tzinfo)
    if hours.door is Door.CLOSING:
        minutes = -((now - hours.until) // timedelta(minutes=1))
        return f"快打烊了，{until:%H:%M} 关门（还有 {minutes} 分钟）"
    if hours.door is Door.OPEN:
        return f"营业中，{until:%H:%M} 打烊"
    return f"休息中，{opening(hours, now)}开门"


def opening(hours: Hours, now: datetime) -> str:
    """When a closed door opens, as one says it: today, tomorrow or on a day."""
    assert hours.until is not None
    until = hours.until.astimezone(now.tzinfo)
    days = (until.date() - now.date()).days
    day = {0: "今天", 1: "明天"}.get(days, f"{until.month}月{until.day}日")
    return f"{day} {until:%H:%M} "
