"""`create_app`: one FastAPI app of doors, API and pages, working with the parts it is given."""

from collections import deque

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from fastapi.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from web import doors, errors, metrics, operations, reference
from web.api import orders as orders_api
from web.api import points_shop as points_shop_api
from web.api import scenes as scenes_api
from web.api import till
from web.console import budget as console_budget
from web.console import letters as console_letters
from web.console import members as console_members
from web.console import planning as console_planning
from web.console import policies as console_policies
from web.console import routes as console
from web.console import scenes as console_scenes
from web.member import bind_page, entry, preferences_page, privacy_page, profile_page, shops_page
from web.member import routes as member_pages
from web.pages import STATIC, make_templates
from web.parts import Parts
from web.seals import Sealed
from web.wechat_door import PREFIX, WechatDoor
from web.workbench import routes as workbench

API_PREFIX = "/api/v1"


class Face(FastAPI):
    """Pages, API and doors; members' pushes go past the framework."""

    door: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope.get("method") == "POST" and scope["path"].startswith(PREFIX):
            scope["app"] = self
            await self.door(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def create_app(parts: Parts) -> FastAPI:
    """The whole web face."""
    app = Face(
        title="Zhiyin",
        version="1",
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
    )
    app.door = errors.Discreet(WechatDoor(parts))
    app.state.parts = parts
    app.state.templates = make_templates(parts.zone)
    errors.install(app)
    entry.install(app)
    app.add_middleware(Sealed, parts.settings.oauth_url)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    for router in (doors.router, operations.router, metrics.router):
        app.include_router(router, include_in_schema=False)
    for router in (console.router, workbench.router):
        app.include_router(router, include_in_schema=False)
    hq = (console_planning, console_scenes, console_policies, console_members, console_budget)
    for own in (*hq, console_letters):
        app.include_router(own.router, include_in_schema=False)
    app.include_router(member_pages.router, include_in_schema=False)
    for own in (bind_page, profile_page, privacy_page, preferences_page, shops_page):
        app.include_router(own.router, include_in_schema=False)
    app.include_router(reference.router)
    for api in (orders_api.router, till.router, points_shop_api.router, scenes_api.router):
        app.include_router(api, prefix=API_PREFIX)
    return app


def warm(app: FastAPI) -> None:
    """Build all routes now; FastAPI would leave it to the first call, which would wait for it."""
    deque(iter_route_contexts(app.routes), maxlen=0)
