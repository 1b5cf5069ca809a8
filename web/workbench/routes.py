"""The guide's workbench at `/guide`, opened from WeCom cards: read and render, or act and go on."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from bot.calls import ApiError
from guide_tasks import progress, results
from store.accounts import Platform
from web import oauth
from web.deps import PartsDep
from web.entry import DoorRoute, first_account
from web.origin import OwnPostsOnly
from web.pages import page
from web.sessions import Door
from web.workbench import (
    customers_page,
    notes_page,
    opportunities_page,
    results_page,
    sale_page,
    shop_tasks,
    sidebar_page,
    talks_page,
    task_list,
    task_routes,
    team_page,
)
from web.workbench.entry import DeskDep, guide_in_post

router = APIRouter(prefix="/guide", route_class=DoorRoute, dependencies=[OwnPostsOnly])
for part in (
    task_routes,
    talks_page,
    notes_page,
    customers_page,
    opportunities_page,
    team_page,
    sale_page,
    sidebar_page,
):
    router.include_router(part.router)


@router.get("/login/back")
def come_back(request: Request, parts: PartsDep) -> Response:
    """WeCom sends the guide back with a code that says who it is."""
    try:
        code, wanted = oauth.finish(parts, request, Door.WORKBENCH)
        with parts.database.transaction() as session:
            app = first_account(session, Platform.WECOM)
        userid = parts.wecom.of(app).userid(code)
    except (oauth.LoginBroken, ApiError):
        return page(request, "workbench/no_login.html", status_code=403)
    with parts.database.transaction() as session:
        guide = guide_in_post(session, userid) if userid else None
    if guide is None:
        return page(request, "workbench/stranger.html", status_code=403)
    response = _to(wanted)
    parts.sessions.open(response, Door.WORKBENCH, guide.id)
    return response


@router.get("")
def show_today(
    desk: DeskDep, after: str | None = None, did: str | None = None, *, later: bool = False
) -> Response:
    """Today's tasks, or those put off; `did` is the task that the guide has just dealt with."""
    scope = task_list.today(desk.guide.id, zone=desk.zone, now=desk.now)
    listed = task_list.put_off(desk.guide.id, now=desk.now) if later else scope
    return page(
        desk.request,
        "workbench/today.html",
        guide=desk.guide,
        day=task_list.day(desk.session, scope),
        aside=shop_tasks.aside(desk.session, desk.guide, now=desk.now),
        tasks=task_list.read(desk.session, listed, after),
        later=later,
        did=task_routes.did(desk, did),
        now=desk.now,
    )


@router.get("/shop")
def show_shop_tasks(desk: DeskDep, after: str | None = None, *, late: bool = False) -> Response:
    """Tasks of the shop that nobody has taken; `late` tells that a colleague was faster."""
    return page(
        desk.request,
        "workbench/shop.html",
        tasks=shop_tasks.read(desk.session, desk.guide, after, now=desk.now),
        late=late,
        now=desk.now,
    )


@router.get("/a/{token}")
def show_assignment(token: str, desk: DeskDep, after: str | None = None) -> Response:
    """What the card opens: the guide's share of one campaign."""
    assignment = progress.open_assignment(desk.session, token, desk.guide.id, now=desk.now)
    scope = task_list.of_assignment(assignment, zone=desk.zone, now=desk.now)
    return page(
        desk.request,
        "workbench/assignment.html",
        share=task_list.share(desk.session, assignment),
        day=task_list.day(desk.session, scope),
        tasks=task_list.read(desk.session, scope, after),
        now=desk.now,
    )


@router.get("/results")
def show_results(desk: DeskDep, after: str | None = None) -> Response:
    """What the guide's care has earned."""
    return page(
        desk.request,
        "workbench/results.html",
        guide=desk.guide,
        result=results.of_guide(desk.session, desk.guide.id),
        rank=sale_page.rank(desk.session, desk.guide, now=desk.now),
        sales=results_page.read(desk.session, desk.guide.id, after),
    )


def _to(place: str) -> Response:
    return RedirectResponse(place, status_code=303)
