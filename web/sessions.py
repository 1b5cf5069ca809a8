"""Signed, short-lived cookies: who is looking at a page. No state on the server."""

from dataclasses import dataclass
from enum import StrEnum

from fastapi import Request, Response
from itsdangerous import BadSignature, URLSafeTimedSerializer

_SALT = "zhiyin-session"


class Door(StrEnum):
    """Which pages a session opens; one cookie each."""

    CONSOLE = "hq"
    WORKBENCH = "guide"
    MEMBER = "m"


_MAX_AGE_SECONDS = {Door.CONSOLE: 12 * 3600, Door.WORKBENCH: 12 * 3600, Door.MEMBER: 2 * 3600}


@dataclass(frozen=True, slots=True)
class Sessions:
    """Writes and reads session cookies with the deployment's secret."""

    secret: str
    is_https: bool

    def open(self, response: Response, door: Door, person_id: int) -> None:
        """Let `person_id` in at `door`."""
        response.set_cookie(
            f"zhiyin_{door}",
            self._signer(door).dumps(person_id),
            max_age=_MAX_AGE_SECONDS[door],
            httponly=True,
            samesite="lax",
            secure=self.is_https,
            path=f"/{door}",
        )

    def close(self, response: Response, door: Door) -> None:
        """Show the person out."""
        response.delete_cookie(f"zhiyin_{door}", path=f"/{door}")

    def person(self, request: Request, door: Door) -> int | None:
        """Who came in at `door`, while the cookie is genuine and young enough."""
        cookie = request.cookies.get(f"zhiyin_{door}")
        if cookie is None:
            return None
        try:
            person_id = self._signer(door).loads(cookie, max_age=_MAX_AGE_SECONDS[door])
        except BadSignature:
            return None
        return person_id if isinstance(person_id, int) else None

    def _signer(self, door: Door) -> URLSafeTimedSerializer:
        return URLSafeTimedSerializer(self.secret, salt=f"{_SALT}-{door}")
