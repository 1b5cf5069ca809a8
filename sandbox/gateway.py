"""The HTTP side of both API servers: read a call, misbehave if asked to, answer, write it down."""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol

from fastapi import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from sandbox.refusals import Answer, ApiError
from sandbox.state import Push, Switch, World
from sandbox.tokens import TokenBook
from store import clock

_SECRET_FIELDS = frozenset({"access_token", "secret", "corpsecret", "appsecret", "refresh_token"})


@dataclass(frozen=True)
class Call:
    """One API call as it came in."""

    method: str
    path: str
    query: dict[str, str]
    body: dict[str, Any]
    ip: str
    now: datetime
    is_bad_json: bool = False
    is_empty: bool = False
    is_escaped: bool = False

    def text(self, name: str) -> str:
        """A field of the body as text, empty when missing."""
        value = self.body.get(name)
        return "" if value is None else str(value)

    def part(self, name: str) -> dict[str, Any]:
        """A field of the body that is an object, empty when missing or something else."""
        value = self.body.get(name)
        return value if isinstance(value, dict) else {}


@dataclass(frozen=True)
class Endpoint:
    """A path of the API: its method and the function that answers it."""

    method: str
    act: Callable[..., Answer]
    needs_token: bool = field(default=True)


class ApiServer(Protocol):
    """What the gateway needs of a server."""

    name: str

    @property
    def tokens(self) -> TokenBook:
        """Its access tokens."""
        ...

    def answer(self, call: Call) -> Answer:
        """The answer, or an `ApiError`."""
        ...

    def begin(self, call: Call) -> ApiError | None:
        """A call is under way; the refusal, if there are too many at once."""
        ...

    def end(self, call: Call) -> None:
        """A call is over."""
        ...

    def refusal(self, error: ApiError, call: Call) -> Answer:
        """A refusal in this platform's words."""
        ...

    def take_pushes(self) -> list[Push]:
        """Callbacks that this call has caused."""
        ...


class BrokenConnection(Response):
    """Promises a body and never sends it, so that the caller sees the connection break."""

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Send the head and one byte; the web server then gives up on the rest and closes."""
        headers = [(b"content-type", b"application/json"), (b"content-length", b"64")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"{", "more_body": True})


async def answer_http(
    request: Request, path: str, *, server: ApiServer, world: World
) -> tuple[Response, list[Push]]:
    """Answer one call and tell which callbacks it has caused."""
    call = await _read(request, path)
    switch = world.take_switch(server.name, path, _owner(call, server))
    too_many = server.begin(call)
    try:
        if too_many is not None:
            return JSONResponse(server.refusal(too_many, call)), []
        return await _answered(call, switch, server=server, world=world)
    finally:
        server.end(call)


async def _answered(
    call: Call, switch: Switch | None, *, server: ApiServer, world: World
) -> tuple[Response, list[Push]]:
    if switch is not None and switch.how in {"slow", "hang"}:
        await asyncio.sleep(switch.seconds)
        call = replace(call, now=clock.now())
    if switch is not None and switch.how in {"hang", "down"}:
        _note(world, server.name, call, {}, switch)
        return BrokenConnection() if switch.how == "hang" else _bad_gateway(), []
    answer = _answer(call, server=server, switch=switch)
    _note(world, server.name, call, answer, switch)
    if switch is not None and switch.how == "drop":
        return BrokenConnection(), server.take_pushes()
    return JSONResponse(answer), server.take_pushes()


def _bad_gateway() -> Response:
    return Response("<html><body>502 Bad Gateway</body></html>", 502, media_type="text/html")


def _owner(call: Call, server: ApiServer) -> str:
    """Whose call it is, by its token or by the account that it names."""
    token = server.tokens.tokens.get(call.query.get("access_token", ""))
    return token.owner if token else str(call.query.get("appid") or call.body.get("appid") or "")


def _answer(call: Call, *, server: ApiServer, switch: Switch | None) -> Answer:
    if switch is not None and switch.how == "error":
        return server.refusal(ApiError(switch.code), call)
    try:
        if switch is not None and switch.how == "expired_token":
            server.tokens.expire(call.query.get("access_token", ""), now=call.now)
        return server.answer(call)
    except ApiError as error:
        return server.refusal(error, call)


async def _read(request: Request, path: str) -> Call:
    raw = await request.body()
    body, is_bad = _parse(raw)
    ip = request.client.host if request.client else "127.0.0.1"
    query = dict(request.query_params)
    now, is_escaped = clock.now(), b"\\u" in raw
    return Call(request.method, path, query, body, ip, now, is_bad, not raw, is_escaped)


def _parse(raw: bytes) -> tuple[dict[str, Any], bool]:
    """The JSON object of a body whatever its Content-Type: wechatpy sends none."""
    if not raw:
        return {}, False
    try:
        body = json.loads(raw)
    except ValueError:
        return {}, True
    return (body, False) if isinstance(body, dict) else ({}, True)


def _note(world: World, server: str, call: Call, answer: Answer, switch: Switch | None) -> None:
    world.journal.note(
        "call",
        now=call.now,
        server=server,
        path=call.path,
        query=_without_secrets(call.query),
        body=_without_secrets(call.body),
        answer=_without_secrets(answer),
        misbehaved=switch.how if switch else None,
    )


def _without_secrets(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: "…" if name in _SECRET_FIELDS else value for name, value in values.items()}
