"""The callback doors of WeChat and WeCom: HTTP in, text out; everything else is the bot's."""

import logging
from collections.abc import Callable, Mapping

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from bot.envelope import MAX_BODY_BYTES
from bot.fields import BadCallback
from bot.inbox import Busy
from bot.wechat import inbound as wechat
from bot.wecom import inbound as wecom
from store.accounts import UnknownAccount
from web.deps import PartsDep
from web.parts import Parts

log = logging.getLogger(__name__)
router = APIRouter()

_REFUSED, _BUSY = 403, 503
Receive = Callable[..., str]


@router.get("/wechat/{account}")
def verify_wechat(account: str, request: Request, parts: PartsDep) -> Response:
    """WeChat asks whether this door is ours."""
    return _answer(lambda: wechat.verify(parts.desk, account, _query(request), now=parts.clock()))


@router.get("/wecom/{app}")
def verify_wecom(app: str, request: Request, parts: PartsDep) -> Response:
    """WeCom asks whether this door is ours."""
    return _answer(lambda: wecom.verify(parts.desk, app, _query(request), now=parts.clock()))


@router.post("/wechat/{account}")
async def hear_wechat(account: str, request: Request, parts: PartsDep) -> Response:
    """A member wrote or did something."""
    return await _hear(wechat.receive, account, request, parts)


@router.post("/wecom/{app}")
async def hear_wecom(app: str, request: Request, parts: PartsDep) -> Response:
    """Something happened in WeCom."""
    return await _hear(wecom.receive, app, request, parts)


async def _hear(receive: Receive, code: str, request: Request, parts: Parts) -> Response:
    body = await _capped_body(request)
    if body is None:
        return Response(status_code=_REFUSED)
    desk, query, now = parts.desk, _query(request), parts.clock()
    return await run_in_threadpool(_answer, lambda: receive(desk, code, query, body, now=now))


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
        return Response(act(), media_type="text/plain; charset=utf-8")
    except (BadCallback, UnknownAccount) as refusal:
        log.warning("callback refused: %s", type(refusal).__name__)
        return Response(status_code=_REFUSED)
    except Busy:
        return Response(status_code=_BUSY)


def _query(request: Request) -> Mapping[str, str]:
    return dict(request.query_params)
