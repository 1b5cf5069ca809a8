"""A campaign before its launch: changed in place, launched by the clock, or not after all."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response

from guide_tasks import campaigns, scheduling
from guide_tasks.campaigns import DeadlinePassed
from guide_tasks.scheduling import LaunchTimePassed
from store.campaigns import Campaign, CampaignState
from store.db import Session
from store.errors import WrongState
from web.console.access import HOME, ActorDep
from web.console.drafting import again, filled_from, preview, save
from web.console.forms import FilledIn, Problem
from web.console.routes import actor_of, form_page, plan_page, to_campaign
from web.deps import NowDep, PartsDep, SessionDep
from web.origin import OwnPostsOnly

router = APIRouter(prefix=f"{HOME}/campaigns/{{token}}", dependencies=[OwnPostsOnly])


@router.get("/edit")
def edit_campaign(
    request: Request, operator: ActorDep, session: SessionDep, parts: PartsDep, token: str
) -> Response:
    """The form of a draft."""
    draft = _draft(session, token)
    filled = filled_from(session, draft, parts.zone)
    return form_page(request, session, operator=operator, filled=filled, editing=draft)


@router.post("/edit")
def rewrite_campaign(  # noqa: PLR0913 -- a page, its people and its form
    request: Request,
    operator: ActorDep,
    session: SessionDep,
    parts: PartsDep,
    now: NowDep,
    token: str,
    posted: Annotated[FilledIn, Form()],
) -> Response:
    """Change the draft with `action=save`; with anything else show whom it would reach."""
    draft = _draft(session, token)
    if posted.action == "save":
        actor = actor_of(operator.login)
        saved = save(session, posted, actor=actor, zone=parts.zone, now=now, instead_of=draft)
        if isinstance(saved, Campaign):
            return to_campaign(token)
        shown = again(posted, saved)
    else:
        shown = preview(session, posted, now=now)
    return form_page(request, session, operator=operator, editing=draft, **shown)


@router.post("/schedule")
def schedule_campaign(  # noqa: PLR0913 -- a page, its people and its form
    request: Request,
    operator: ActorDep,
    session: SessionDep,
    parts: PartsDep,
    now: NowDep,
    token: str,
    launch_at: Annotated[str, Form(max_length=40)] = "",
) -> Response:
    """Let the clock launch it at a shop-local time."""
    campaign = campaigns.by_token(session, token)
    actor = actor_of(operator.login)
    try:
        wanted = datetime.fromisoformat(launch_at)
        local = wanted if wanted.tzinfo else wanted.replace(tzinfo=parts.zone)
        scheduling.schedule(session, campaign, launch_at=local, actor=actor, now=now)
    except LaunchTimePassed:
        kind = "past"
    except DeadlinePassed:
        kind = "after_deadline"
    except ValueError:
        kind = "datetime"
    else:
        return to_campaign(token)
    return plan_page(
        request,
        session,
        operator=operator,
        campaign=campaign,
        now=now,
        problem=Problem(kind, {"typed": launch_at}),
    )


@router.post("/unschedule")
def unschedule_campaign(
    operator: ActorDep, session: SessionDep, now: NowDep, token: str
) -> Response:
    """Make it a draft again; a second tap changes nothing."""
    campaign = campaigns.by_token(session, token)
    if campaign.state is CampaignState.SCHEDULED:
        scheduling.unschedule(session, campaign, actor=actor_of(operator.login), now=now)
    return to_campaign(token)


def _draft(session: Session, token: str) -> Campaign:
    """A campaign that can still be changed; what is scheduled must be taken back first."""
    campaign = campaigns.by_token(session, token)
    if campaign.state is not CampaignState.DRAFT:
        raise WrongState("campaign", campaign.state, CampaignState.DRAFT)
    return campaign
