"""What every answer at a door tells the browser.

Show the pages in no frame of another site, where taps could be stolen. Pages of members and of HQ
are not kept either (one that is gone back to would show a code that is dead, or somebody's data on
a lent phone), nor named to other sites (addresses hold the tokens of gifts).

The answer to a form is kept for who goes back to it: browsers load it from nowhere else, and would
show a fault instead of what was found or typed.
"""

from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.sessions import Door

_SECRET = {"Cache-Control": "no-store", "Referrer-Policy": "same-origin"}
_ANSWER_TO_FORM = {"Cache-Control": "private, no-cache"}
# A guide goes back to what was typed, and the platforms' scripts may ask who includes them.
_MORE = {Door.MEMBER: _SECRET, Door.CONSOLE: _SECRET, Door.WORKBENCH: dict[str, str]()}


class Sealed:
    """Adds the headers to whatever is answered at a door, faults too, unless it has its own.

    The platform that says who looks may frame the pages: the sandbox's phones do.
    """

    def __init__(self, app: ASGIApp, platform_url: str) -> None:
        self._app = app
        platform = urlsplit(platform_url)
        always = {
            "Content-Security-Policy": (
                f"frame-ancestors 'self' {platform.scheme}://{platform.netloc}"
            ),
            "X-Content-Type-Options": "nosniff",
        }
        self._headers: dict[str, dict[str, str]] = {
            door: always | more for door, more in _MORE.items()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        headers = None
        if scope["type"] == "http":
            headers = self._headers.get(scope["path"][1:].partition("/")[0])
        if headers is None:
            await self._app(scope, receive, send)
            return
        if scope["method"] == "POST" and "Cache-Control" in headers:
            headers = headers | _ANSWER_TO_FORM

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                sealed = MutableHeaders(scope=message)
                for name, value in headers.items():
                    sealed.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, sending)
