"""Calls to WeChat's and WeCom's servers: one place for addresses, time-outs and faults.

wechatpy builds the requests; this closes what it leaves open (wechat-oa.md §13.3, §13.4): every
call has a time-out and is counted before it leaves, and no error text holds a token or a secret.
"""

import logging
import os
from collections.abc import Callable, Mapping
from enum import StrEnum
from ssl import SSLCertVerificationError
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies
from urllib3.exceptions import NewConnectionError
from urllib3.exceptions import SSLError as TlsError
from wechatpy.exceptions import WeChatClientException

# At debug level it writes every URL, and our URLs hold secrets and tokens.
logging.getLogger("urllib3.connectionpool").setLevel(logging.INFO)

# To connect, and to wait for the answer. The platforms answer in well under a second.
TIMEOUT = (3.05, 8.0)
_POOL = 8
_SERVER_FAULT = 500
# Tokens live two hours; an answer that says more than a day is not believed.
_LONGEST_LIFE = 86400
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class Fate(StrEnum):
    """What became of a call that failed."""

    # The platform answered with a code: it did nothing.
    REFUSED = "refused"
    # No connection came about: nothing was done.
    UNSENT = "unsent"
    # The request left and no proper answer came: it may have been done.
    LOST = "lost"


class ApiError(Exception):
    """A call failed; `code` is the platform's errcode when it gave one. Never holds an address."""

    def __init__(self, fate: Fate, code: int | None = None) -> None:
        self.fate, self.code = fate, code
        what = f"with errcode {code}" if code is not None else "without an errcode"
        super().__init__(f"A call to the platform was {fate} {what}.")


class NoToken(ApiError):  # noqa: N818 -- it says what is missing
    """No access token could be had, so that the call itself was not made."""

    def __init__(self, code: int | None = None) -> None:
        super().__init__(Fate.UNSENT, code)


class TooSoon(ApiError):  # noqa: N818 -- it says what is wrong with it
    """The call would break a limit of the platform, so it was not made; it may be in a while."""

    def __init__(self, retry_after: int) -> None:
        self.retry_after = retry_after
        super().__init__(Fate.UNSENT)


# Told the path of each call before it leaves; refuses it with `TooSoon`.
Count = Callable[[str], None]


class Reroute(HTTPAdapter):
    """Sends what goes to the platform's host to `base_url`, and never waits without an end."""

    def __init__(
        self, base_url: str, timeout: tuple[float, float], count: Count | None = None
    ) -> None:
        self._base_url, self._timeout, self._count = base_url, timeout, count
        self._is_local = urlsplit(base_url).hostname in _LOOPBACK
        super().__init__(pool_connections=1, pool_maxsize=_POOL)

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,  # noqa: ARG002 -- wechatpy passes none for the token
        verify: Any = True,
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """Send to the base address instead, with our own time-out."""
        if self._count is not None:
            self._count(urlsplit(request.path_url).path)
        request.url = self._base_url + request.path_url
        # A proxy of the environment cannot reach a stand-in on this machine.
        usable = None if self._is_local else proxies
        return super().send(request, stream, self._timeout, verify, cert, usable)


def http_session(
    real_host: str,
    base_url: str,
    timeout: tuple[float, float] = TIMEOUT,
    count: Count | None = None,
) -> requests.Session:
    """A session that can reach only one host, wherever that is in this deployment."""
    http = requests.Session()
    # The environment is read once: for each call it takes longer than the call's own work.
    http.trust_env = False
    http.proxies.update(get_environ_proxies(real_host))
    http.verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
    http.adapters.clear()
    http.mount(real_host, Reroute(base_url, timeout, count))
    return http


def answered(act: Callable[[], Any]) -> dict[str, Any]:
    """The JSON object that a call gives; every way to fail is an `ApiError`."""
    fault: ApiError
    try:
        result = act()
    except WeChatClientException as error:
        fault = _refusal(error)
    except requests.RequestException as error:
        fault = ApiError(_fate(error))
    except (ValueError, TypeError, KeyError, AttributeError):
        # An answer in a shape that the library did not expect.
        fault = ApiError(Fate.LOST)
    else:
        if isinstance(result, dict):
            return result
        fault = ApiError(Fate.LOST)
    # Raised out here, so that not even its context holds the address with the token.
    raise fault


def checked(act: Callable[[], Any]) -> dict[str, Any]:
    """The same for a call made without wechatpy, which reads the errcode otherwise."""
    found = answered(lambda: _numbered(act()))
    if found["errcode"]:
        raise ApiError(Fate.REFUSED, found["errcode"])
    return found


def given(found: Mapping[str, Any], name: str) -> str:
    """A text that a proper answer has."""
    value = found.get(name)
    if not value or not isinstance(value, str):
        raise ApiError(Fate.LOST)
    return value


def _numbered(found: Any) -> Any:
    return {**found, "errcode": int(found.get("errcode") or 0)}


def token_of(act: Callable[[], Any], name: str = "access_token") -> tuple[str, int]:
    """The access token, or the ticket of another name, that a call gives; the seconds it lives."""
    try:
        found = checked(act)
        return given(found, name), _seconds(found)
    except ApiError as error:
        code = error.code
    raise NoToken(code)


def _seconds(found: Mapping[str, Any]) -> int:
    life = found.get("expires_in")
    return min(life, _LONGEST_LIFE) if isinstance(life, int) else 0


def _refusal(error: Any) -> ApiError:
    if error.errcode is not None:
        return ApiError(Fate.REFUSED, error.errcode)
    response = error.response
    is_lost = response is None or response.status_code >= _SERVER_FAULT
    return ApiError(Fate.LOST if is_lost else Fate.UNSENT)


def _fate(error: requests.RequestException) -> Fate:
    """Only what surely never reached the platform is unsent."""
    never_sent = (
        requests.exceptions.ConnectTimeout,
        requests.exceptions.ProxyError,
        requests.exceptions.InvalidURL,
    )
    if isinstance(error, never_sent):
        return Fate.UNSENT
    reason = getattr(error.args[0], "reason", error.args[0]) if error.args else None
    is_unsent = isinstance(reason, NewConnectionError) or _is_distrust(reason)
    return Fate.UNSENT if is_unsent else Fate.LOST


def _is_distrust(reason: object) -> bool:
    """A certificate is looked at before anything is sent; other faults of TLS may come after."""
    causes = reason.args if isinstance(reason, TlsError) else ()
    return any(isinstance(cause, SSLCertVerificationError) for cause in causes)
