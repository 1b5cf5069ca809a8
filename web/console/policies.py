"""`/hq/policies`: the gate's rules, who changed them, and drafts, tried on the past first."""

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse
from sqlmodel import Session

from content.rule_readings import BAND_NAMES, KIND_NAMES, title
from content.touch_words import CATEGORY_NAMES, CHANNEL_NAMES
from fatigue import policies, policy_drafts, replaying
from fatigue.policy_drafts import NameTaken, RuleData
from store.errors import NotFound
from store.policies import PolicyDraft
from web.console import policy_views, replay_view, rule_form
from web.console.access import HOME, ActorDep, AdminDep, OperatorDep, may_act, may_rule
from web.console.forms import NotFilledIn, Problem
from web.console.rule_form import RuleFilledIn
from web.deps import NowDep, SessionDep
from web.origin import OwnPostsOnly
from web.pages import page

PLACE = f"{HOME}/policies"
router = APIRouter(prefix=PLACE, dependencies=[OwnPostsOnly])
_REFRESH_SECONDS = 1


@router.get("")
def show_rules(
    request: Request, operator: OperatorDep, session: SessionDep, published: int | None = None
) -> Response:
    """The rules in force."""
    return page(
        request,
        "console/policies.html",
        operator=operator,
        view=policy_views.read(session),
        published=published,
        may_act=may_act(operator),
        days=replaying.DAYS,
    )


@router.get("/versions/{version}")
def show_version(
    request: Request,
    operator: OperatorDep,
    session: SessionDep,
    version: int,
    against: int | None = None,
) -> Response:
    """One version, and what differs from another: from the one before unless said."""
    against = against or max(version - 1, 1)
    view, rules = policy_views.version_of(session, version)
    return page(
        request,
        "console/policy_version.html",
        operator=operator,
        view=view,
        rules_shown=rules,
        against=against,
        newest=policies.current(session).version,
        changes=policy_views.compared(session, version, against),
    )


@router.post("/drafts")
def begin(operator: ActorDep, session: SessionDep, now: NowDep) -> Response:
    """Begin a draft of the rules in force."""
    return _to(policy_drafts.begin(session, author=_actor(operator.login), now=now))


@router.get("/drafts/{token}")
def show_draft(
    request: Request, operator: OperatorDep, session: SessionDep, token: str
) -> Response:
    """A draft: what it changes, and what it would have done."""
    return _draft_page(request, session, operator=operator, draft=_draft(session, token))


@router.post("/drafts/{token}/drop")
def drop(
    operator: ActorDep,
    session: SessionDep,
    now: NowDep,
    token: str,
    name: Annotated[str, Form()],
) -> Response:
    """Take a rule out."""
    del operator
    draft = _draft(session, token)
    policy_drafts.drop_rule(session, draft, name, now=now)
    return _to(draft)


@router.post("/drafts/{token}/replay")
def replay(operator: ActorDep, session: SessionDep, now: NowDep, token: str) -> Response:
    """Try the draft on the last days."""
    del operator
    draft = _draft(session, token)
    replaying.start(session, draft, now=now)
    return _to(draft, "#replay")


@router.post("/drafts/{token}/renew")
def renew(operator: ActorDep, session: SessionDep, now: NowDep, token: str) -> Response:
    """Make the same changes to what is in force by now."""
    del operator
    draft = _draft(session, token)
    policy_drafts.renew(session, draft, now=now)
    return _to(draft)


@router.post("/drafts/{token}/discard")
def discard(operator: ActorDep, session: SessionDep, token: str) -> Response:
    """Throw the draft away."""
    del operator
    policy_drafts.discard(session, _draft(session, token))
    return RedirectResponse(PLACE, HTTPStatus.SEE_OTHER)


@router.post("/drafts/{token}/publish")
def publish(operator: AdminDep, session: SessionDep, now: NowDep, token: str) -> Response:
    """Put the draft in force."""
    draft = _draft(session, token)
    policy = policy_drafts.publish(session, draft, author=_actor(operator.login), now=now)
    return RedirectResponse(f"{PLACE}?published={policy.version}", HTTPStatus.SEE_OTHER)


@router.get("/drafts/{token}/rule")
def show_form(
    request: Request,
    operator: ActorDep,
    session: SessionDep,
    token: str,
    name: str | None = None,
) -> Response:
    """The form of a rule that is there, or an empty one."""
    draft = _draft(session, token)
    offered = policy_views.choices(session, _campaigns(draft))
    rule = _rule(draft, name) if name is not None else None
    keys = {
        "brands": policy_views.brand_codes(session),
        "campaigns": offered["campaign_keys"],
    }
    filled = rule_form.filled_from(rule, **keys) if rule is not None else RuleFilledIn()
    return _form_page(
        request, session, operator=operator, draft=draft, filled=filled, before=name, **offered
    )


@router.post("/drafts/{token}/rule")
def write_rule(  # noqa: PLR0913 -- a page, its people and its form
    request: Request,
    operator: ActorDep,
    session: SessionDep,
    now: NowDep,
    token: str,
    filled: Annotated[RuleFilledIn, Form()],
    name: str | None = None,
) -> Response:
    """Put the rule into the draft; a refusal names its field and loses nothing."""
    draft = _draft(session, token)
    offered = policy_views.choices(session, _campaigns(draft))
    before = _rule(draft, name) if name is not None else None
    brands, campaigns = policy_views.brand_codes(session), offered["campaign_keys"]
    try:
        rule = rule_form.read(filled, brands=brands, campaigns=campaigns, before=before)
        policy_drafts.put_rule(session, draft, rule, instead_of=name, now=now)
    except NotFilledIn as fault:
        problems = dict(fault.problems)
    except NameTaken:
        problems = {"name": Problem("name_taken")}
    else:
        return _to(draft)
    return _form_page(
        request,
        session,
        operator=operator,
        draft=draft,
        filled=filled,
        before=name,
        problems=problems,
        **offered,
    )


def _draft_page(
    request: Request, session: Session, *, operator: Any, draft: PolicyDraft
) -> Response:
    base = policy_drafts.rules_of(session, draft.base_version)
    names = policy_views.names_of(session, [draft.rules, base])
    replay = policy_drafts.replay_of(session, draft)
    return page(
        request,
        "console/policy_draft.html",
        operator=operator,
        draft=draft,
        rules_shown=policy_views.views(draft.rules, names),
        changes=policy_views.changes_between(base, draft.rules, names),
        newest=policies.current(session).version,
        replay=replay_view.read(session, replay) if replay is not None else None,
        days=replaying.DAYS,
        may_act=may_act(operator),
        may_rule=may_rule(operator),
        refresh_seconds=_REFRESH_SECONDS,
    )


def _form_page(request: Request, session: Session, **shown: Any) -> Response:
    context = {"problems": {}} | shown
    before = context["before"]
    return page(
        request,
        "console/policy_rule.html",
        status_code=HTTPStatus.UNPROCESSABLE_ENTITY if context["problems"] else HTTPStatus.OK,
        title=title(before) if before is not None else "",
        kinds=[(kind, KIND_NAMES[kind]) for kind in rule_form.KINDS],
        channel_names=[(one.value, CHANNEL_NAMES[one]) for one in rule_form.CHANNELS],
        category_names=[(one.value, CATEGORY_NAMES[one]) for one in rule_form.CATEGORIES],
        band_names=[
            (band.name, BAND_NAMES.get(band.name, band.name))
            for band in policies.current(session).bands
        ],
        **context,
    )


def _draft(session: Session, token: str) -> PolicyDraft:
    return policy_drafts.by_token(session, token)


def _rule(draft: PolicyDraft, name: str) -> RuleData:
    """A rule of the draft that the house may change."""
    for rule in draft.rules:
        if rule["name"] == name:
            if rule["is_platform"]:
                raise policy_drafts.PlatformRuleFixed(name)
            found: RuleData = rule
            return found
    raise NotFound(f"The draft has no rule {name!r}.")


def _campaigns(draft: PolicyDraft) -> set[int]:
    return {
        rule["selector"]["campaign_id"] for rule in draft.rules if "campaign_id" in rule["selector"]
    }


def _to(draft: PolicyDraft, place: str = "") -> Response:
    return RedirectResponse(f"{PLACE}/drafts/{draft.token}{place}", HTTPStatus.SEE_OTHER)


def _actor(login: str) -> str:
    return f"operator:{login}"
