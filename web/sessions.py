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

    def open(self, response: Response, door: Door, person_id: int, *, mark: str = "") -> None:
        """Let `person_id` in at `door`; a `mark` is shown again with each request."""
        response.set_cookie(
            f"zhiyin_{door}",
            self.ticket(door, person_id, mark=mark),
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
        found = self._shown(request, door)
        return found if isinstance(found, int) else None

    def marked(self, request: Request, door: Door) -> tuple[int, str] | None:
        """The same where the session has a mark: who, and the mark."""
        match self._shown(request, door):
            case [int(person_id), str(mark)]:
                return person_id, mark
            case _:
                return None

    def ticket(self, door: Door, person_id: int, *, mark: str = "") -> str:
        """What the cookie holds."""
        return str(self._signer(door).dumps([person_id, mark] if mark else person_id))

    def _shown(self, request: Request, door: Door) -> object:
        cookie = request.cookies.get(f"zhiyin_{door}")
        if cookie is None:
            return None
        try:
            return self._signer(door).loads(cookie, max_age=_MAX_AGE_SECONDS[door])
        except BadSignature:
            return None

    def _signer(self, door: Door) -> URLSafeTimedSerializer:
        return URLSafeTimedSerializer(self.secret, salt=f"{_SALT}-{door}")
