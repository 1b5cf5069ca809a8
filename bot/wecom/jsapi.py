"""Tickets and signatures with which a page speaks to the WeCom client (wecom.md §6.2).

`config` signs with the corp's ticket, `agentConfig` with the app's own; one of another app is
refused with 42012. So each app keeps its two tickets apart from those of all others.
"""

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from redis import Redis

from bot.access_tokens import AccessTokens, Fetch
from bot.calls import token_of

_NONCE_BYTES = 12


class TicketKind(StrEnum):
    """Whom a ticket stands for: the corp in `config`, the app in `agentConfig`."""

    CORP = "corp"
    AGENT = "agent"


# Where each is had, without `/cgi-bin/`.
_SOURCES: dict[TicketKind, tuple[str, dict[str, str]]] = {
    TicketKind.CORP: ("get_jsapi_ticket", {}),
    TicketKind.AGENT: ("ticket/get", {"type": "agent_config"}),
}
# Asks one endpoint of WeCom with the app's token.
Get = Callable[..., dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Signature:
    """What a page shows the client; `timestamp` is in seconds."""

    timestamp: int
    nonce: str
    signature: str


def sign(ticket: str, *, nonce: str, timestamp: int, url: str) -> str:
    """Lower-case hex of a page's signature; what follows a `#` is no part of the page."""
    page, _, _ = url.partition("#")
    words = f"jsapi_ticket={ticket}&noncestr={nonce}&timestamp={timestamp}&url={page}"
    return hashlib.sha1(words.encode()).hexdigest()  # noqa: S324 -- WeCom asks for SHA-1


class Tickets:
    """Both tickets of one app, shared by all processes, renewed by one of them at a time."""

    def __init__(self, redis: Redis, app: str, get: Get) -> None:
        self._tickets = {
            kind: AccessTokens(redis, f"{app}:{kind}_ticket", _fetching(get, path, params))
            for kind, (path, params) in _SOURCES.items()
        }

    def sign(self, kind: TicketKind, url: str, *, now: datetime) -> Signature:
        """Sign a page. Refuses with `NoToken` while no ticket can be had."""
        nonce, timestamp = secrets.token_urlsafe(_NONCE_BYTES), int(now.timestamp())
        ticket = self._tickets[kind].current()
        return Signature(timestamp, nonce, sign(ticket, nonce=nonce, timestamp=timestamp, url=url))


def _fetching(get: Get, path: str, params: dict[str, str]) -> Fetch:
    # A ticket has no forced renewal: WeCom gives the same one until it ends.
    return lambda _is_forced: token_of(lambda: get(path, **params), "ticket")
