"""The busiest door, `POST /wechat/{account}`: a member wrote or did something.

It stands in front of the framework, whose stack around a route costs more than an answer
(docs/decisions/0008-express.md).
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Mapping
from http import HTTPStatus
from time import monotonic
from urllib.parse import parse_qsl

from fastapi.concurrency import run_in_threadpool
from sqlalchemy.exc import OperationalError
from starlette.types import Receive, Scope, Send

from bot.envelope import MAX_BODY_BYTES
from bot.fields import BadCallback
from bot.inbox import Busy
from bot.wechat import express
from bot.wechat import inbound as wechat
from bot.wechat.express import Question
from bot.wechat.push import open_known, open_push
from store.accounts import UnknownAccount
from store.errors import whereabouts
from web.doors import status_of
from web.lane import Lane
from web.parts import Parts

_log = logging.getLogger(__name__)

PREFIX = "/wechat/"
# WeChat asks again only where nobody answered for 5 s: any status but 200 is the end of a message,
# and the person reads that the account is broken (wechat-oa.md §3).
_PATIENCE_SECONDS = 5.5
_PAUSE_SECONDS = 0.5


class WechatDoor:
    """Answers pushes; what only asks goes down the express lane of its account.

    While the person's rows are locked, or the database is away, it tries again, until WeChat has
    hung up and asks again itself.
    """

    def __init__(self, parts: Parts, patience: float = _PATIENCE_SECONDS) -> None:
        self._parts, self._patience = parts, patience
        self._express: dict[str, Lane[Question, str | None]] = defaultdict(
            lambda: Lane(lambda asked: express.answer_many(parts.desk, asked, now=parts.clock()))
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one push."""
        status, words = await self._answer(scope, receive)
        body = words.encode()
        headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", str(len(body)).encode()),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: Scope, receive: Receive) -> tuple[HTTPStatus, str]:
        body = await _capped_body(receive)
        if body is None:
            return HTTPStatus.FORBIDDEN, ""
        query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
        code, until = scope["path"][len(PREFIX) :], monotonic() + self._patience
        while True:
            try:
                return HTTPStatus.OK, await self._words(code, query, body)
            except (BadCallback, UnknownAccount) as refusal:
                return status_of(refusal), ""
            except (Busy, OperationalError) as fault:
                if monotonic() >= until:
                    _log.error("A push was left to its next try: %s.", whereabouts(fault))
                    return HTTPStatus.SERVICE_UNAVAILABLE, ""
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _words(self, code: str, query: Mapping[str, str], body: bytes) -> str:
        desk, now = self._parts.desk, self._parts.clock()
        push = open_known(desk, code, query, body, now=now)
        if push is None:
            push = await run_in_threadpool(open_push, desk, code, query, body, now=now)
        question = express.question_in(desk, push)
        if question is not None:
            words = await self._express[code].put(question)
            if words is not None:
                return words
        return await run_in_threadpool(wechat.answer, desk, push, now=now)


async def _capped_body(receive: Receive) -> bytes | None:
    """The body, or none: as soon as it is larger than any real push, or nobody waits any more."""
    body: bytes = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            return None
        if not message.get("more_body", False):
            return body
