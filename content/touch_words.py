"""What channels, categories and states of touches are called at headquarters."""

from collections.abc import Mapping

from store.touches import Category, Channel, Evidence, TouchState

CHANNEL_NAMES: Mapping[Channel, str] = {
    Channel.WECHAT_SERVICE: "公众号客服消息",
    Channel.WECHAT_NOTICE: "公众号订阅通知",
    Channel.WECHAT_TEMPLATE: "公众号服务通知",
    Channel.WECOM_BROADCAST: "企业微信群发",
    Channel.WECOM_SIDEBAR: "企业微信聊天",
    Channel.WECOM_WELCOME: "加好友欢迎语",
    Channel.WECOM_APP: "企业微信应用消息",
    Channel.SMS: "短信",
}
CATEGORY_NAMES: Mapping[Category, str] = {
    Category.MARKETING: "营销",
    Category.CARE: "关怀",
    Category.SERVICE: "服务",
}
STATE_NAMES: Mapping[TouchState, str] = {
    TouchState.ASKED: "等一等再发",
    TouchState.RESERVED: "马上要发",
    TouchState.SENDING: "发送中",
    TouchState.SENT: "已发出",
    TouchState.FAILED: "没有发成",
    TouchState.UNKNOWN: "不确定是否送到",
    TouchState.WITHHELD: "没有打扰",
    TouchState.RELEASED: "没有再发",
}
EVIDENCE_NAMES: Mapping[Evidence, str] = {
    Evidence.PLATFORM: "平台确认",
    Evidence.EVENT: "由事件得知",
    Evidence.SELF_REPORTED: "导购自报",
}
