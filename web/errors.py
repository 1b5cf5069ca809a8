"""Turns refusals into answers: problem+json for the API, a friendly page for people."""

import logging
import re
from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from sqlalchemy.exc import DataError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from content.phrases import of_refusal
from store.errors import Exhausted, NotAllowed, NotFound, Refusal, WrongState, whereabouts
from web.pages import page

log = logging.getLogger(__name__)

_STATUS: dict[type[Refusal], HTTPStatus] = {
    NotFound: HTTPStatus.NOT_FOUND,
    NotAllowed: HTTPStatus.FORBIDDEN,
    WrongState: HTTPStatus.CONFLICT,
    Exhausted: HTTPStatus.CONFLICT,
}
# Refusals of what an outside system hands in begin with the field that they are about.
_NAMES_FIELD = re.compile(r"([a-z_]+(?:\[\d+\])?(?:\.[a-z_]+)*): ")
_FIELD_OF_NOUN = {
    "member": "member",
    "coupon": "coupon_code",
    "refund": "external_id",
    "points": "points",
}


def status_of(refusal: Refusal) -> HTTPStatus:
    """The HTTP status of a refusal's family."""
    return next(
        (status for family, status in _STATUS.items() if isinstance(refusal, family)),
        HTTPStatus.UNPROCESSABLE_ENTITY,
    )


def code_of(refusal: Refusal) -> str:
    """A stable code: the class name in snake case."""
    name = type(refusal).__name__
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")


def field_of(refusal: Refusal) -> str | None:
    """The field that a refusal names, or that its noun goes by: acts say what, not where from."""
    if (found := _NAMES_FIELD.match(str(refusal))) is not None:
        return found[1]
    about = f"{code_of(refusal)} {getattr(refusal, 'noun', '')}"
    return next((field for noun, field in _FIELD_OF_NOUN.items() if noun in about), None)


def problem(status: int, code: str, detail: str, **more: object) -> JSONResponse:
    """An RFC 9457 problem document."""
    body = {"type": "about:blank", "status": status, "code": code, "detail": detail, **more}
    return JSONResponse(body, status_code=status, media_type="application/problem+json")


def _is_api(request: Request) -> bool:
    return request.url.path.startswith("/api/")


def _sorry(request: Request, kind: str, *, status_code: int, words: str = "") -> Response:
    """The page for people; members get it in the look of their own pages."""
    name = "member/sorry.html" if request.url.path.startswith("/m/") else "sorry.html"
    return page(request, name, status_code=status_code, kind=kind, words=words)


def _refused(request: Request, refusal: Exception) -> Response:
    assert isinstance(refusal, Refusal)
    if _is_api(request):
        field = field_of(refusal)
        more = {"field": field} if field else {}
        return problem(status_of(refusal), code_of(refusal), str(refusal), **more)
    kind = "missing" if isinstance(refusal, NotFound) else "refused"
    words = of_refusal(refusal)
    return _sorry(request, kind, status_code=status_of(refusal), words=words)


def first_problem(error: RequestValidationError | ValidationError) -> tuple[str, str]:
    """Field and sentence of the first thing wrong with an input."""
    found = error.errors()[0]
    return ".".join(str(part) for part in found["loc"]), str(found["msg"])


def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError | ValidationError)
    field, sentence = first_problem(error)
    if _is_api(request):
        return problem(422, "invalid_input", f"{field}: {sentence}", field=field)
    return _sorry(request, "invalid", status_code=422)


def _unkept(request: Request, error: Exception) -> Response:
    """The database cannot hold what was sent: a NUL in a text, a number out of all bounds."""
    log.warning("refused by the database: %s", whereabouts(error))
    if _is_api(request):
        sentence = "Some text or number in the request cannot be kept; send it without."
        return problem(422, "invalid_input", sentence)
    return _sorry(request, "invalid", status_code=422)


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == HTTPStatus.SEE_OTHER:
        # A dependency sends a browser to the log-in.
        return Response(status_code=error.status_code, headers=error.headers)
    if _is_api(request):
        code = HTTPStatus(error.status_code).name.lower()
        answer = problem(error.status_code, code, error.detail)
        answer.headers.update(error.headers or {})
        return answer
    kind = "missing" if error.status_code == HTTPStatus.NOT_FOUND else "failed"
    return _sorry(request, kind, status_code=error.status_code)


def _broken(request: Request, error: Exception) -> Response:
    # The route, not the path asked for: that holds the token of a gift.
    route = getattr(request.scope.get("route"), "path", "no route")
    log.error("request failed: %s %s: %s", request.method, route, whereabouts(error))
    if _is_api(request):
        return problem(500, "internal_error", "Something broke here; the request changed nothing.")
    return _sorry(request, "broken", status_code=500)


class Discreet:
    """Answers what breaks, and ends it here: the server would log it with all its words."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        has_begun = False

        async def sending(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception as error:
            if scope["type"] != "http":
                raise
            answer = _broken(Request(scope), error)
            if not has_begun:
                await answer(scope, receive, send)


def install(app: FastAPI) -> None:
    """Register the handlers."""
    app.add_middleware(Discreet)
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(ValidationError, _invalid)
    app.add_exception_handler(DataError, _unkept)
    app.add_exception_handler(HTTPException, _http_error)
