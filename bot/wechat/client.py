"""The product's client of an official account: wechatpy's, with tokens and faults of our own."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from redis import Redis
from wechatpy import WeChatClient as Library

from bot import provider_limits
from bot.access_tokens import AccessTokens, TokenDrawer, with_token
from bot.calls import TIMEOUT, ApiError, NoToken, checked, given, http_session, token_of
from bot.messages import Card, Choices, Prompt, Reply
from bot.provider_limits import ProviderLimits
from store import accounts
from store.accounts import Account, Credentials

_HOST = "https://api.weixin.qq.com"
_TOKEN_URL = f"{_HOST}/cgi-bin/stable_token"


@dataclass(frozen=True)
class PageVisitor:
    """Who opened a page; a snapshot page shows a made-up person, who must not become a member."""

    openid: str
    unionid: str | None
    is_snapshot: bool


@dataclass(frozen=True)
class SceneCode:
    """A code that WeChat has made: drawing `url` as a QR code gives the picture to print."""

    ticket: str
    url: str


class WeChatApi:
    """Calls for one account."""

    def __init__(
        self,
        account: Credentials,
        *,
        base_url: str,
        redis: Redis,
        timeout: tuple[float, float] = TIMEOUT,
        daily_factor: float = 1,
    ) -> None:
        self._account = account
        name = f"wechat:{account.app_id}"
        self._limits = ProviderLimits(redis, name)
        self._caps = provider_limits.scaled(provider_limits.WECHAT, daily_factor)
        self._http = http_session(_HOST, base_url, timeout, self._count)
        self._drawer = TokenDrawer(AccessTokens(redis, name, self._fetch_token))
        self._library = Library(
            account.app_id, account.secret, session=self._drawer, auto_retry=False
        )
        self._library._http = self._http

    def send_text(self, openid: str, text: str) -> None:
        """A customer-service message; the platform gives no id for it (wechat-oa.md §5)."""
        self._call(lambda: self._library.message.send_text(openid, text))

    def send_answer(self, openid: str, answer: Prompt | Choices) -> None:
        """An answer as a customer-service message; one of a model is marked so (§5.2)."""
        body: dict[str, Any] = {"touser": openid} | _content(answer)
        if isinstance(answer, Reply) and answer.is_ai:
            body["aimsgcontext"] = {"is_ai_msg": 1}
        self._call(lambda: self._library.post("message/custom/send", data=body))

    def send_notice(
        self, openid: str, template_id: str, data: Mapping[str, str], *, page: str | None
    ) -> None:
        """A subscription notice (wechat-oa.md §6.2)."""
        values = {name: {"value": value} for name, value in data.items()}
        self._call(
            lambda: self._library.message.send_subscribe_message(
                openid, template_id, values, page=page
            )
        )

    def send_template(
        self,
        openid: str,
        template_id: str,
        data: Mapping[str, str],
        *,
        url: str,
        client_msg_id: str,
    ) -> str:
        """A template message; gives its id, by which the report comes (wechat-oa.md §6.1).

        wechatpy cannot pass `client_msg_id`, which makes a repeat harmless for ten minutes.
        """
        body: dict[str, Any] = {
            "touser": openid,
            "template_id": template_id,
            "client_msg_id": client_msg_id,
            "data": {name: {"value": value} for name, value in data.items()},
        }
        if url:
            body["url"] = url
        found = self._call(lambda: self._library.post("message/template/send", data=body))
        return str(found.get("msgid") or "")

    def create_code(self, scene: str, *, seconds: int | None) -> SceneCode:
        """A QR code that brings `scene` with it: for so many seconds, or for ever (§8)."""
        body: dict[str, Any] = {"action_info": {"scene": {"scene_str": scene}}}
        if seconds is None:
            body["action_name"] = "QR_LIMIT_STR_SCENE"
        else:
            body |= {"action_name": "QR_STR_SCENE", "expire_seconds": seconds}
        found = self._call(lambda: self._library.qrcode.create(body))
        return SceneCode(given(found, "ticket"), given(found, "url"))

    def visitor(self, code: str) -> PageVisitor:
        """Who stands behind the code of a page's login (wechat-oa.md §9)."""
        found = checked(lambda: self._get("/sns/oauth2/access_token", self._login(code)))
        return PageVisitor(
            openid=given(found, "openid"),
            unionid=found.get("unionid"),
            is_snapshot=bool(found.get("is_snapshotuser")),
        )

    def _call(self, act: Callable[[], Any]) -> dict[str, Any]:
        try:
            return with_token(self._drawer, act)
        except NoToken:
            # Not an answer to this call, which was not made.
            raise
        except ApiError as error:
            self._limits.refused(error.code)
            raise

    def _login(self, code: str) -> dict[str, str]:
        return {
            "appid": self._account.app_id,
            "secret": self._account.secret,
            "code": code,
            "grant_type": "authorization_code",
        }

    def _get(self, path: str, params: dict[str, str]) -> Any:
        return self._http.get(f"{_HOST}{path}", params=params).json()

    def _count(self, path: str) -> None:
        self._limits.take(path, self._caps.get(path, ()))

    def _fetch_token(self, is_forced: bool) -> tuple[str, int]:
        """The stable token: the same for everybody who asks; a forced one kills the others'."""
        body: dict[str, Any] = {
            "grant_type": "client_credential",
            "appid": self._account.app_id,
            "secret": self._account.secret,
        }
        if is_forced:
            body["force_refresh"] = True
            self._limits.take("forced_token", provider_limits.FORCED_TOKEN)
        try:
            return token_of(lambda: self._http.post(_TOKEN_URL, data=json.dumps(body)).json())
        except NoToken as error:
            self._limits.refused(error.code)
            raise


def _content(answer: Prompt | Choices) -> dict[str, Any]:
    match answer:
        case Reply(text=words):
            return {"msgtype": "text", "text": {"content": words}}
        case Card(title=title, description=words, url=url):
            article = {"title": title, "description": words, "url": url, "picurl": ""}
            return {"msgtype": "news", "news": {"articles": [article]}}
        case Choices(head=head, items=items, tail=tail):
            menu = {
                "head_content": head,
                "list": [{"id": key, "content": words} for key, words in items],
                "tail_content": tail,
            }
            return {"msgtype": "msgmenu", "msgmenu": menu}


@dataclass
class WechatClients:
    """The clients of this process, one an account, made when first needed."""

    base_url: str
    redis: Redis
    secret_key: str = field(repr=False)
    timeout: tuple[float, float] = TIMEOUT
    daily_factor: float = 1
    _made: dict[tuple[int, str], WeChatApi] = field(default_factory=dict, repr=False)

    def of(self, account: Account) -> WeChatApi:
        """The client of an account; a changed secret makes a new one."""
        known = (account.id, account.secret_sealed)
        if known not in self._made:
            opened = accounts.opened(account, secret_key=self.secret_key)
            self._made[known] = WeChatApi(
                opened,
                base_url=self.base_url,
                redis=self.redis,
                timeout=self.timeout,
                daily_factor=self.daily_factor,
            )
        return self._made[known]
