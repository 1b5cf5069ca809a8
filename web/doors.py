"""The doors of WeChat, WeCom and the SMS provider: HTTP in, text out; all else is the bot's.

Members' pushes come in by web/wechat_door.py.
"""

import logging
from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from bot import sms_inbound
from bot.envelope import MAX_BODY_BYTES
from bot.fields import BadCallback
from bot.inbox import Busy
from bot.wechat import inbound as wechat
from bot.wecom import inbound as wecom
from store.accounts import UnknownAccount
from web.deps import PartsDep

log = logging.getLogger(__name__)
router = APIRouter()


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
        return Response(status_code=HTTPStatus.FORBIDDEN)
    desk, query, now = parts.desk, _query(request), parts.clock()
    hear = partial(wecom.receive, desk, app, query, body, now=now)
    return await run_in_threadpool(_answer, hear)


@router.post("/sms/{account}")
async def hear_sms(account: str, request: Request, parts: PartsDep) -> Response:
    """The SMS provider says what became of a message, or what somebody answered."""
    body = await _capped_body(request)
    if body is None:
        return Response(status_code=HTTPStatus.FORBIDDEN)
    hear = partial(
        sms_inbound.receive,
        parts.desk,
        parts.sms,
        account,
        path=request.url.path,
        headers=request.headers,
        body=body,
        now=parts.clock(),
    )
    return await run_in_threadpool(_answer, hear)


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
        return Response(status_code=status_of(refusal))


def _said(words: str) -> Response:
    return Response(words, media_type="text/plain; charset=utf-8")


def status_of(refusal: Exception) -> HTTPStatus:
    """The bare status that a callback is refused with; WeCom comes again when we are busy."""
    if isinstance(refusal, Busy):
        return HTTPStatus.SERVICE_UNAVAILABLE
    log.warning("callback refused: %s", type(refusal).__name__)
    return HTTPStatus.FORBIDDEN


def _query(request: Request) -> Mapping[str, str]:
    return dict(request.query_params)
