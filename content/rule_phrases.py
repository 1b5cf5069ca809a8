"""Why the gate kept silent, in words that guides and operators read; keyed by rule and reason name.

They hold no numbers, for a house may change those. Names come from
`fatigue.default_rules` and `fatigue.rules.REASONS`; a rule that a house adds under its own name is
shown by that name.
"""

RULE_PHRASES: dict[str, str] = {
    "daily_cap": "今天的次数已用完",
    "weekly_cap": "这几天的次数已用完",
    "marketing_weekly_cap": "这几天的营销次数已用完",
    "min_gap": "离上一条消息太近",
    "quiet_hours": "安静时段不打扰",
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
    "wechat_template_service_only": "公众号模板消息只能发服务通知",
    "wecom_broadcast_weekly": "本周企业微信群发次数已用完",
    "wecom_broadcast_daily": "今天的企业微信群发次数已用完",
    "wecom_welcome_once": "欢迎语已经发过",
    "sms_hours": "这个时段不发营销短信",
    "sms_marketing_daily": "今天的营销短信已用完",
    "sms_marketing_monthly": "这个月的营销短信已用完",
    "sms_marketing_hourly": "一小时内的营销短信已用完",
    "sms_per_minute": "一分钟内的短信已用完",
    "sms_daily": "今天的短信已用完",
    "displaced": "让路给更重要的消息，稍后再发",
    "no_words": "这段话术没有适合这位顾客的内容",
}

# What a silence comes down to, by the names of `fatigue.explaining.Cause`.
CAUSE_PHRASES: dict[str, str] = {
    "reached": "已经发给顾客",
    "waiting": "排队等待发送",
    "task_ended": "导购任务已结束",
    "withheld": "按规则没有打扰",
    "failed": "没有发成",
    "called_off": "发送前撤回了",
    "held_out": "在对照组里，特意不打扰",
    "with_guide": "还在导购手里",
    "not_chosen": "不在活动名单里",
    "not_launched": "活动还没启动",
    "not_asked": "没有安排要发的消息",
}


def rule_phrase(name: str) -> str:
    """The reason in plain Chinese; a rule of the house's own keeps the name it was given."""
    return RULE_PHRASES.get(name, name or "原因没有记录")
