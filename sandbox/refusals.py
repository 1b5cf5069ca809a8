"""What the two platforms answer when they refuse: codes and texts.

WeChat: wechat-oa.md §7.2, §12. WeCom: wecom.md §2.3. HTTP status is 200 for all of them.
"""

import secrets
from typing import Any

Answer = dict[str, Any]

WECHAT_TEXTS: dict[int, str] = {
    -1: "system error",
    40001: "invalid credential, access_token is invalid or not latest",
    40002: "invalid grant_type",
    40003: "invalid openid",
    40007: "invalid media_id",
    40008: "invalid message type",
    40013: "invalid appid",
    40014: "invalid access_token",
    40016: "invalid button size",
    40017: "invalid button type",
    40018: "invalid button name size",
    40019: "invalid button key size",
    40020: "invalid button url size",
    40023: "invalid sub button size",
    40024: "invalid sub button type",
    40025: "invalid sub button name size",
    40026: "invalid sub button key size",
    40027: "invalid sub button url size",
    40029: "invalid code",
    40033: "invalid charset. please check your request, if include \\uxxxx will create fail!",
    40037: "invalid template_id",
    40053: "invalid action info",
    40066: "invalid url, the sandbox does not have it",
    40125: "invalid appsecret",
    40163: "code been used",
    40164: "invalid ip {detail} ipv6 ::ffff:{detail}, not in whitelist",
    41001: "access_token missing",
    41002: "appid missing",
    41004: "appsecret missing",
    41008: "missing code",
    41030: "invalid page",
    42001: "access_token expired",
    42003: "code expired",
    43001: "require GET method",
    43002: "require POST method",
    43004: "require subscribe",
    43101: "user refuse to accept the msg",
    44002: "empty post data",
    44004: "empty content",
    45002: "content size out of limit",
    45008: "article size out of limit",
    45009: "reach max api daily quota limit",
    45011: "api minute-quota reach limit, must slower, retry next minute",
    45015: "response out of time limit or subscription is canceled",
    45029: "qrcode count out of limit",
    45047: "out of response count limit",
    45072: "invalid command",
    45080: "need send message in last 30 seconds",
    45081: "user is already on typing",
    46003: "menu no exist",
    47001: "data format error",
    47003: "argument invalid! {detail} invalid",
    48006: "forbid to clear quota because of reaching the limit",
    76021: "cgi_path not found, please check",
    9410010: "long_data is too long",
    9410011: "expire_seconds is too long",
    9410012: "short_key is unknown, expired or of another account",
}

WECOM_TEXTS: dict[int, str] = {
    -1: "system is busy",
    40001: "invalid credential",
    40003: "invalid userid",
    40008: "invalid message type",
    40013: "invalid corpid",
    40014: "invalid access_token",
    40029: "invalid code",
    40056: "invalid agentid",
    40058: "invalid parameter: {detail}",
    40063: "some parameters are empty: {detail}",
    40066: "invalid url, the sandbox does not have it",
    40068: "invalid tag or tag group",
    40093: "invalid jsapi signature",
    40096: "invalid external userid",
    40097: "handover user has not left",
    40098: "handover user is not qualified",
    40126: "corp tags reach the limit",
    41001: "access_token missing",
    41002: "corpid missing",
    41004: "corpsecret missing",
    41008: "missing code",
    41035: "invalid contact way type",
    41037: "invalid contact way scene",
    41041: "too many users of a contact way",
    41043: "missing config_id",
    41044: "invalid config_id",
    41046: "missing msgid of the broadcast",
    41047: "invalid msgid of the broadcast",
    41048: "no customer to send",
    41049: "missing welcome_code",
    41050: "invalid welcome_code",
    41051: "the chat has begun or the welcome was sent",
    41063: "the broadcast is being dispatched, query later",
    41064: "too many attachments",
    41065: "invalid attachments: {detail}",
    41093: "the broadcast is already cancelled",
    41094: "remind limit reached",
    41096: "another app is sending the welcome",
    42001: "access_token expired",
    42003: "code expired",
    42012: "invalid jsapi_ticket",
    42014: "invalid task_id",
    42015: "the updating app is not the sending app",
    42020: "replace_name missing",
    42022: "code already used",
    42027: "keyname missing",
    42028: "url missing or too long",
    42029: "media_id missing",
    42030: "appid missing",
    42031: "invalid card_type",
    42033: "title missing",
    42035: "horizontal_content_list too long",
    42037: "option_list has a wrong length",
    42038: "button text missing",
    42039: "button key missing, too long or repeated",
    42040: "option id missing or repeated",
    42041: "option text missing",
    42042: "jump_list too long",
    42043: "question_key missing",
    42045: "card_action missing or invalid",
    42050: "userid of the horizontal content missing",
    42052: "msgid is too old to be recalled",
    42051: "action_menu keys missing, repeated or of a wrong number",
    43001: "require GET method",
    43002: "require POST method",
    43012: "the application needs a callback url",
    45002: "content size out of limit",
    45009: "api freq out of limit",
    45033: "api concurrent out of limit",
    45035: "the same record is being changed by another call",
    48002: "api forbidden",
    50001: "redirect url is not in the trusted domain",
    60011: "no privilege to access or modify",
    60020: "not allow to access from your ip",
    60111: "userid not found",
    60140: "invalid response_code",
    81013: "user & party & tag all invalid",
    82001: "all recipients are empty",
    82002: "too many parties",
    82003: "too many tags",
    84061: "not external contact",
    84074: "no external contact permission",
    301002: "access_token does not belong to the agentid",
}


class ApiError(Exception):
    """A documented refusal of the platform."""

    def __init__(self, code: int, detail: str = "") -> None:
        self.code, self.detail = code, detail
        super().__init__(f"errcode {code} {detail}".rstrip())


def wechat_refusal(error: ApiError) -> Answer:
    """The answer of WeChat: code, text and the request id that support asks for."""
    text = WECHAT_TEXTS.get(error.code, "sandbox error").format(detail=error.detail)
    rid = "-".join(secrets.token_hex(4) for _ in range(3))
    return {"errcode": error.code, "errmsg": f"{text} rid: {rid}"}


def wecom_refusal(error: ApiError, *, ip: str, is_bad_json: bool) -> Answer:
    """The answer of WeCom: code, and a text with hint, caller and the page that explains it."""
    text = WECOM_TEXTS.get(error.code, "sandbox error").format(detail=error.detail)
    warning = " Warning: wrong json format." if is_bad_json else ""
    hint = secrets.randbelow(10**25)
    more = f"more info at https://open.work.weixin.qq.com/devtool/query?e={error.code}"
    return {
        "errcode": error.code,
        "errmsg": f"{text},{warning} hint: [{hint:025d}], from ip: {ip}, {more}",
    }
