"""Why a message did not get through, in words for whoever decides what to do about it."""

from collections.abc import Mapping

# By the reason that a channel or the delivery gave.
REASONS: Mapping[str, str] = {
    "access_limited": "平台暂时限制了访问，请检查有没有非官方客户端",
    "account_misconfigured": "账号设置有误，请检查密钥、IP 白名单和接口权限",
    "already_welcomed": "已经欢迎过这位顾客",
    "bad_content": "内容不合要求，平台没有收，请修改素材或模板",
    "being_welcomed": "别的应用正在欢迎这位顾客",
    "blocked_by_member": "顾客屏蔽了这类通知",
    "customer_quota_used_up": "这位顾客本月的群发次数用完了",
    "forbidden_by_platform": "平台认为内容违规，没有发送",
    "no_acceptance": "顾客没有订阅，或者订阅次数用完了",
    "no_account": "这个品牌还没有接好账号",
    "no_answer": "发出后没有收到平台答复，可能已送到",
    "no_channel": "这个渠道还没有开通",
    "no_customer_to_send": "这位顾客本月不能再收群发",
    "no_friendship": "顾客和导购不是好友了",
    "no_identity": "没有顾客在这个渠道的账号",
    "no_result": "平台查不到结果，可能已送到",
    "no_token": "公众号或企业微信暂时连不上",
    "no_window": "顾客 48 小时内没有来过，不能发客服消息",
    "not_a_contact": "顾客和导购不是好友了",
    "not_reached": "连不上平台",
    "not_sent_in_time": "没来得及发出去",
    "only_service": "模板消息只能发服务通知，不能做营销",
    "opted_out": "顾客回复了拒收",
    "platform_busy": "平台一直繁忙",
    "platform_failed": "平台没能送达",
    "platform_failing": "平台连续出错，已暂停",
    "provider_limit": "已到平台的调用上限",
    "quota_used_up": "今天的额度用完了",
    "recipient_gone": "收件人不存在",
    "silent": "发送时中断，可能已送到",
    "too_fast": "发得太快，被平台限流",
    "unknown_code": "平台答复了没见过的错误",
    "welcome_too_late": "超过 20 秒，不能再发欢迎语",
    "window_used_up": "这次对话的 5 条消息用完了",
}


def reason_words(reason: str) -> str:
    """The reason in words; one that nobody foresaw stands as it is."""
    return REASONS.get(reason, reason)
