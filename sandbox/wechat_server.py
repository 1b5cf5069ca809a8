"""A stand-in for `api.weixin.qq.com`: tokens, user information and web OAuth (wechat-oa.md §7,
§9).

The messages it takes stand in `sandbox/wechat_messages.py`. It is not WeChat and only refuses
what is documented.
"""

import secrets
from datetime import datetime, timedelta

from sandbox import menus, qr_codes, quotas, wechat_messages
from sandbox.gateway import Call, Endpoint
from sandbox.refusals import Answer, ApiError, wechat_refusal
from sandbox.state import Account, Code, Follower, Push, World
from sandbox.tokens import LIFETIME, OVERLAP, TokenBook

# Limits of the token endpoints (wechat-oa.md §7.1).
_TOKENS_PER_DAY = 2000
_FORCED_PER_DAY = 20
_FORCED_GAP = timedelta(seconds=30)


class WechatServer:
    """Answers the calls of all official accounts of a world."""

    name = "wechat"

    def __init__(self, world: World) -> None:
        self.world = world
        self.state = world.wechat

    @property
    def tokens(self) -> TokenBook:
        """Its access tokens."""
        return self.state.tokens

    def answer(self, call: Call) -> Answer:
        """Answer one call under the lock. Refuses with `ApiError`."""
        endpoint = ENDPOINTS.get(call.path)
        if endpoint is None:
            raise ApiError(40066)
        _check_method(call, endpoint)
        with self.state.lock:
            if not endpoint.needs_token:
                return endpoint.act(self.world, call)
            appid = self.tokens.owner_of(call.query.get("access_token"), now=call.now)
            account, limit = self.state.accounts[appid], quotas.DAILY.get(call.path)
            if call.path not in _UNCOUNTED:
                quotas.count(self.world, account, call.path, limit=limit, now=call.now)
            _check_body(call)
            return endpoint.act(self.world, account, call)

    def begin(self, call: Call) -> ApiError | None:
        """WeChat counts calls by the day, not at once."""

    def end(self, call: Call) -> None:
        """Nothing was counted."""

    def refusal(self, error: ApiError, call: Call) -> Answer:  # noqa: ARG002 -- WeCom's needs the call
        """A refusal in WeChat's words."""
        return wechat_refusal(error)

    def take_pushes(self) -> list[Push]:
        """Callbacks caused since the last time."""
        with self.state.lock:
            pushes, self.state.pushes = self.state.pushes, []
        return pushes


def _check_method(call: Call, endpoint: Endpoint) -> None:
    if call.method != endpoint.method:
        raise ApiError(43001 if endpoint.method == "GET" else 43002)


def _check_body(call: Call) -> None:
    if call.method == "POST" and call.is_empty:
        raise ApiError(44002)
    if call.is_bad_json:
        raise ApiError(47001)


def token(world: World, call: Call) -> Answer:
    """`GET /cgi-bin/token`: always a new token; the one before works five more minutes."""
    account = _account(world, call, dict(call.query))
    quotas.count(world, account, "token", limit=_TOKENS_PER_DAY, now=call.now)
    before = world.wechat.tokens.current(account.appid, kind="plain", now=call.now)
    if before is not None:
        before.dead_at = min(before.dead_at or before.expires_at, call.now + OVERLAP)
    fresh = world.wechat.tokens.issue(account.appid, kind="plain", now=call.now)
    return {"access_token": fresh.value, "expires_in": int(LIFETIME.total_seconds())}


def stable_token(world: World, call: Call) -> Answer:
    """`POST /cgi-bin/stable_token`: the same token until its last five minutes, unless forced."""
    _check_body(call)
    account = _account(world, call, {name: str(value) for name, value in call.body.items()})
    book, owner = world.wechat.tokens, account.appid
    current = book.current(owner, kind="stable", now=call.now)
    if call.body.get("force_refresh") is True:
        _force(world, account, now=call.now)
        if current is not None:
            current.dead_at = call.now
        current = None
    if current is None or current.expires_at - call.now < OVERLAP:
        current = book.issue(owner, kind="stable", now=call.now)
    return {
        "access_token": current.value,
        "expires_in": int((current.expires_at - call.now).total_seconds()),
    }


def _force(world: World, account: Account, *, now: datetime) -> None:
    last = world.wechat.forced_at.get(account.appid)
    if last is not None and now - last < _FORCED_GAP:
        raise ApiError(45011)
    quotas.count(world, account, "force_refresh", limit=_FORCED_PER_DAY, now=now)
    world.wechat.forced_at[account.appid] = now


def _account(world: World, call: Call, fields: dict[str, str]) -> Account:
    if fields.get("grant_type") != "client_credential":
        raise ApiError(40002)
    account = _account_with_secret(world, fields)
    if account.allowed_ips and call.ip not in account.allowed_ips:
        raise ApiError(40164, call.ip)
    return account


def _account_with_secret(world: World, fields: dict[str, str]) -> Account:
    if not fields.get("appid"):
        raise ApiError(41002)
    if not fields.get("secret"):
        raise ApiError(41004)
    account = world.wechat.accounts.get(fields["appid"])
    if account is None:
        raise ApiError(40013)
    if account.secret != fields["secret"]:
        raise ApiError(40125)
    return account


def get_callback_ip(_world: World, _account: Account, _call: Call) -> Answer:
    """`GET /cgi-bin/getcallbackip`: where pushes come from."""
    return {"ip_list": ["127.0.0.1"]}


def user_info(world: World, account: Account, call: Call) -> Answer:
    """`GET /cgi-bin/user/info`: no nickname or picture since 2021-12-27; little without a
    follow.
    """
    follower = wechat_messages.follower_of(world, account, call.query.get("openid", ""))
    known = {"openid": follower.openid}
    if follower.unionid:
        known["unionid"] = follower.unionid
    if not follower.is_subscribed:
        return {"subscribe": 0, **known}
    return {"subscribe": 1, **known, **_profile(follower)}


def _profile(follower: Follower) -> Answer:
    since = follower.subscribed_at
    return {
        "nickname": "",
        "headimgurl": "",
        "sex": 0,
        "language": "zh_CN",
        "subscribe_time": int(since.timestamp()) if since else 0,
        "subscribe_scene": "ADD_SCENE_QR_CODE" if follower.scene else "ADD_SCENE_SEARCH",
        "qr_scene": 0,
        "qr_scene_str": follower.scene,
        "remark": "",
        "groupid": 0,
        "tagid_list": [],
    }


def oauth_access_token(world: World, call: Call) -> Answer:
    """`GET /sns/oauth2/access_token`: who stands behind a code. One use, five minutes (§9)."""
    account = _account_with_secret(world, call.query)
    code = _spend_code(world, account, call)
    page_token = secrets.token_urlsafe(48)
    world.wechat.page_tokens[page_token] = code
    follower = world.wechat.followers.get(code.person)
    answer: Answer = {
        "access_token": page_token,
        "expires_in": int(LIFETIME.total_seconds()),
        "refresh_token": secrets.token_urlsafe(48),
        "openid": code.person,
        "scope": code.scope,
    }
    if code.is_snapshot:
        answer["is_snapshotuser"] = 1
    elif code.scope == "snsapi_userinfo" and follower and follower.unionid:
        answer["unionid"] = follower.unionid
    return answer


def _spend_code(world: World, account: Account, call: Call) -> Code:
    if not call.query.get("code"):
        raise ApiError(41008)
    code = world.wechat.codes.get(call.query["code"])
    if code is None or code.owner != account.appid:
        raise ApiError(40029)
    if code.is_used:
        raise ApiError(40163)
    if code.expires_at <= call.now:
        raise ApiError(42003)
    code.is_used = True
    return code


def oauth_user_info(world: World, call: Call) -> Answer:
    """`GET /sns/userinfo`: nickname and picture, with the token of a `snsapi_userinfo` code."""
    code = world.wechat.page_tokens.get(call.query.get("access_token", ""))
    if code is None or code.scope != "snsapi_userinfo":
        raise ApiError(40001)
    if call.query.get("openid") != code.person:
        raise ApiError(40003)
    follower = world.wechat.followers.get(code.person)
    name, union = (follower.nickname, follower.unionid) if follower else ("微信用户", "")
    empty = {"sex": 0, "province": "", "city": "", "country": "", "privilege": []}
    return {"openid": code.person, "nickname": name, "headimgurl": "", "unionid": union, **empty}


# Whoever has used a day's calls up must still be able to look and to begin anew.
_UNCOUNTED = frozenset({"cgi-bin/clear_quota", "cgi-bin/openapi/quota/get"})
ENDPOINTS: dict[str, Endpoint] = {
    "cgi-bin/clear_quota": Endpoint("POST", quotas.clear),
    "cgi-bin/openapi/quota/get": Endpoint("POST", quotas.look),
    "cgi-bin/menu/create": Endpoint("POST", menus.create),
    "cgi-bin/menu/get": Endpoint("GET", menus.get),
    "cgi-bin/menu/delete": Endpoint("GET", menus.delete),
    "cgi-bin/qrcode/create": Endpoint("POST", qr_codes.create),
    "cgi-bin/shorten/gen": Endpoint("POST", qr_codes.shorten),
    "cgi-bin/shorten/fetch": Endpoint("POST", qr_codes.lengthen),
    "cgi-bin/message/custom/typing": Endpoint("POST", wechat_messages.custom_typing),
    "cgi-bin/token": Endpoint("GET", token, needs_token=False),
    "cgi-bin/stable_token": Endpoint("POST", stable_token, needs_token=False),
    "cgi-bin/getcallbackip": Endpoint("GET", get_callback_ip),
    "cgi-bin/user/info": Endpoint("GET", user_info),
    "cgi-bin/message/custom/send": Endpoint("POST", wechat_messages.custom_send),
    "cgi-bin/message/subscribe/bizsend": Endpoint("POST", wechat_messages.notice_send),
    "cgi-bin/message/template/send": Endpoint("POST", wechat_messages.template_send),
    "sns/oauth2/access_token": Endpoint("GET", oauth_access_token, needs_token=False),
    "sns/userinfo": Endpoint("GET", oauth_user_info, needs_token=False),
}
