"""What the tables and columns of an export are called, for the person whose data it is."""

import json
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

SECTIONS: dict[str, str] = {
    "members": "会员资料",
    "identities": "微信标识",
    "bindings": "绑定记录",
    "consents": "同意与撤回",
    "suppressions": "停止接收",
    "wishes": "接收偏好",
    "member_tags": "标签",
    "member_facts": "消费概况",
    "ownerships": "专属导购",
    "friendships": "企业微信好友",
    "contacts": "企业微信联系人",
    "transfers": "导购交接",
    "orders": "订单",
    "order_lines": "订单商品",
    "refunds": "退款",
    "points_entries": "积分明细",
    "points_lots": "积分批次",
    "points_takes": "积分扣减",
    "coupons": "优惠券",
    "gifts": "转赠",
    "points_shop_redemptions": "积分兑换",
    "till_redemptions": "收银台核销",
    "care_tasks": "导购关怀",
    "pick_taps": "点开过的推荐商品",
    "customer_notes": "导购的记事",
    "attributions": "关怀后的购买",
    "audience_members": "活动名单",
    "touches": "我们发给您的消息",
    "letters": "没能送达的消息",
    "inbound_messages": "您发来的消息和回复",
    "conversations": "进行中的对话",
    "handovers": "人工服务",
    "handover_lines": "人工对话",
    "feedbacks": "评价",
    "scene_visits": "扫过的二维码",
    "grants": "微信的消息窗口",
    "holds": "为活动留出的次数",
    "displacements": "给更重要的消息让路",
    "sms_codes": "短信验证码",
    "notices": "给导购的成交通知",
    "merges": "账号合并",
}
_COLUMNS: dict[str, str] = {
    "card_no": "会员卡号",
    "external_id": "编号",
    "mobile": "手机号",
    "name": "姓名",
    "birthday_on": "生日",
    "birthday_set_at": "生日填写时间",
    "timezone": "时区",
    "brand": "品牌",
    "shop": "门店",
    "guide": "导购",
    "level": "等级",
    "status": "状态",
    "state": "状态",
    "state_reason": "状态说明",
    "joined_at": "入会时间",
    "created_at": "记录时间",
    "channel": "渠道",
    "account": "账号",
    "outside_id": "标识",
    "unionid": "开放平台标识",
    "external_userid": "企业微信标识",
    "is_reachable": "能收到消息",
    "purpose": "用途",
    "is_granted": "同意",
    "text_version": "说明版本",
    "source": "来源",
    "stated_at": "时间",
    "lifted_at": "恢复时间",
    "until": "截止",
    "since": "开始",
    "reason": "原因",
    "tag": "标签",
    "product": "商品",
    "quantity": "数量",
    "amount_fen": "金额",
    "refunded_fen": "已退",
    "paid_at": "付款时间",
    "refunded_at": "退款时间",
    "order": "订单",
    "points": "积分",
    "remaining": "剩余",
    "kind": "类型",
    "plan": "优惠券",
    "coupon": "券码",
    "code": "券码",
    "issued_at": "发放时间",
    "expires_at": "有效期",
    "redeemed_at": "使用时间",
    "opened_at": "开始时间",
    "closed_at": "结束时间",
    "claimed_at": "领取时间",
    "campaign": "活动",
    "draft": "话术草稿",
    "edited_text": "导购改后的话",
    "text": "内容",
    "payload": "原文",
    "reply": "我们的回复",
    "received_at": "收到时间",
    "answered_at": "回复时间",
    "sent_at": "发送时间",
    "replied_at": "回复时间",
    "deadline_at": "截止时间",
    "asked_at": "发起时间",
    "planned_from": "计划从",
    "planned_until": "计划到",
    "displaced_at": "让路时间",
    "settled_at": "结束时间",
    "category": "类别",
    "bound_at": "绑定时间",
    "is_gifted": "领过新会员礼",
    "tries": "尝试次数",
    "score": "评分",
    "words": "留言",
    "given_on": "日期",
    "merged_at": "合并时间",
    "step": "进行到",
    "facts": "内容",
    "message": "内容",
    "line_no": "行",
    "number": "凭证号",
    "reference": "小票号",
    "discount_fen": "优惠",
    "done_at": "核销时间",
    "undone_at": "撤销时间",
    "redeemed_order": "用在订单",
    "available_at": "生效时间",
    "attributed_at": "计入时间",
    "picks_opened_at": "打开清单时间",
    "tapped_at": "点开时间",
    "written_at": "写下时间",
    "orders_count": "订单数",
    "spent_fen": "累计消费",
    "spent_365_fen": "近一年消费",
    "first_order_at": "第一次购买",
    "last_order_at": "最近购买",
    "interval_days": "购买间隔（天）",
    "favourite_categories": "常买",
    "tagged_at": "打标时间",
    "at": "时间",
    "changed_at": "变更时间",
    "ended_by": "由谁结束",
    "is_attributed": "已计入来源",
    "nickname": "昵称",
    "remark": "备注名",
    "wanted_remark": "待写入的备注名",
    "seen_at": "最近核对",
    "contact": "联系人",
    "giver": "交出的导购",
    "taker": "接手的导购",
    "has_left": "原导购已离职",
    "failure": "未成原因",
    "planned_at": "安排时间",
    "due_at": "下次核对",
    "side": "谁说的",
    "said_at": "时间",
    "ended_at": "结束时间",
    "used_at": "使用时间",
}
# States and kinds that a person meets in more than one table.
_VALUES: dict[str, str] = {
    "active": "有效",
    "merged": "已合并",
    "available": "可使用",
    "gifting": "赠送中",
    "redeemed": "已使用",
    "expired": "已过期",
    "revoked": "已收回",
    "open": "进行中",
    "claimed": "已领取",
    "cancelled": "已取消",
    "sent": "已发送",
    "answered": "已回复",
    "earn": "获得",
    "spend": "使用",
    "reverse": "退回",
    "give_back": "退还",
    "expire": "到期",
    "adjust": "调整",
    "care": "关怀",
    "marketing": "营销",
    "service": "服务",
    "wechat": "微信",
    "wecom": "企业微信",
    "wechat_service": "公众号客服消息",
    "wechat_notice": "公众号订阅通知",
    "wecom_broadcast": "企业微信群发",
    "member": "我",
    "guide": "导购",
    "joining": "入会",
    "order": "订单",
    "refund": "退款",
    "chat": "公众号对话",
    "sms": "短信",
    "page": "会员页面",
    "binding": "绑定页面",
    "planned": "已安排",
    "suppressed": "没有打扰",
    "assigned": "等导购联系",
    "seen": "导购看过",
    "edited": "导购改过话",
    "snoozed": "导购稍后联系",
    "reassigned": "转给同事",
    "asked": "排队中",
    "reserved": "准备发送",
    "sending": "发送中",
    "delivered": "已送达",
    "replied": "您回复了",
    "converted": "您购买了",
    "skipped": "没有联系",
    "fell_back": "改由公众号联系",
    "failed": "没有发成",
    "unknown": "不确定是否送到",
    "withheld": "没有打扰",
    "released": "已撤回",
    "given": "品牌登记",
    "import": "资料导入",
    "observed": "导购记下",
    "derived": "按消费算出",
}
# Parts of a message as it was kept: what a program needs, and words that speak for themselves.
_FOR_MACHINES = frozenset({"at", "kind"})
_SPOKEN = frozenset({"content", "text", "title", "description"})
_IMPORTED = "import:"
_FEN = "_fen"


def section(table: str) -> str:
    """What the rows of a table are for their person."""
    return SECTIONS.get(table, table)


def row_in_words(row: dict[str, Any], zone: ZoneInfo) -> dict[str, str]:
    """A row as a person reads it: what is empty, or of use to machines only, is left out."""
    return {
        label: words
        for column, label in _COLUMNS.items()
        if column in row and (words := _of_column(column, row[column], zone))
    }


def _of_column(column: str, value: Any, zone: ZoneInfo) -> str:
    """The words of a value; what the record counts in fen is read in yuan."""
    if column.endswith(_FEN) and isinstance(value, int):
        return f"¥{value / 100:,.2f}"
    return _in_words(value, zone)


def _in_words(value: Any, zone: ZoneInfo) -> str:
    match value:
        case bool():
            return "是" if value else "否"
        case datetime():
            return f"{value.astimezone(zone):%Y-%m-%d %H:%M}"
        case dict():
            parts = (_part(key, part, zone) for key, part in value.items() if part)
            return "；".join(part for part in parts if part)
        case list():
            return "、".join(_in_words(part, zone) for part in value)
        case _:
            return "" if value is None else _said(str(value))


def _part(key: str, part: Any, zone: ZoneInfo) -> str:
    """A part of a message: its own words stand as they are, also where they are a card's."""
    if key in _FOR_MACHINES:
        return ""
    if key not in _SPOKEN or not isinstance(part, str):
        return f"{key}：{_in_words(part, zone)}"
    return _in_words(json.loads(part), zone) if _is_card(part) else part


def _is_card(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _said(value: str) -> str:
    return "资料导入" if value.startswith(_IMPORTED) else _VALUES.get(value, value)
