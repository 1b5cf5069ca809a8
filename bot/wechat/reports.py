"""Events that nobody waits for an answer to: delivery reports, sessions, cards (wechat-oa.md §2.3).

What a table names is kept. An event that no table names is kept by its name and logged: it may be
one that the platform has added since.
"""

import logging

from bot.fields import Fields, many, text_of
from bot.messages import Report

_log = logging.getLogger(__name__)

_LONGEST_FACT = 500
_SENT = "subscribe_msg_sent_event"
_CARD = ("CardId", "UserCardCode")
_KNOWN: dict[str, tuple[str, ...]] = {
    "location": (),
    "view": ("EventKey", "MenuId"),
    "view_miniprogram": ("EventKey", "MenuId"),
    # The pictures and the place follow as messages of their own.
    "pic_sysphoto": ("EventKey",),
    "pic_photo_or_album": ("EventKey",),
    "pic_weixin": ("EventKey",),
    "location_select": ("EventKey",),
    "templatesendjobfinish": ("MsgID", "Status"),
    "masssendjobfinish": (
        "MsgID",
        "Status",
        "TotalCount",
        "FilterCount",
        "SentCount",
        "ErrorCount",
    ),
    _SENT: ("TemplateId", "MsgID", "ErrorCode", "ErrorStatus"),
    "kf_create_session": ("KfAccount",),
    "kf_close_session": ("KfAccount", "CloseType"),
    "kf_switch_session": ("FromKfAccount", "ToKfAccount"),
    # We keep no names or pictures of WeChat's, so that there is nothing to refresh.
    "user_info_modified": (),
    "qualification_verify_success": ("ExpiredTime",),
    "qualification_verify_fail": ("FailTime", "FailReason"),
    "naming_verify_success": ("ExpiredTime",),
    "naming_verify_fail": ("FailTime", "FailReason"),
    "annual_renew": ("ExpiredTime",),
    "verify_expired": ("ExpiredTime",),
    # Cards of the old kind, which a brand may still have out (§2.4).
    "card_pass_check": ("CardId",),
    "card_not_pass_check": ("CardId", "RefuseReason"),
    "user_get_card": (*_CARD, "IsGiveByFriend", "OuterStr"),
    "user_gifting_card": (*_CARD, "IsReturnBack"),
    "user_del_card": _CARD,
    "user_consume_card": (*_CARD, "ConsumeSource"),
    "user_pay_from_pay_cell": (*_CARD, "TransId", "Fee"),
    "user_view_card": _CARD,
    "user_enter_session_from_card": _CARD,
    "update_member_card": (*_CARD, "ModifyBonus", "ModifyBalance"),
    "card_sku_remind": ("CardId", "Detail"),
    "card_pay_order": (),
    "submit_membercard_user_info": _CARD,
}
# Somebody has to do something, or the account stops working.
_ALARMING = frozenset({"qualification_verify_fail", "naming_verify_fail", "verify_expired"})


def read(event: str, fields: Fields) -> Report:
    """The event with the facts that are worth keeping."""
    if event not in _KNOWN:
        _log.warning("An event came that is not known: %r.", event)
        return Report(event)
    if event in _ALARMING:
        _log.error("The platform says of the account: %s.", event)
    source = _inner(fields) if event == _SENT else fields
    facts = {name: text_of(source, name).strip()[:_LONGEST_FACT] for name in _KNOWN[event]}
    if "Status" in facts:
        # `failed:user block` and `failed: system failed`: spaced as it pleases (§2.3).
        facts["Status"] = "".join(facts["Status"].split())
    return Report(event, {name: value for name, value in facts.items() if value})


def _inner(fields: Fields) -> Fields:
    for event in many(fields, "SubscribeMsgSentEvent"):
        for item in many(event, "List"):
            return item
    return {}
