"""The guide's workbench at `/guide`, opened from WeCom cards: read and render, or act and go on."""

from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from bot.calls import ApiError
from guide_tasks import progress, results
from store.accounts import Platform
from store.campaigns import CareTask
from store.errors import NotFound
from web import oauth
from web.deps import PartsDep
from web.entry import DoorRoute, first_account
from web.origin import OwnPostsOnly
from web.pages import page
from web.sessions import Door
from web.workbench import acts, results_page, standing, talks_page, task_list, task_page
from web.workbench.entry import Desk, DeskDep, guide_in_post
from web.workbench.standing import Standing

router = APIRouter(prefix="/guide", route_class=DoorRoute, dependencies=[OwnPostsOnly])
router.include_router(talks_page.router)


class SkipReason(StrEnum):
    """Why a guide leaves a member alone; their words stand in the template."""

    IN_TOUCH = "in_touch"
    JUST_BOUGHT = "just_bought"
    NOT_SUITABLE = "not_suitable"
    NOT_NOW = "not_now"
    OTHER = "other"


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
def show_today(desk: DeskDep, after: str | None = None, did: str | None = None) -> Response:
    """Today's tasks; `did` is the task that the guide has just dealt with."""
    scope = _today(desk)
    return page(
        desk.request,
        "workbench/today.html",
        guide=desk.guide,
        day=task_list.day(desk.session, scope),
        tasks=task_list.read(desk.session, scope, after),
        did=_did(desk, did),
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


@router.get("/t/{token}")
def show_task(token: str, desk: DeskDep, did: str | None = None) -> Response:
    """One task."""
    task = progress.task_of_guide(desk.session, token, desk.guide.id)
    progress.see(desk.session, task, now=desk.now)
    return _task_page(desk, task, did=did)


@router.post("/t/{token}/send")
def send(token: str, desk: DeskDep, text: Annotated[str | None, Form()] = None) -> Response:
    """Send, in the edited words if they came along."""
    try:
        task = acts.send(desk.session, desk.guide, token, text=text, now=desk.now)
    except progress.BadText as refusal:
        return _refused_words(desk, token, text or "", refusal)
    return _go_on(desk, task)


@router.post("/t/{token}/edit")
def edit(token: str, desk: DeskDep, text: Annotated[str, Form()] = "") -> Response:
    """Keep the edited words."""
    try:
        task = acts.edit(desk.session, desk.guide, token, text=text, now=desk.now)
    except progress.BadText as refusal:
        return _refused_words(desk, token, text, refusal)
    return _to(f"/guide/t/{task.token}?did={task.token}")


@router.post("/t/{token}/skip")
def skip(token: str, desk: DeskDep, why: Annotated[SkipReason, Form()]) -> Response:
    """Leave this member alone."""
    task = acts.skip(desk.session, desk.guide, token, why=why, now=desk.now)
    return _go_on(desk, task)


@router.get("/t/{token}/{act}")
def back_to_task(token: str, act: str) -> Response:
    """A post that had to log in first comes back as a read: the guide looks and taps again."""
    del act
    return _to(f"/guide/t/{token}")


@router.get("/results")
def show_results(desk: DeskDep, after: str | None = None) -> Response:
    """What the guide's care has earned."""
    return page(
        desk.request,
        "workbench/results.html",
        guide=desk.guide,
        result=results.of_guide(desk.session, desk.guide.id),
        sales=results_page.read(desk.session, desk.guide.id, after),
    )


def _task_page(
    desk: Desk,
    task: CareTask,
    *,
    did: str | None = None,
    typed: str | None = None,
    refusal: progress.BadText | None = None,
) -> Response:
    """The task; `typed` are words that `refusal` did not take, to be mended on the page."""
    view = task_page.read(desk.session, task, now=desk.now)
    return page(
        desk.request,
        "workbench/task.html",
        status_code=200 if refusal is None else 422,
        task=view,
        text=view.text if typed is None else typed,
        refusal=refusal,
        skip_reasons=list(SkipReason),
        did=_did(desk, did),
        did_this=did == task.token,
        now=desk.now,
    )


def _refused_words(desk: Desk, token: str, typed: str, refusal: progress.BadText) -> Response:
    task = progress.task_of_guide(desk.session, token, desk.guide.id)
    return _task_page(desk, task, typed=typed, refusal=refusal)


def _today(desk: Desk) -> task_list.Scope:
    return task_list.today(desk.guide.id, zone=desk.zone, now=desk.now)


def _go_on(desk: Desk, task: CareTask) -> Response:
    """To the next open task, or back to the list, with a sentence about the last one."""
    desk.session.flush()
    following = task_list.next_open(desk.session, _today(desk))
    place = f"/guide/t/{following}" if following else "/guide"
    return _to(f"{place}?did={task.token}")


def _did(desk: Desk, token: str | None) -> Standing | None:
    """How the task of the last act stands; a strange token says nothing."""
    if token is None:
        return None
    try:
        task = progress.task_of_guide(desk.session, token, desk.guide.id)
    except NotFound:
        return None
    return standing.of_task(desk.session, task)


def _to(place: str) -> Response:
    return RedirectResponse(place, status_code=303)
