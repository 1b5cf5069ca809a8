"""The product's client of a WeCom app: wechatpy's, with tokens and faults of our own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from redis import Redis
from wechatpy.work import WeChatClient as Library

from bot import provider_limits
from bot.access_tokens import AccessTokens, TokenDrawer, with_token
from bot.calls import TIMEOUT, ApiError, NoToken, http_session, token_of
from bot.provider_limits import ProviderLimits
from bot.wecom.jsapi import Tickets
from store import accounts
from store.accounts import Account, Credentials

_HOST = "https://qyapi.weixin.qq.com"


class WeComApi:
    """Calls for one app; a token is good for its own app only (wecom.md §2.1)."""

    def __init__(
        self,
        account: Credentials,
        *,
        base_url: str,
        redis: Redis,
        timeout: tuple[float, float] = TIMEOUT,
    ) -> None:
        self._account = account
        self._limits = ProviderLimits(redis, f"wecom:{account.app_id}")
        self._http = http_session(_HOST, base_url, timeout, self._count)
        name = f"wecom:{account.app_id}:{account.agent_id}"
        self._drawer = TokenDrawer(AccessTokens(redis, name, self._fetch_token))
        self._library = Library(
            account.app_id, account.secret, session=self._drawer, auto_retry=False
        )
        self._library._http = self._http
        self.tickets = Tickets(redis, name, self.get)

    def send(self, userid: str, message: dict[str, Any]) -> dict[str, Any]:
        """An app message to one guide; gives `msgid` and who was invalid (wecom.md §3.1)."""
        agent = self._account.agent_id
        self._limits.take(f"to:{agent}:{userid}", provider_limits.WECOM_MESSAGES)
        return self._call(lambda: self._library.message.send(agent, userid, msg=message))

    def add_broadcast(
        self, userid: str, external_userid: str, content: dict[str, Any]
    ) -> dict[str, Any]:
        """Put a broadcast before a guide to confirm; gives `msgid` and `fail_list`."""
        body = {"chat_type": "single", "external_userid": [external_userid], "sender": userid}
        return self._call(lambda: self._library.external_contact.add_msg_template(body | content))

    def broadcast_result(self, msgid: str, userid: str) -> list[dict[str, Any]]:
        """Whom a guide's broadcast has reached (wecom.md §5.3)."""
        body = {"msgid": msgid, "userid": userid}
        found = self._call(
            lambda: self._library.post("externalcontact/get_groupmsg_send_result", data=body)
        )
        sent: list[dict[str, Any]] = found.get("send_list", [])
        return sent

    def userid(self, code: str) -> str | None:
        """The member of the corp behind the code of a page's login; none for an outsider."""
        userid = self.get("auth/getuserinfo", code=code).get("userid")
        return str(userid) if userid else None

    @property
    def agent_id(self) -> int | None:
        """The app that speaks."""
        return self._account.agent_id

    def get(self, path: str, **params: str | int) -> dict[str, Any]:
        """Read what one endpoint gives; refuses with `ApiError`."""
        return self._call(lambda: self._library.get(path, params=dict(params)))

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Ask one endpoint; refuses with `ApiError`."""
        return self._call(lambda: self._library.post(path, data=dict(body)))

    def _call(self, act: Callable[[], Any]) -> dict[str, Any]:
        try:
            return with_token(self._drawer, act)
        except NoToken:
            # Not an answer to this call, which was not made.
            raise
        except ApiError as error:
            self._limits.refused(error.code)
            raise

    def _count(self, path: str) -> None:
        if path in provider_limits.WECOM_EXEMPT:
            # Not counted, and left alone all the same when the platform asks for it.
            self._limits.take(path, ())
            return
        caps = provider_limits.WECOM_TICKETS.get(path)
        if caps is not None:
            of_app = f"{path}:{self._account.agent_id}"
            self._limits.take(of_app, provider_limits.WECOM_TICKETS_OF_APP)
        self._limits.take(path, caps or provider_limits.WECOM_API)

    def _fetch_token(self, is_forced: bool) -> tuple[str, int]:  # noqa: ARG002 -- WeCom has no such wish
        keys = {"corpid": self._account.app_id, "corpsecret": self._account.secret}
        try:
            return token_of(lambda: self._http.get(f"{_HOST}/cgi-bin/gettoken", params=keys).json())
        except NoToken as error:
            self._limits.refused(error.code)
            raise


@dataclass
class WecomClients:
    """The clients of this process, one an app, made when first needed."""

    base_url: str
    redis: Redis
    secret_key: str = field(repr=False)
    timeout: tuple[float, float] = TIMEOUT
    _made: dict[tuple[int, str], WeComApi] = field(default_factory=dict, repr=False)

    def of(self, account: Account) -> WeComApi:
        """The client of an app; a changed secret makes a new one."""
        known = (account.id, account.secret_sealed)
        if known not in self._made:
            opened = accounts.opened(account, secret_key=self.secret_key)
            self._made[known] = WeComApi(
                opened, base_url=self.base_url, redis=self.redis, timeout=self.timeout
            )
        return self._made[known]
