"""`create_app`: one FastAPI app of doors, API and pages, working with the parts it is given."""

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from web import doors, errors, operations, reference
from web.api import orders as orders_api
from web.api import points_shop as points_shop_api
from web.api import scenes as scenes_api
from web.api import till
from web.console import routes as console
from web.console import scenes as console_scenes
from web.member import bind_page, preferences_page, privacy_page, profile_page, shops_page
from web.member import routes as member_pages
from web.pages import STATIC, make_templates
from web.parts import Parts
from web.workbench import routes as workbench

API_PREFIX = "/api/v1"


def create_app(parts: Parts) -> FastAPI:
    """The whole web face."""
    app = FastAPI(
        title="Zhiyin",
        version="1",
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
    )
    app.state.parts = parts
    app.state.templates = make_templates(parts.zone)
    errors.install(app)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.add_route("/wechat/{account}", doors.WechatDoor(parts).__call__, methods=["POST"])
    for router in (doors.router, operations.router, console.router, workbench.router):
        app.include_router(router, include_in_schema=False)
    app.include_router(console_scenes.router, include_in_schema=False)
    app.include_router(member_pages.router, include_in_schema=False)
    for own in (bind_page, profile_page, privacy_page, preferences_page, shops_page):
        app.include_router(own.router, include_in_schema=False)
    app.include_router(reference.router)
    for api in (orders_api.router, till.router, points_shop_api.router, scenes_api.router):
        app.include_router(api, prefix=API_PREFIX)
    return app
