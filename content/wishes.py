"""Wishes about messages in a member's own words: less, a pause, never, and all as before.

A wish is read only from a message that is nothing else; what is longer is somebody's story. The
words follow reference compliance.md §3.2.
"""

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import datetime, timedelta

from content.keywords import normal
from store.consents import WishKind
from store.touches import Channel

CHANNEL_LABELS: dict[Channel, str] = {
    Channel.WECHAT_SERVICE: "公众号消息",
    Channel.WECHAT_NOTICE: "公众号通知",
    Channel.WECOM_BROADCAST: "导购的企业微信",
    Channel.SMS: "短信",
}
_OFFICIAL = (Channel.WECHAT_SERVICE, Channel.WECHAT_NOTICE)
_CHANNELS: dict[str, tuple[Channel, ...]] = {
    "公众号": _OFFICIAL,
    "服务号": _OFFICIAL,
    "订阅通知": (Channel.WECHAT_NOTICE,),
    "服务通知": (Channel.WECHAT_NOTICE,),
    "企业微信": (Channel.WECOM_BROADCAST,),
    "企微": (Channel.WECOM_BROADCAST,),
    "导购": (Channel.WECOM_BROADCAST,),
    "顾问": (Channel.WECOM_BROADCAST,),
    "短信": (Channel.SMS,),
}
_DIGITS = {letter: value for value, letter in enumerate("零一二三四五六七八九")} | {"两": 2}
_NUMBER = "[0-9]{1,3}|[一二两三四五六七八九十]{1,3}|半"
_SPAN = (
    f"(?P<count>{_NUMBER})个?(?P<unit>天|日|星期|礼拜|周|月|年)"
    "|到(?P<month>1[0-2]|[1-9])月(?P<day>[12][0-9]|3[01]|[1-9])[日号]"
    "|到(?P<end>月底|年底)"
)
_POLITE = "(?:请|麻烦|帮我|我想|我要|能不能|可以|把)*"
_PLACE = f"(?P<channel>{'|'.join(_CHANNELS)})?的?(?:消息|通知|推送|群发)?(?:请|给我)?"
_THING = "(?:接收|发送|推送|发)?(?:给我)?(?:消息|通知|推送|广告|营销|营销消息)?"
_OF_IT = "(?:的)?(?:消息|通知|推送)?"
_CLOSE = "(?:吧|了|啦|谢谢|好吗|可以吗|行吗|吗|呢)*"
# "Too few were sent", "has it been resumed?": told or asked, not wished.
_NOT_DONE = "(?!.*(?<!谢)了[吗呢]?$)"
# The way out of an SMS, typed as it was read: "拒收请回复R", "回T退订".
_LETTER = "(?:R|TD|T)"
_ECHO = (
    f"{_NOT_DONE}(?:回复?{_LETTER}(?:退订|拒收)?|{_LETTER}(?:退订|拒收)"
    f"|(?:退订|拒收)请?(?:回复?)?{_LETTER})"
)
_SENTENCES: dict[WishKind, str] = {
    WishKind.LESS: f"{_NOT_DONE}(?:少发|少推送|少推|减少|少打扰|发少)(?:一)?(?:点|些)?(?:我)?"
    + _THING
    + "|(?:别|不要)(?:再)?发(?:那么|这么|太)多"
    + _THING,
    # Whoever says "for now" means no "never".
    WishKind.PAUSE: f"{_NOT_DONE}(?:先|暂时)*(?:暂停|停|停发|别发|不要发|勿扰|免打扰|别打扰我?)"
    f"{_THING}(?:{_SPAN})",
    # Who would rather not trouble a guide is only polite, and who refused a parcel tells of it.
    WishKind.NEVER: "(?:不要|别|不用|停止)(?:再)?(?:给我)?"
    f"(?:发|发送|推送|推|接收|收到|(?:打扰|联系)(?!导购|顾问))(?:我)?{_THING}"
    f"|不想(?:再)?(?:被打扰|(?:接收|收到){_THING})"
    f"|(?:退订|屏蔽)(?!.*了[吗呢]){_THING}|(?:关闭|拒收){_NOT_DONE}{_THING}|{_ECHO}",
    WishKind.RESUME: f"{_NOT_DONE}(?:恢复|重新开启|重新打开|继续(?=接收|发)){_THING}",
}
_PATTERNS = {
    kind: re.compile(
        f"{_POLITE}{_PLACE}(?:{sentence})(?P<after>{'|'.join(_CHANNELS)})?{_OF_IT}{_CLOSE}"
    )
    for kind, sentence in _SENTENCES.items()
}
_LONGEST = 24
_DAYS = {"天": 1, "日": 1, "星期": 7, "礼拜": 7, "周": 7}
_MONTHS = {"月": 1, "年": 12}
_HALF = {"月": (0, 15), "年": (6, 0)}
_MONTHS_IN_YEAR = 12


@dataclass(frozen=True)
class Span:
    """How long a pause lasts: so many months and days, or until a day."""

    months: int = 0
    days: int = 0
    on: tuple[int, int] | None = None
    end: str = ""

    def after(self, now: datetime) -> datetime:
        """The end of a pause that begins now; `now` is on the member's clock, and so is the end."""
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        if self.end:
            month = now.month if self.end == "月底" else _MONTHS_IN_YEAR
            return _months_on(midnight.replace(month=month, day=1), 1)
        if self.on is None:
            return _months_on(now, self.months) + timedelta(days=self.days)
        month, day = self.on
        this_year = _on(midnight.year, month, day, midnight)
        return this_year if this_year > now else _on(midnight.year + 1, month, day, midnight)


@dataclass(frozen=True)
class Asked:
    """A wish; without channels it is about all of them."""

    kind: WishKind
    channels: tuple[Channel, ...] = ()
    span: Span | None = None


def read(words: str) -> Asked | None:
    """The wish that the words say, or none."""
    said = normal(words)
    if not said or len(said) > _LONGEST:
        return None
    for kind, pattern in _PATTERNS.items():
        found = pattern.fullmatch(said)
        if found:
            channels = _CHANNELS.get(found["channel"] or found["after"] or "", ())
            span = _span(found) if kind is WishKind.PAUSE else None
            # A pause of nothing is none.
            return None if span == Span() else Asked(kind, channels, span)
    return None


def labels(channels: tuple[Channel, ...]) -> str:
    """The channels in words, nothing for all."""
    return "、".join(CHANNEL_LABELS[channel] for channel in channels)


def _span(found: re.Match[str]) -> Span:
    if found["end"]:
        return Span(end=found["end"])
    if found["month"]:
        return Span(on=(int(found["month"]), int(found["day"])))
    unit = found["unit"]
    if found["count"] == "半":
        months, days = _HALF.get(unit, (0, 1))
        return Span(months, days)
    count = _count(found["count"])
    return Span(count * _MONTHS.get(unit, 0), count * _DAYS.get(unit, 0))


def _count(text: str) -> int:
    """A number up to 999 in digits, or up to 99 in characters."""
    if text.isdecimal():
        return int(text)
    tens, is_ten, ones = text.rpartition("十")
    if not is_ten:
        return _DIGITS[text] if len(text) == 1 else 0
    if max(len(tens), len(ones)) > 1:
        return 0
    return 10 * _DIGITS.get(tens, 1) + _DIGITS.get(ones, 0)


def _months_on(moment: datetime, months: int) -> datetime:
    """The same day so many months on, or the last one of a shorter month."""
    years, month = divmod(moment.month - 1 + months, _MONTHS_IN_YEAR)
    return _on(moment.year + years, month + 1, moment.day, moment)


def _on(year: int, month: int, day: int, clock: datetime) -> datetime:
    return clock.replace(year=year, month=month, day=min(day, monthrange(year, month)[1]))
