"""The sandbox as one web application: two API servers, the login page, the control API, the
phones.

Everything runs on one event loop in one process and lives in memory. Nothing here is WeChat or
WeCom.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles
from starlette.responses import Response

from sandbox import control, oauth, qr_codes, wecom_control
from sandbox.gateway import ApiServer, answer_http
from sandbox.phones import (
    consumer,
    consumer_acts,
    controls,
    guide_chats,
    pages,
    reference,
    rendering,
    sms_page,
)
from sandbox.push import Rules, new_client
from sandbox.register import Unknown
from sandbox.sms_server import sms_router
from sandbox.state import Journal, Push, World
from sandbox.talk import Pusher
from sandbox.wechat_server import WechatServer
from sandbox.wecom_server import WecomServer
from store import clock

_LOOPBACK = "127.0.0.1"
_STATIC = Path(__file__).parent / "phones" / "static"


def create_sandbox_app(world: World | None = None, *, rules: Rules | None = None) -> FastAPI:
    """The application; a test may bring its own world and its own patience."""
    world = world or World()

    @asynccontextmanager
    async def with_pusher(app: FastAPI) -> AsyncIterator[None]:
        async with new_client() as client:
            app.state.pusher = Pusher(world, client, rules)
            yield
            await _stop(app.state.carrying)

    # The framework's own pages load their script from the internet.
    app = FastAPI(
        title="Zhiyin sandbox (not WeChat)", lifespan=with_pusher, docs_url=None, redoc_url=None
    )
    app.state.world, app.state.carrying = world, set()
    _mount_server(app, WechatServer(world), world)
    _mount_server(app, WecomServer(world), world)
    # FastAPI builds the routes of a router when the first call passes by it. Who calls a platform
    # waits a second or two, so the platforms come before what people and tests look at.
    app.include_router(sms_router(world))
    app.add_api_route("/mp/cgi-bin/showqrcode", _show_code, methods=["GET"])
    app.add_api_route("/oauth/connect/oauth2/authorize", _authorize, methods=["GET"])
    app.add_exception_handler(Unknown, _unknown)
    app.include_router(control.router)
    app.include_router(wecom_control.router)
    for part in (pages, guide_chats, consumer, consumer_acts, controls, reference):
        app.include_router(part.router)
    app.mount("/phone/static", StaticFiles(directory=_STATIC), name="phone-static")
    app.include_router(sms_page.router)
    return app


def run(port: int, *, receipts: Path | None = None, log_level: str = "warning") -> None:
    """Serve the sandbox until stopped; on the loopback address, because nothing guards it."""
    world = World(journal=Journal(file=receipts))
    app = create_sandbox_app(world)
    uvicorn.run(app, host=_LOOPBACK, port=port, log_level=log_level, access_log=False)


def _mount_server(app: FastAPI, server: ApiServer, world: World) -> None:
    async def answer(request: Request, path: str) -> Response:
        response, pushes = await answer_http(request, path, server=server, world=world)
        _carry_later(app, pushes)
        return response

    prefix = f"/{server.name}/{{path:path}}"
    app.add_api_route(prefix, answer, methods=["GET", "POST"], include_in_schema=False)


def _carry_later(app: FastAPI, pushes: list[Push]) -> None:
    """Push after the answer, as a delivery report comes after the acceptance."""
    for push in pushes:
        task = asyncio.create_task(app.state.pusher.carry(push, now=clock.now()))
        app.state.carrying.add(task)
        task.add_done_callback(app.state.carrying.discard)


async def _stop(tasks: set[asyncio.Task[Any]]) -> None:
    for task in list(tasks):
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _authorize(request: Request) -> Response:
    """The login page: straight back with a code, or a page that says what is missing."""
    world: World = request.app.state.world
    person = request.cookies.get(oauth.PERSON_COOKIE, "")
    is_snapshot = oauth.SNAPSHOT_COOKIE in request.cookies
    try:
        target = oauth.authorize(
            world, request.query_params, person=person, is_snapshot=is_snapshot, now=clock.now()
        )
    except oauth.PageError as error:
        return pages.problem(request, error)
    except oauth.NobodyIsLoggedIn:
        return pages.who_are_you(request, is_corp=request.query_params["appid"].startswith("ww"))
    return RedirectResponse(target, status_code=302)


async def _show_code(request: Request, ticket: str) -> Response:
    """What mp.weixin.qq.com shows for the ticket of a parametric code."""
    found = qr_codes.picture(request.app.state.world, ticket)
    return Response(found, media_type="image/png") if found else Response(status_code=404)


async def _unknown(request: Request, error: Exception) -> Response:
    if request.url.path.startswith("/phone/"):
        return rendering.page("gone.html", status=404)
    return JSONResponse({"error": str(error)}, status_code=404)
