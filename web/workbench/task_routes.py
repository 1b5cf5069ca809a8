"""One care task at `/guide/t/…`: look, write, send, put off, leave alone, take from the shop."""

from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Form, Response
from fastapi.responses import RedirectResponse

from content.tones import Tone
from guide_tasks import progress, tasks
from store.campaigns import CareTask
from store.errors import NotFound
from web.entry import DoorRoute
from web.member import picks_page
from web.pages import page
from web.workbench import acts, pauses, standing, task_list, task_page
from web.workbench.entry import Desk, DeskDep
from web.workbench.pauses import Pause
from web.workbench.standing import Standing

router = APIRouter(route_class=DoorRoute)


class SkipReason(StrEnum):
    """Why a guide leaves a member alone; their words stand in the template."""

    IN_TOUCH = "in_touch"
    JUST_BOUGHT = "just_bought"
    NOT_SUITABLE = "not_suitable"
    NOT_NOW = "not_now"
    OTHER = "other"


@router.get("/t/{token}")
def show_task(token: str, desk: DeskDep, did: str | None = None) -> Response:
    """One task."""
    task = progress.task_of_guide(desk.session, token, desk.guide.id)
    progress.see(desk.session, task, now=desk.now)
    return _task_page(desk, task, said=did)


@router.post("/t/{token}/send")
def send(token: str, desk: DeskDep, text: Annotated[str | None, Form()] = None) -> Response:
    """Send, in the edited words if they came along."""
    try:
        task = acts.send(desk.session, desk.guide, token, text=text, now=desk.now)
    except progress.BadText as refusal:
        return _refused_words(desk, token, text or "", refusal)
    return _go_on(desk, task)


@router.post("/t/{token}/told")
def told(token: str, desk: DeskDep, text: Annotated[str | None, Form()] = None) -> Response:
    """The guide has sent the words by hand."""
    try:
        task = acts.told(desk.session, desk.guide, token, text=text, now=desk.now)
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


@router.post("/t/{token}/keep")
def keep(token: str, desk: DeskDep, text: Annotated[str, Form()] = "") -> Response:
    """The page's script keeps what is being written, before the phone sleeps."""
    acts.keep(desk.session, desk.guide, token, text=text, now=desk.now)
    return Response(status_code=204)


@router.post("/t/{token}/tone")
def change_tone(token: str, desk: DeskDep, tone: Annotated[Tone, Form()]) -> Response:
    """Other words for the same."""
    task = acts.say_otherwise(desk.session, desk.guide, token, tone=tone, now=desk.now)
    return _to(f"/guide/t/{task.token}?did={task.token}#text")


@router.post("/t/{token}/skip")
def skip(token: str, desk: DeskDep, why: Annotated[SkipReason, Form()]) -> Response:
    """Leave this member alone."""
    task = acts.skip(desk.session, desk.guide, token, why=why, now=desk.now)
    return _go_on(desk, task)


@router.post("/t/{token}/snooze")
def snooze(token: str, desk: DeskDep, pause: Annotated[Pause, Form()]) -> Response:
    """Come back to this member later."""
    until = pauses.end_of(pause, zone=desk.zone, now=desk.now)
    task = acts.snooze(desk.session, desk.guide, token, until=until, now=desk.now)
    return _go_on(desk, task)


@router.post("/t/{token}/take")
def take(token: str, desk: DeskDep) -> Response:
    """Take a task of the shop; whoever comes second is told so."""
    try:
        task = tasks.take(desk.session, token, desk.guide, now=desk.now)
    except tasks.TakenAlready:
        return _to("/guide/shop?late=true")
    return _to(f"/guide/t/{task.token}")


@router.get("/t/{token}/picks")
def show_picks(token: str, desk: DeskDep) -> Response:
    """The list as the member sees it; the guide's own look is none of the member's."""
    task = progress.task_of_guide(desk.session, token, desk.guide.id)
    view = picks_page.read(desk.session, task)
    return page(desk.request, "member/picks.html", picks=view, preview=f"/guide/t/{token}")


@router.get("/t/{token}/{act}")
def back_to_task(token: str, act: str) -> Response:
    """A post that had to log in first comes back as a read: the guide looks and taps again."""
    return _to("/guide/shop" if act == "take" else f"/guide/t/{token}")


def did(desk: Desk, token: str | None) -> Standing | None:
    """How the task of the last act stands; a strange token says nothing."""
    if token is None:
        return None
    try:
        task = progress.task_of_guide(desk.session, token, desk.guide.id)
    except NotFound:
        return None
    return standing.of_task(desk.session, task)


def _task_page(
    desk: Desk,
    task: CareTask,
    *,
    said: str | None = None,
    typed: str | None = None,
    refusal: progress.BadText | None = None,
) -> Response:
    """The task; `typed` are words that `refusal` did not take, to be mended on the page."""
    view = task_page.read(desk.session, task, zone=desk.zone, now=desk.now)
    return page(
        desk.request,
        "workbench/task.html",
        status_code=200 if refusal is None else 422,
        task=view,
        text=view.text if typed is None else typed,
        refusal=refusal,
        skip_reasons=list(SkipReason),
        tones=list(Tone),
        did=did(desk, said),
        did_this=said == task.token,
        now=desk.now,
    )


def _refused_words(desk: Desk, token: str, typed: str, refusal: progress.BadText) -> Response:
    task = progress.task_of_guide(desk.session, token, desk.guide.id)
    return _task_page(desk, task, typed=typed, refusal=refusal)


def _go_on(desk: Desk, task: CareTask) -> Response:
    """To the next open task, or back to the list, with a sentence about the last one."""
    desk.session.flush()
    scope = task_list.today(desk.guide.id, zone=desk.zone, now=desk.now)
    following = task_list.next_open(desk.session, scope)
    place = f"/guide/t/{following}" if following else "/guide"
    return _to(f"{place}?did={task.token}")


def _to(place: str) -> Response:
    return RedirectResponse(place, status_code=303)
