"""What every answer of the member pages tells the browser.

Keep nothing (a page that is gone back to would show a code that is dead, or somebody's data on a
lent phone), name no page of ours to other sites (addresses hold the tokens of gifts), and show the
pages in no frame of another site, where taps could be stolen.
"""

from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.sessions import Door

_PLACE = f"/{Door.MEMBER}"


class Sealed:
    """Adds the headers to whatever is answered under `/m`, faults too.

    The platform that says who looks may frame the pages: the sandbox's phone does.
    """

    def __init__(self, app: ASGIApp, platform_url: str) -> None:
        self._app = app
        platform = urlsplit(platform_url)
        self._headers = {
            "Cache-Control": "no-store",
            "Content-Security-Policy": (
                f"frame-ancestors 'self' {platform.scheme}://{platform.netloc}"
            ),
            "Referrer-Policy": "same-origin",
            "X-Content-Type-Options": "nosniff",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        is_ours = scope["type"] == "http" and f"{scope['path']}/".startswith(f"{_PLACE}/")

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self._headers)
            await send(message)

        await self._app(scope, receive, sending if is_ours else send)
