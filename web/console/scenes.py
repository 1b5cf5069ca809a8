"""`/hq/scenes`: the QR codes of shops, guides and campaigns, to make, to save and to print."""

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.responses import RedirectResponse

from store import scenes
from store.scene_subjects import SceneKind
from store.scenes import LONGEST_DAYS
from web import scene_prints
from web.console.access import HOME, ActorDep, OperatorDep
from web.deps import NowDep, SessionDep
from web.origin import OwnPostsOnly
from web.pages import page
from web.scene_prints import MEDIA, Chosen, drawn

router = APIRouter(prefix=f"{HOME}/scenes", dependencies=[OwnPostsOnly])
_PAGE, _SHEET = 50, 120
# One press asks for so many at most, so that the page answers soon; a second press goes on.
_AT_ONCE = 500


@router.get("")
def scenes_page(
    request: Request,
    operator: OperatorDep,
    session: SessionDep,
    now: NowDep,
    kind: SceneKind = SceneKind.SHOP,
    after: str = "",
) -> Response:
    """The codes of a kind, with who came by each."""
    prints, more = scene_prints.listed(session, Chosen(kind, after=after), limit=_PAGE)
    lacking = scenes.count_lacking(session, kind)
    facts: dict[str, Any] = {"kind": kind, "kinds": list(SceneKind), "now": now}
    facts |= {"prints": prints, "more": more, "lacking": lacking}
    return page(request, "console/scenes.html", operator=operator, **facts)


@router.post("")
def make_scenes(
    operator: ActorDep,
    session: SessionDep,
    now: NowDep,
    kind: Annotated[SceneKind, Form()],
    is_temporary: Annotated[bool, Form()] = False,
) -> Response:
    """Have a code made for every subject of a kind that has none."""
    del operator
    life_days = LONGEST_DAYS if is_temporary else None
    for about in scenes.lacking(session, kind, limit=_AT_ONCE):
        scenes.want(session, about, life_days=life_days, now=now)
    return _to(kind)


@router.post("/{token}/again")
def make_again(operator: ActorDep, session: SessionDep, now: NowDep, token: str) -> Response:
    """Have a code made anew that lapsed or was refused."""
    del operator
    scene = scenes.by_token(session, token)
    scenes.want_again(session, scene, life_days=scene.life_days, now=now)
    return _to(scene.kind)


@router.get("/sheet")
def sheet(
    request: Request,
    operator: OperatorDep,
    session: SessionDep,
    now: NowDep,
    chosen: Annotated[Chosen, Depends()],
) -> Response:
    """Good codes on A4, twelve a page, each with its name."""
    del operator
    prints, more = scene_prints.listed(session, chosen, limit=_SHEET)
    good = [(one, scene_prints.inline(one.url)) for one in prints if one.is_good(now)]
    return page(request, "console/scene_sheet.html", prints=good, more=more, chosen=chosen)


@router.get("/{token}.{form}")
def picture(
    operator: OperatorDep, session: SessionDep, token: str, form: scene_prints.Form
) -> Response:
    """One code as a file to keep."""
    del operator
    scene = scenes.ready(session, token)
    headers = {"Content-Disposition": f'attachment; filename="{scene.kind}-{token[:8]}.{form}"'}
    return Response(drawn(scene.url, form), media_type=MEDIA[form], headers=headers)


def _to(kind: SceneKind) -> Response:
    return RedirectResponse(f"{HOME}/scenes?kind={kind}", HTTPStatus.SEE_OTHER)
