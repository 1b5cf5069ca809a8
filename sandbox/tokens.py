"""Access tokens of both platforms: who holds which, until when (wechat-oa.md §7, wecom.md §2.1)."""

import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sandbox.refusals import ApiError

LIFETIME = timedelta(seconds=7200)
# A token that was replaced at `/cgi-bin/token` works this much longer (wechat-oa.md §7.1).
OVERLAP = timedelta(minutes=5)
_TOKEN_CHARACTERS = 96


@dataclass
class Token:
    """One access token. `dead_at` is when a newer one has replaced it for good."""

    value: str
    owner: str
    expires_at: datetime
    dead_at: datetime | None = None


@dataclass
class TokenBook:
    """All tokens given out, and the newest of each owner and kind."""

    tokens: dict[str, Token] = field(default_factory=dict)
    newest: dict[tuple[str, str], Token] = field(default_factory=dict)

    def issue(self, owner: str, *, kind: str, now: datetime) -> Token:
        """A fresh token for an owner; the ones before it live on as the caller decides."""
        token = Token(secrets.token_urlsafe(_TOKEN_CHARACTERS), owner, now + LIFETIME)
        self.tokens[token.value] = token
        self.newest[owner, kind] = token
        return token

    def current(self, owner: str, *, kind: str, now: datetime) -> Token | None:
        """The newest living token of an owner and kind."""
        token = self.newest.get((owner, kind))
        return token if token and _is_alive(token, now) else None

    def expire(self, value: str, *, now: datetime) -> None:
        """End a token early, as the platform may."""
        if value in self.tokens:
            self.tokens[value].expires_at = now

    def owner_of(self, value: str | None, *, now: datetime) -> str:
        """Who holds this token. Refuses 41001, 40014, 40001 and 42001."""
        if not value:
            raise ApiError(41001)
        token = self.tokens.get(value)
        if token is None:
            raise ApiError(40014)
        if token.dead_at is not None and token.dead_at <= now:
            raise ApiError(40001)
        if token.expires_at <= now:
            raise ApiError(42001)
        return token.owner


def _is_alive(token: Token, now: datetime) -> bool:
    return token.expires_at > now and (token.dead_at is None or token.dead_at > now)
