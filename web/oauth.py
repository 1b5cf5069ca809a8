"""Web log-in through WeChat and WeCom: no password, the platform says who is looking.

`state` holds letters and digits only (wechat-oa.md §9), so the page to go back to travels in a
cookie. Each way there has its own, named by its state: two pages that are opened at once, as after
the end of a session, must not take each other's way back.
"""

import secrets
from urllib.parse import urlencode

from fastapi import Request, Response
from fastapi.responses import RedirectResponse
from itsdangerous import BadSignature, URLSafeTimedSerializer

from store.errors import NotAllowed
from web.parts import Parts
from web.sessions import Door

_COOKIE = "zhiyin_oauth"
_MAX_AGE_SECONDS = 600
# More are not on their way at once, and all of them travel with each request.
_MOST_AT_ONCE = 5


class LoginBroken(NotAllowed):
    """The way back from the platform does not match the way there; start again from the message."""


def begin(
    parts: Parts, request: Request, door: Door, *, app_id: str, agent_id: int | None
) -> Response:
    """Send the browser to the platform, remembering where it wanted to go."""
    state = secrets.token_hex(16)
    query = {
        "appid": app_id,
        "redirect_uri": f"{parts.settings.public_url}/{door}/login/back",
        "response_type": "code",
        "scope": "snsapi_base",
        "state": state,
    }
    if agent_id is not None:
        query["agentid"] = str(agent_id)
    url = f"{parts.settings.oauth_url}/connect/oauth2/authorize?{urlencode(query)}#wechat_redirect"
    response = RedirectResponse(url, status_code=303)
    for name in _begun(request)[: 1 - _MOST_AT_ONCE]:
        response.delete_cookie(name, path=f"/{door}")
    response.set_cookie(
        _named(state),
        _signer(parts, door).dumps([state, _here(request)]),
        max_age=_MAX_AGE_SECONDS,
        httponly=True,
        samesite="lax",
        secure=parts.sessions.is_https,
        path=f"/{door}",
    )
    return response


def finish(parts: Parts, request: Request, door: Door) -> tuple[str, str]:
    """Code and page to go on to; refuses a state that this browser did not start with."""
    code = request.query_params.get("code")
    shown = request.query_params.get("state", "")
    ticket = _ticket(parts, request, door, _named(shown))
    if ticket is None:
        raise LoginBroken("The log-in has expired.")
    state, wanted = ticket
    if not code or not secrets.compare_digest(state.encode(), shown.encode()):
        raise LoginBroken("The log-in does not match.")
    return code, wanted


def has_begun_here(parts: Parts, request: Request, door: Door) -> bool:
    """Whether this browser was sent to log in from this very address, a moment ago."""
    tickets = [_ticket(parts, request, door, name) for name in _begun(request)]
    return any(ticket is not None and ticket[1] == _here(request) for ticket in tickets)


def forget(request: Request, response: Response, door: Door) -> None:
    """What was begun is done: the same way back leads nowhere again."""
    for name in _begun(request):
        response.delete_cookie(name, path=f"/{door}")


def _named(state: str) -> str:
    return f"{_COOKIE}_{state}"


def _begun(request: Request) -> list[str]:
    """The cookies of all ways that were begun, the oldest first, as browsers send them."""
    return [name for name in request.cookies if name.startswith(_named(""))]


def _ticket(parts: Parts, request: Request, door: Door, name: str) -> tuple[str, str] | None:
    """State and page of a way that was begun a moment ago."""
    signer, cookie = _signer(parts, door), request.cookies.get(name, "")
    try:
        state, wanted = signer.loads(cookie, max_age=_MAX_AGE_SECONDS)
    except BadSignature:
        return None
    return state, wanted


def _here(request: Request) -> str:
    """The page asked for; a post comes back to its page, never repeated by a redirect."""
    query = f"?{request.url.query}" if request.url.query else ""
    return f"{request.url.path}{query}"


def _signer(parts: Parts, door: Door) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(parts.settings.secret, salt=f"zhiyin-oauth-{door}")
