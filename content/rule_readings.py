"""A rule of the gate in plain language, for those who make the rules.

Rules come as plain data, as `fatigue.policies.rules_to_json` writes them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from content.touch_words import CATEGORY_NAMES, CHANNEL_NAMES
from store.touches import Category, Channel

KIND_NAMES: Mapping[str, str] = {
    "calendar_cap": "每天、每周或每月最多几条",
    "rolling_cap": "任意一段时间内最多几条",
    "min_gap": "两条之间至少隔多久",
    "lifetime_cap": "同一个活动最多几条",
    "quiet_hours": "安静时段",
    "grant": "顾客先来互动才能发",
    "never": "不能这样发",
}
PERIOD_NAMES: Mapping[str, str] = {"day": "每天", "week": "每周（周一起）", "month": "每月"}
UNIT_NAMES: Mapping[str, str] = {"days": "天", "hours": "小时", "minutes": "分钟", "seconds": "秒"}
UNITS: Mapping[str, int] = {"days": 86_400, "hours": 3600, "minutes": 60, "seconds": 1}
BAND_NAMES: Mapping[str, str] = {
    "must": "必达",
    "high": "高",
    "normal": "普通",
    "low": "低",
}
_TITLES: Mapping[str, str] = {
    "daily_cap": "每日上限",
    "weekly_cap": "每周上限",
    "marketing_weekly_cap": "营销每周上限",
    "min_gap": "最小间隔",
    "quiet_hours": "安静时段",
    "wechat_service_grant": "公众号客服消息窗口",
    "wechat_notice_grant": "公众号订阅通知的授权",
    "wechat_template_service_only": "公众号服务通知的用途",
    "wecom_broadcast_monthly": "企业微信群发月上限",
    "wecom_broadcast_weekly": "企业微信群发周上限",
    "wecom_broadcast_daily": "企业微信群发日上限",
    "wecom_welcome_once": "加好友欢迎语",
    "sms_hours": "营销短信的时段",
    "sms_marketing_daily": "营销短信每日上限",
    "sms_marketing_monthly": "营销短信每月上限",
    "sms_marketing_hourly": "营销短信每小时上限",
    "sms_per_minute": "通知短信每分钟上限",
    "sms_daily": "通知短信每日上限",
}
_VENDOR = "Huawei IoTCom rule of 2023-10-25 and MSGSMS FAQ (sms_rules.json)"
_VENDOR_WORDS = "短信服务商规则（华为 2023-10-25 等）"
_SOURCES: Mapping[str, str] = {
    "the house's own manners (design.md §8)": "出厂设置：不打扰顾客的基本礼貌",
    "WeChat, customer-service messages, in force since 2023-06-12: 5 in 48 hours": (
        "微信公众平台：客服消息，2023-06-12 起 48 小时内 5 条"
    ),
    "WeChat, subscription notices, one-time: one acceptance is one message": (
        "微信公众平台：一次性订阅，顾客同意一次发一条"
    ),
    "WeCom page 92135, 2026-02: per customer as many broadcasts a month as it has days": (
        "企业微信开发文档 92135（2026-02）：每位客户每月的群发数等于当月天数"
    ),
    "WeCom page 92135, 2026-02: the administrator may choose 7 a week per customer": (
        "企业微信开发文档 92135（2026-02）：管理员可选每位客户每周 7 条"
    ),
    "WeCom page 92135, 2026-02: the administrator may choose 1 a day per customer": (
        "企业微信开发文档 92135（2026-02）：管理员可选每位客户每天 1 条"
    ),
    "WeCom page 92137: one welcome for a welcome code, which ends after 20 seconds": (
        "企业微信开发文档 92137：一个欢迎码只能发一次，20 秒内有效"
    ),
    "WeChat, template messages: service notices only, marketing forbidden (2016-01-20)": (
        "微信公众平台模板消息运营规范（2016-01-20）：只发服务通知，不得营销"
    ),
    "suggested by the rules of SMS vendors (sms_rules.json)": "短信服务商的建议",
    f"{_VENDOR}: marketing from 08:00 to 21:00": f"{_VENDOR_WORDS}：营销短信 8:00–21:00",
    f"{_VENDOR}: marketing 4 in 1 hour to a number": f"{_VENDOR_WORDS}：营销短信每号码每小时 4 条",
    f"{_VENDOR}: notifications 10 in 1 minute to a number": (
        f"{_VENDOR_WORDS}：通知短信每号码每分钟 10 条"
    ),
    f"{_VENDOR}: notifications 50 in 24 hours to a number": (
        f"{_VENDOR_WORDS}：通知短信每号码 24 小时 50 条"
    ),
}


@dataclass(frozen=True, slots=True)
class Names:
    """Names of the brands, campaigns and guides that rules speak of, by key."""

    brands: Mapping[int, str] = field(default_factory=dict)
    campaigns: Mapping[int, str] = field(default_factory=dict)
    guides: Mapping[int, str] = field(default_factory=dict)


def title(name: str) -> str:
    """What a rule is called; one of the house's own keeps the name it was given."""
    return _TITLES.get(name, name)


def source(words: str) -> str:
    """Where a rule comes from; what the house wrote itself stands as written."""
    return _SOURCES.get(words, words)


def reading(rule: Mapping[str, Any], names: Names) -> str:
    """The whole rule as one sentence."""
    return f"{whom(rule, names)}：{what(rule)}。"


def whom(rule: Mapping[str, Any], names: Names) -> str:
    """Which messages a rule is about."""
    found = rule.get("selector", {})
    parts = []
    if "brand_id" in found:
        parts.append(f"「{names.brands.get(found['brand_id'], '其他品牌')}」的")
    if "campaign_id" in found:
        parts.append(f"活动「{names.campaigns.get(found['campaign_id'], '已删除')}」的")
    if "guide_id" in found:
        parts.append(f"导购{names.guides.get(found['guide_id'], '（已离开）')}发的")
    if found.get("bands"):
        bands = "、".join(BAND_NAMES.get(name, name) for name in found["bands"])
        parts.append(f"{bands}优先级的")
    if found.get("channels"):
        parts.append("走" + "、".join(_channel(name) for name in found["channels"]) + "的")
    return "".join(parts) + _categories(found.get("categories", []), rule)


def what(rule: Mapping[str, Any]) -> str:
    """What a rule demands of them."""
    return _DEMANDS[rule["kind"]](rule)


def span(seconds: int) -> str:
    """A span in its largest whole unit, such as "7 天"."""
    unit = largest_unit(seconds)
    return f"{seconds // UNITS[unit]} {UNIT_NAMES[unit]}"


def largest_unit(seconds: int) -> str:
    """The largest unit that divides a span; 24 hours are told as a day."""
    return next(unit for unit, length in UNITS.items() if seconds % length == 0)


def _rolling(rule: Mapping[str, Any]) -> str:
    return f"同一位顾客，任意连续 {span(rule['seconds'])}内最多 {rule['cap']} 条"


def _gap(rule: Mapping[str, Any]) -> str:
    return f"同一位顾客，两条之间至少隔 {span(rule['seconds'])}"


def _lifetime(rule: Mapping[str, Any]) -> str:
    return f"同一个活动对同一位顾客，一共最多 {rule['cap']} 条"


def _zone(name: str) -> str:
    return "北京时间" if name == "Asia/Shanghai" else f" {name} "


def _calendar(rule: Mapping[str, Any]) -> str:
    period = PERIOD_NAMES[rule["period"]]
    where = f"（按{_zone(rule['zone'])}的日历）" if rule.get("zone") else "（按顾客当地的日历）"
    if rule["cap"] == "days_in_period":
        return f"同一位顾客，{period}最多和天数一样多{where}"
    return f"同一位顾客，{period}最多 {rule['cap']} 条{where}"


def _quiet(rule: Mapping[str, Any]) -> str:
    start, end = _clock(rule["start"]), _clock(rule["end"])
    until = f"次日 {end}" if end < start else end
    parts = [f"{start} 到{until} 不发，等到 {end} 以后再发（按顾客当地时间）"]
    if rule.get("holiday_start"):
        parts.append(_on_holidays(_clock(rule["holiday_start"]), _clock(rule["holiday_end"])))
    if rule.get("spread_minutes"):
        parts.append(f"开放后在 {rule['spread_minutes']} 分钟内错开发")
    return "；".join(parts)


def _on_holidays(start: str, end: str) -> str:
    return "法定节假日全天不发" if start == end else f"法定节假日 {start} 到 {end} 也不发"


def _clock(wall: str) -> str:
    return wall[:5]


def _grant(rule: Mapping[str, Any]) -> str:
    within = f"，{span(rule['seconds'])}内" if rule.get("seconds") else "，每次"
    return f"顾客先来互动或同意才能发{within}最多 {rule['allowance']} 条"


def _never(rule: Mapping[str, Any]) -> str:
    del rule
    return "一律不能发"


def _channel(name: str) -> str:
    return CHANNEL_NAMES.get(Channel(name), name)


def _categories(chosen: list[str], rule: Mapping[str, Any]) -> str:
    if chosen:
        return "、".join(CATEGORY_NAMES[Category(name)] for name in chosen) + "消息"
    return "所有消息" if rule.get("is_platform") else "营销和关怀消息"


_DEMANDS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "rolling_cap": _rolling,
    "calendar_cap": _calendar,
    "min_gap": _gap,
    "lifetime_cap": _lifetime,
    "quiet_hours": _quiet,
    "grant": _grant,
    "never": _never,
}
