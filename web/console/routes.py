"""The HQ console at `/hq`: log-in, the campaigns, a new one, and one of them up close."""

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from guide_tasks import campaigns, launch
from store.campaigns import Campaign, CampaignState
from store.db import Session
from store.organisation import check_password
from web.console import choices, comparison, naming, throttle, views
from web.console.access import HOME, LOGIN, OperatorDep, own_page
from web.console.drafting import again, copy_of, preview, save, start
from web.console.forms import FilledIn
from web.deps import NowDep, PartsDep, SessionDep
from web.origin import OwnPostsOnly
from web.pages import page
from web.sessions import Door

router = APIRouter(prefix="/hq", dependencies=[OwnPostsOnly])
_REFRESH_SECONDS = 2


@router.get("/login")
def login_page(request: Request, next: str = HOME) -> Response:  # noqa: A002 -- its name in the URL
    """The way in."""
    return page(request, "console/login.html", wanted=own_page(next), problem="", login="")


@router.post("/login")
def log_in(
    request: Request,
    parts: PartsDep,
    login: Annotated[str, Form()] = "",
    password: Annotated[str, Form()] = "",
    next: Annotated[str, Form()] = HOME,  # noqa: A002 -- its name in the form
) -> Response:
    """Open a session for the right password; a wrong one may be tried a few times only."""
    wanted = own_page(next)
    address = request.client.host if request.client else ""
    if not throttle.may_try(parts.redis, login, address):
        return _not_in(request, "many", HTTPStatus.TOO_MANY_REQUESTS, login, wanted)
    with parts.database.transaction() as session:
        operator = check_password(session, login, password)
    if operator is None:
        return _not_in(request, "wrong", HTTPStatus.UNAUTHORIZED, login, wanted)
    throttle.forget(parts.redis, login)
    response = RedirectResponse(wanted, HTTPStatus.SEE_OTHER)
    parts.sessions.open(response, Door.CONSOLE, operator.id)
    return response


def _not_in(request: Request, problem: str, status: int, login: str, wanted: str) -> Response:
    return page(
        request,
        "console/login.html",
        status_code=status,
        wanted=wanted,
        problem=problem,
        login=login,
    )


@router.post("/logout")
def log_out(parts: PartsDep) -> Response:
    """The way out."""
    response = RedirectResponse(LOGIN, HTTPStatus.SEE_OTHER)
    parts.sessions.close(response, Door.CONSOLE)
    return response


@router.get("")
def home(
    request: Request, operator: OperatorDep, session: SessionDep, before: str | None = None
) -> Response:
    """The campaigns, newest first."""
    rows, older = views.campaign_page(session, before=before)
    return page(request, "console/campaigns.html", operator=operator, rows=rows, older=older)


@router.get("/campaigns")
def list_is_home(operator: OperatorDep) -> Response:
    """The list stands on the first page."""
    del operator
    return RedirectResponse(HOME, HTTPStatus.SEE_OTHER)


@router.get("/campaigns/new")
def new_campaign(
    request: Request,
    operator: OperatorDep,
    session: SessionDep,
    parts: PartsDep,
    now: NowDep,
    like: str | None = None,
) -> Response:
    """An empty form, or one like another campaign."""
    filled = copy_of(session, like, parts.zone, now) if like else start(parts.zone, now)
    return _form(request, session, operator=operator, filled=filled)


@router.post("/campaigns/new")
def write_campaign(
    request: Request,
    operator: OperatorDep,
    session: SessionDep,
    parts: PartsDep,
    now: NowDep,
    posted: Annotated[FilledIn, Form()],
) -> Response:
    """Save a draft with `action=save`; with anything else show whom it would reach."""
    if posted.action == "save":
        saved = save(session, posted, actor=_actor(operator.login), zone=parts.zone, now=now)
        if isinstance(saved, Campaign):
            return _to(saved.token)
        shown = again(posted, saved)
    else:
        shown = preview(session, posted, now=now)
    return _form(request, session, operator=operator, **shown)


def _form(request: Request, session: Session, **shown: Any) -> Response:
    context = {"problems": {}, "seen": None, "samples": [], "tree": None, "names": {}} | shown
    return page(
        request,
        "console/new.html",
        status_code=HTTPStatus.UNPROCESSABLE_ENTITY if context["problems"] else HTTPStatus.OK,
        choices=choices.choices(session),
        **context,
    )


@router.get("/campaigns/{token}")
def campaign_page(
    request: Request, operator: OperatorDep, session: SessionDep, now: NowDep, token: str
) -> Response:
    """One campaign: its plan while a draft, its progress at launch, its results after."""
    campaign = campaigns.by_token(session, token)
    context: dict[str, Any] = {
        "operator": operator,
        "campaign": campaign,
        "facts": naming.facts(session, campaign),
        "names": naming.names(session, campaign.audience),
    }
    match campaign.state:
        case CampaignState.DRAFT:
            is_late = campaign.deadline_at <= now
            plan = views.plan(session, campaign, now=now)
            return page(request, "console/draft.html", plan=plan, is_late=is_late, **context)
        case CampaignState.LAUNCHING:
            progress = views.launching(session, campaign.id)
            context |= {"progress": progress, "refresh_seconds": _REFRESH_SECONDS}
            return page(request, "console/launching.html", **context)
        case CampaignState.RUNNING | CampaignState.FINISHED | CampaignState.CANCELLED:
            report = views.report(session, campaign.id)
            arms = comparison.compare(session, campaign, now=now)
            return page(request, "console/running.html", report=report, arms=arms, **context)


@router.post("/campaigns/{token}/launch")
def launch_campaign(
    operator: OperatorDep, session: SessionDep, now: NowDep, token: str
) -> Response:
    """Start a draft; a second tap finds it started and only shows it."""
    campaign = campaigns.by_token(session, token)
    session.refresh(campaign, with_for_update=True)
    if campaign.state is CampaignState.DRAFT:
        launch.freeze(session, campaign, actor=_actor(operator.login), now=now)
    return _to(token)


def _to(token: str) -> Response:
    return RedirectResponse(f"{HOME}/campaigns/{token}", HTTPStatus.SEE_OTHER)


def _actor(login: str) -> str:
    return f"operator:{login}"
