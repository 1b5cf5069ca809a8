"""Posts come from our own pages only: a second lock beside the SameSite cookies.

Browsers name the origin of every cross-site post; programs that name none are not browsers.
"""

from urllib.parse import urlsplit

from fastapi import Depends, Request

from store.errors import NotAllowed
from web.parts import Parts

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class ForeignOrigin(NotAllowed):
    """A post that another site's page has sent."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        super().__init__(f"A page of {origin!r} may not post here.")


def refuse_foreign_posts(request: Request) -> None:
    """Refuse a post whose `Origin` is neither the host asked nor the public address."""
    origin = request.headers.get("origin")
    if request.method in _SAFE or origin is None:
        return
    parts: Parts = request.app.state.parts
    own = {request.headers.get("host", ""), urlsplit(parts.settings.public_url).netloc}
    if urlsplit(origin).netloc not in own - {""}:
        raise ForeignOrigin(origin)


OwnPostsOnly = Depends(refuse_foreign_posts)
