"""The toolbar of a chat at `/guide/sidebar`: the client says who the friend is, we say the rest.

A page without words of ours: its script asks the client for the friend and then here for the part
about them. What is to be sent is asked for first, and told of after.
"""

from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import JSONResponse

from bot.calls import ApiError
from bot.wecom.jsapi import TicketKind
from guide_tasks import progress, sidebar
from guide_tasks.sidebar import Begun, Report, Told
from store.accounts import Platform
from store.errors import WrongState
from web.deps import NowDep, PartsDep
from web.entry import DoorRoute, first_account
from web.pages import page, rendered
from web.workbench import acts
from web.workbench import sidebar as view
from web.workbench.entry import Desk, DeskDep, desk_of
from web.workbench.sidebar import Said

router = APIRouter(prefix="/sidebar", route_class=DoorRoute)
_PART, _PLACE = "workbench/_sidebar.html", "/guide/sidebar"
_LONGEST_ID, _LONGEST_URL, _LONGEST_WHY = 64, 2048, 120
_SAID = {Told.OK: Said.SENT, Told.CANCEL: Said.CANCELLED, Told.ERROR: Said.REFUSED}
Customer = Annotated[str, Form(max_length=_LONGEST_ID)]


@router.get("")
def show_sidebar(desk: DeskDep, parts: PartsDep) -> Response:
    """The frame; outside WeCom it says where to open it."""
    app = first_account(desk.session, Platform.WECOM)
    sdk = parts.settings.wecom_sdk_url
    return page(desk.request, "workbench/sidebar.html", app=app, sdk=sdk)


@router.get("/sign")
def sign(
    request: Request,
    parts: PartsDep,
    now: NowDep,
    kind: TicketKind,
    url: Annotated[str, Query(max_length=_LONGEST_URL)],
) -> Response:
    """Sign this page, and no other, for the client; 503 while WeCom gives no ticket."""
    with parts.database.transaction() as session:
        desk_of(request, parts, session, now)
        app = first_account(session, Platform.WECOM)
    if url.partition("#")[0].partition("?")[0] != f"{parts.settings.public_url}{_PLACE}":
        return Response(status_code=403)
    try:
        found = parts.wecom.of(app).tickets.sign(kind, url, now=now)
    except ApiError:
        return Response(status_code=503)
    shown = {"timestamp": found.timestamp, "nonceStr": found.nonce, "signature": found.signature}
    return JSONResponse(shown, headers={"Cache-Control": "no-store"})


@router.get("/with/{external_userid}")
def show_friend(external_userid: str, desk: DeskDep) -> Response:
    """The part about the friend of the chat."""
    app = first_account(desk.session, Platform.WECOM)
    found = view.read(desk.session, desk.guide, app, external_userid, now=desk.now)
    return page(desk.request, _PART, view=found, said=None, typed=None, now=desk.now)


@router.post("/{token}/send")
def send(
    token: str,
    desk: DeskDep,
    customer: Customer = "",
    text: Annotated[str | None, Form()] = None,
) -> Response:
    """Whether these words may go to the customer of the chat now; twice is once."""
    progress.task_of_guide(desk.session, token, desk.guide.id)
    app = first_account(desk.session, Platform.WECOM)
    member = view.member_of(desk.session, desk.guide, app, customer)
    if member is None:
        return _answer(desk, customer, said=Said.OTHER_CHAT)
    try:
        begun = acts.begin_in_chat(
            desk.session, desk.guide, token, to=member, text=text, now=desk.now
        )
    except progress.BadText as refusal:
        bad = Said.TOO_LONG if refusal.size else Said.EMPTY
        return _answer(desk, customer, said=bad, typed=text)
    except WrongState:
        return _answer(desk, customer, said=Said.OVER)
    said = Said.OTHER_CHAT if begun is None else None
    return _answer(desk, customer, begun=begun, said=said)


@router.post("/{token}/told")
def told(
    token: str,
    desk: DeskDep,
    how: Annotated[Told, Form()],
    turn: Annotated[int, Form(ge=0)] = 0,
    customer: Customer = "",
    why: Annotated[str, Form()] = "",
) -> Response:
    """What became of it: the client's answer, or later the guide's own word."""
    task = progress.own_locked(desk.session, token, desk.guide.id)
    report = Report(how, turn, why[:_LONGEST_WHY])
    sidebar.tell(desk.session, task, report, actor=f"guide:{desk.guide.userid}", now=desk.now)
    return _answer(desk, customer, said=_SAID[how])


def _answer(
    desk: Desk,
    customer: str,
    *,
    begun: Begun | None = None,
    said: Said | None = None,
    typed: str | None = None,
) -> Response:
    """The words to send, if any, and the part as it stands now."""
    desk.session.flush()
    app = first_account(desk.session, Platform.WECOM)
    found = view.read(desk.session, desk.guide, app, customer, now=desk.now)
    part = rendered(desk.request, _PART, view=found, said=said, typed=typed, now=desk.now)
    words, turn = (begun.words, begun.turn) if begun is not None else (None, 0)
    return JSONResponse({"words": words, "turn": turn, "part": part})
