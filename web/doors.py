"""The callback doors of WeChat and WeCom: HTTP in, text out; everything else is the bot's."""

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import partial

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from bot.envelope import MAX_BODY_BYTES
from bot.fields import BadCallback
from bot.inbox import Busy
from bot.wechat import express
from bot.wechat import inbound as wechat
from bot.wechat.express import Question
from bot.wechat.push import open_known, open_push
from bot.wecom import inbound as wecom
from store.accounts import UnknownAccount
from web.deps import PartsDep
from web.lane import Lane
from web.parts import Parts

log = logging.getLogger(__name__)
router = APIRouter()

_REFUSED, _BUSY = 403, 503


@router.get("/wechat/{account}")
def verify_wechat(account: str, request: Request, parts: PartsDep) -> Response:
    """WeChat asks whether this door is ours."""
    return _answer(lambda: wechat.verify(parts.desk, account, _query(request), now=parts.clock()))


@router.get("/wecom/{app}")
def verify_wecom(app: str, request: Request, parts: PartsDep) -> Response:
    """WeCom asks whether this door is ours."""
    return _answer(lambda: wecom.verify(parts.desk, app, _query(request), now=parts.clock()))


@router.post("/wecom/{app}")
async def hear_wecom(app: str, request: Request, parts: PartsDep) -> Response:
    """Something happened in WeCom."""
    body = await _capped_body(request)
    if body is None:
        return Response(status_code=_REFUSED)
    desk, query, now = parts.desk, _query(request), parts.clock()
    hear = partial(wecom.receive, desk, app, query, body, now=now)
    return await run_in_threadpool(_answer, hear)


class WechatDoor:
    """`POST /wechat/{account}`: a member wrote or did something.

    A plain route, for the work of a framework's route is a third of that of an answer.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._express: dict[str, Lane[Question, str | None]] = defaultdict(
            lambda: Lane(lambda asked: express.answer_many(parts.desk, asked, now=parts.clock()))
        )

    async def __call__(self, request: Request) -> Response:
        """Answer one push."""
        body = await _capped_body(request)
        if body is None:
            return Response(status_code=_REFUSED)
        code, query = request.path_params["account"], _query(request)
        try:
            words = await self._words(code, query, body)
        except (BadCallback, UnknownAccount, Busy) as refusal:
            return _refused(refusal)
        return _said(words)

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


async def _capped_body(request: Request) -> bytes | None:
    """The body, or none as soon as it is larger than any real push."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            return None
    return bytes(body)


def _answer(act: Callable[[], str]) -> Response:
    try:
        return _said(act())
    except (BadCallback, UnknownAccount, Busy) as refusal:
        return _refused(refusal)


def _said(words: str) -> Response:
    return Response(words, media_type="text/plain; charset=utf-8")


def _refused(refusal: Exception) -> Response:
    if isinstance(refusal, Busy):
        return Response(status_code=_BUSY)
    log.warning("callback refused: %s", type(refusal).__name__)
    return Response(status_code=_REFUSED)


def _query(request: Request) -> Mapping[str, str]:
    return dict(request.query_params)
