"""The rules that a house begins with: its own manners, and every platform's limits as data.

What reaches guides (WeCom app messages, 30 a minute and 1,000 an hour to one person) is counted
where notices are sent, for it is no touch.
"""

from collections.abc import Mapping
from datetime import time
from enum import StrEnum

from fatigue.rules import (
    DAYS_IN_PERIOD,
    CalendarCap,
    GrantRule,
    MinGap,
    Never,
    Period,
    QuietHours,
    RollingCap,
    Rule,
    Selector,
)
from store.grants import TERMS, Trigger
from store.touches import Category, Channel

_MINUTE = 60
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR
_CHINA = "Asia/Shanghai"
_HOUSE = "the house's own manners (design.md §8)"
_VENDOR = "Huawei IoTCom rule of 2023-10-25 and MSGSMS FAQ (sms_rules.json)"
_ADVICE = "suggested by the rules of SMS vendors (sms_rules.json)"
_UNASKED = frozenset({Category.MARKETING, Category.CARE})
_MARKETING = Selector(categories=frozenset({Category.MARKETING}))
# A welcome answers within 20 seconds whoever has just made a friend of the guide.
_AT_NIGHT = frozenset(Channel) - {Channel.WECOM_APP, Channel.WECOM_WELCOME}
_SMS = frozenset({Channel.SMS})
_SMS_MARKETING = Selector(channels=_SMS, categories=frozenset({Category.MARKETING}))
_SMS_NEWS = Selector(channels=_SMS, categories=frozenset({Category.CARE, Category.SERVICE}))
_BROADCAST = Selector(channels=frozenset({Channel.WECOM_BROADCAST}))
_MESSAGE, _ACCEPTANCE = TERMS[Trigger.MESSAGE], TERMS[Trigger.ACCEPTANCE]

HOUSE_RULES: tuple[Rule, ...] = (
    CalendarCap(
        name="daily_cap",
        source=_HOUSE,
        selector=Selector(categories=_UNASKED),
        cap=1,
        period=Period.DAY,
    ),
    RollingCap(
        name="weekly_cap",
        source=_HOUSE,
        selector=Selector(categories=_UNASKED),
        cap=3,
        seconds=7 * _DAY,
    ),
    RollingCap(
        name="marketing_weekly_cap", source=_HOUSE, selector=_MARKETING, cap=2, seconds=7 * _DAY
    ),
    MinGap(name="min_gap", source=_HOUSE, seconds=4 * _HOUR),
    QuietHours(
        name="quiet_hours",
        source=_HOUSE,
        selector=Selector(channels=_AT_NIGHT),
        start=time(22),
        end=time(8),
    ),
    RollingCap(
        name="sms_marketing_daily", source=_ADVICE, selector=_SMS_MARKETING, cap=1, seconds=_DAY
    ),
    RollingCap(
        name="sms_marketing_monthly",
        source=_ADVICE,
        selector=_SMS_MARKETING,
        cap=4,
        seconds=30 * _DAY,
    ),
)


class BroadcastQuota(StrEnum):
    """What a corp's administrator allows its broadcasts to one customer (WeCom page 92135)."""

    DAYS_OF_MONTH = "days_of_month"
    SEVEN_A_WEEK = "seven_a_week"
    ONE_A_DAY = "one_a_day"


BROADCAST_RULES: Mapping[BroadcastQuota, CalendarCap] = {
    BroadcastQuota.DAYS_OF_MONTH: CalendarCap(
        name="wecom_broadcast_monthly",
        source="WeCom page 92135, 2026-02: per customer as many broadcasts a month as it has days",
        selector=_BROADCAST,
        is_platform=True,
        cap=DAYS_IN_PERIOD,
        period=Period.MONTH,
        zone=_CHINA,
    ),
    BroadcastQuota.SEVEN_A_WEEK: CalendarCap(
        name="wecom_broadcast_weekly",
        source="WeCom page 92135, 2026-02: the administrator may choose 7 a week per customer",
        selector=_BROADCAST,
        is_platform=True,
        cap=7,
        period=Period.WEEK,
        zone=_CHINA,
    ),
    BroadcastQuota.ONE_A_DAY: CalendarCap(
        name="wecom_broadcast_daily",
        source="WeCom page 92135, 2026-02: the administrator may choose 1 a day per customer",
        selector=_BROADCAST,
        is_platform=True,
        cap=1,
        period=Period.DAY,
        zone=_CHINA,
    ),
}
PLATFORM_RULES: tuple[Rule, ...] = (
    # Shorter grants (3 messages in 1 minute after a menu tap, follow or scan) say so themselves.
    GrantRule(
        name="wechat_service_grant",
        source="WeChat, customer-service messages, in force since 2023-06-12: 5 in 48 hours",
        selector=Selector(channels=frozenset({Channel.WECHAT_SERVICE})),
        is_platform=True,
        allowance=_MESSAGE.allowance,
        seconds=_MESSAGE.seconds,
    ),
    GrantRule(
        name="wechat_notice_grant",
        source="WeChat, subscription notices, one-time: one acceptance is one message",
        selector=Selector(channels=frozenset({Channel.WECHAT_NOTICE})),
        is_platform=True,
        allowance=_ACCEPTANCE.allowance,
        seconds=_ACCEPTANCE.seconds,
    ),
    Never(
        name="wechat_template_service_only",
        source="WeChat, template messages: service notices only, marketing forbidden (2016-01-20)",
        selector=Selector(channels=frozenset({Channel.WECHAT_TEMPLATE}), categories=_UNASKED),
        is_platform=True,
    ),
    BROADCAST_RULES[BroadcastQuota.DAYS_OF_MONTH],
    RollingCap(
        name="wecom_welcome_once",
        source="WeCom page 92137: one welcome for a welcome code, which ends after 20 seconds",
        selector=Selector(channels=frozenset({Channel.WECOM_WELCOME})),
        is_platform=True,
        cap=1,
        seconds=20,
    ),
    QuietHours(
        name="sms_hours",
        source=f"{_VENDOR}: marketing from 08:00 to 21:00",
        selector=_SMS_MARKETING,
        is_platform=True,
        start=time(21),
        end=time(8),
    ),
    RollingCap(
        name="sms_marketing_hourly",
        source=f"{_VENDOR}: marketing 4 in 1 hour to a number",
        selector=_SMS_MARKETING,
        is_platform=True,
        cap=4,
        seconds=_HOUR,
    ),
    RollingCap(
        name="sms_per_minute",
        source=f"{_VENDOR}: notifications 10 in 1 minute to a number",
        selector=_SMS_NEWS,
        is_platform=True,
        cap=10,
        seconds=_MINUTE,
    ),
    RollingCap(
        name="sms_daily",
        source=f"{_VENDOR}: notifications 50 in 24 hours to a number",
        selector=_SMS_NEWS,
        is_platform=True,
        cap=50,
        seconds=_DAY,
    ),
)
DEFAULT_RULES = HOUSE_RULES + PLATFORM_RULES


def with_quota(rules: tuple[Rule, ...], quota: BroadcastQuota) -> tuple[Rule, ...]:
    """The same rules, with the broadcasts that the corp's administrator allows."""
    names = {rule.name for rule in BROADCAST_RULES.values()}
    return (*(rule for rule in rules if rule.name not in names), BROADCAST_RULES[quota])
