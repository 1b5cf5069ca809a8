"""The HQ console at `/hq`: log-in, the campaigns, a new one, and one of them up close."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from content.rule_readings import BAND_NAMES
from fatigue import policies
from guide_tasks import campaigns, launch
from store import organisation
from store.campaigns import UNLAUNCHED, Campaign, CampaignState
from store.db import Session
from store.organisation import Operator, check_password
from web.console import choices, comparison, loss_view, naming, throttle, views
from web.console.access import HOME, LOGIN, ActorDep, OperatorDep, may_act, own_page
from web.console.drafting import again, copy_of, preview, save, start
from web.console.forms import FilledIn, Problem
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
    parts.sessions.open(response, Door.CONSOLE, operator.id, mark=operator.mark)
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
def log_out(request: Request, parts: PartsDep, now: NowDep) -> Response:
    """The way out, also for copies of the cookie."""
    if (shown := parts.sessions.marked(request, Door.CONSOLE)) is not None:
        with parts.database.transaction() as session:
            organisation.log_out(session, *shown, now=now)
    response = RedirectResponse(LOGIN, HTTPStatus.SEE_OTHER)
    parts.sessions.close(response, Door.CONSOLE)
    # Found people and previews, which were kept for the way back (web/seals.py).
    response.headers["Clear-Site-Data"] = '"cache"'
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
    operator: ActorDep,
    session: SessionDep,
    parts: PartsDep,
    now: NowDep,
    like: str | None = None,
) -> Response:
    """An empty form, or one like another campaign."""
    filled = copy_of(session, like, parts.zone, now) if like else start(parts.zone, now)
    return form_page(request, session, operator=operator, filled=filled)


@router.post("/campaigns/new")
def write_campaign(
    request: Request,
    operator: ActorDep,
    session: SessionDep,
    parts: PartsDep,
    now: NowDep,
    posted: Annotated[FilledIn, Form()],
) -> Response:
    """Save a draft with `action=save`; with anything else show whom it would reach."""
    if posted.action == "save":
        saved = save(session, posted, actor=actor_of(operator.login), zone=parts.zone, now=now)
        if isinstance(saved, Campaign):
            return to_campaign(saved.token)
        shown = again(posted, saved)
    else:
        shown = preview(session, posted, now=now)
    return form_page(request, session, operator=operator, **shown)


def form_page(
    request: Request, session: Session, *, editing: Campaign | None = None, **shown: Any
) -> Response:
    """The form, of a new campaign or of the draft that is `editing`."""
    context = {"problems": {}, "seen": None, "samples": [], "tree": None, "names": {}} | shown
    return page(
        request,
        "console/new.html",
        status_code=HTTPStatus.UNPROCESSABLE_ENTITY if context["problems"] else HTTPStatus.OK,
        choices=choices.choices(session),
        editing=editing,
        **context,
    )


@router.get("/campaigns/{token}")
def campaign_page(
    request: Request,
    operator: OperatorDep,
    session: SessionDep,
    now: NowDep,
    token: str,
    guides: Annotated[int, Query(ge=0, le=100_000)] = 0,
) -> Response:
    """One campaign: its plan until launch, its progress at launch, its results after."""
    campaign = campaigns.by_token(session, token)
    if campaign.state in UNLAUNCHED:
        return plan_page(request, session, operator=operator, campaign=campaign, now=now)
    context = _around(session, operator, campaign)
    if campaign.state is CampaignState.LAUNCHING:
        progress = views.launching(campaign)
        context |= {"progress": progress, "refresh_seconds": _REFRESH_SECONDS}
        return page(request, "console/launching.html", **context)
    context["report"] = views.report(session, campaign.id, skip=guides)
    context["arms"] = comparison.compare(session, campaign, now=now)
    context["losses"] = loss_view.read(session, campaign.id)
    context |= {"skip": guides, "size": views.PAGE}
    return page(request, "console/running.html", **context)


def plan_page(
    request: Request,
    session: Session,
    *,
    operator: Operator,
    campaign: Campaign,
    now: datetime,
    problem: Problem | None = None,
) -> Response:
    """A campaign before its launch: whom it would reach, and what the gate will say then.

    A problem with the time of launch holds what was `typed`.
    """
    return page(
        request,
        "console/draft.html",
        status_code=HTTPStatus.UNPROCESSABLE_ENTITY if problem else HTTPStatus.OK,
        plan=views.plan(session, campaign, now=campaign.launch_at or now),
        is_late=campaign.deadline_at <= now,
        may_act=may_act(operator),
        problem=problem,
        **_around(session, operator, campaign),
    )


def _around(session: Session, operator: Operator, campaign: Campaign) -> dict[str, Any]:
    band = policies.current(session).band_of(campaign.priority).name
    return {
        "operator": operator,
        "campaign": campaign,
        "facts": naming.facts(session, campaign),
        "names": naming.names(session, campaign.audience),
        "band": BAND_NAMES.get(band, band),
    }


@router.post("/campaigns/{token}/launch")
def launch_campaign(operator: ActorDep, session: SessionDep, now: NowDep, token: str) -> Response:
    """Start a draft; a second tap finds it started and only shows it."""
    campaign = campaigns.by_token(session, token)
    session.refresh(campaign, with_for_update=True)
    if campaign.state in UNLAUNCHED:
        launch.freeze(session, campaign, actor=actor_of(operator.login), now=now)
    return to_campaign(token)


def to_campaign(token: str) -> Response:
    """On to the page of a campaign."""
    return RedirectResponse(f"{HOME}/campaigns/{token}", HTTPStatus.SEE_OTHER)


def actor_of(login: str) -> str:
    """What the audit log calls an operator."""
    return f"operator:{login}"
