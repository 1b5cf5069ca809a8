"""Why the gate kept silent, in words that guides and operators read; keyed by rule and reason name.

Names come from `fatigue.policies.DEFAULT_RULES` and `fatigue.rules.REASONS`; a rule that a house
adds under its own name is shown by that name.
"""

RULE_PHRASES: dict[str, str] = {
    "daily_cap": "今天已经打扰过一次",
    "weekly_cap": "七天内已经打扰过三次",
    "marketing_weekly_cap": "七天内营销消息已满两条",
    "min_gap": "离上一条消息不到四小时",
    "quiet_hours": "晚十点到早八点不打扰",
    "wechat_service_grant": "微信客服消息的次数已用完",
    "wechat_notice_grant": "顾客没有同意接收订阅通知",
    "wecom_broadcast_monthly": "本月企业微信群发次数已用完",
    "no_grant": "微信没有开放主动发送的机会",
    "no_identity": "没有可以联系到的微信",
    "no_friendship": "还不是导购的企业微信好友",
    "opted_out": "顾客说过不要再打扰",
    "no_consent": "顾客没有同意接收这类消息",
    "past_deadline": "截止时间已过",
    "member_gone": "会员已注销或已合并",
    "no_words": "这段话术没有适合这位顾客的内容",
}


def rule_phrase(name: str) -> str:
    """The reason in plain Chinese; a rule of the house's own keeps the name it was given."""
    return RULE_PHRASES.get(name, name or "原因没有记录")
