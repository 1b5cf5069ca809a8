"""`/hq/members`: find a member, and see every touch with the gate's reasons.

What is looked for is posted, so that no mobile stands in an address that servers log.
"""

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from store.audit import note
from store.members import Member
from web.console import member_views
from web.console.access import HOME, AdminDep, OperatorDep, may_rule
from web.console.timeline import PAGE
from web.deps import NowDep, SessionDep
from web.origin import OwnPostsOnly
from web.pages import page

PLACE = f"{HOME}/members"
router = APIRouter(prefix=PLACE, dependencies=[OwnPostsOnly])
_LONGEST = 100


@router.get("")
def show_search(request: Request, operator: OperatorDep, session: SessionDep) -> Response:
    """The search, with what the gate decided last."""
    return page(
        request,
        "console/members.html",
        operator=operator,
        found=None,
        lately=member_views.lately(session),
    )


@router.post("")
def search(
    request: Request,
    operator: OperatorDep,
    session: SessionDep,
    words: Annotated[str, Form(max_length=_LONGEST)] = "",
) -> Response:
    """Lead to the one member who is meant, or show all who could be."""
    found = member_views.find(session, words)
    if len(found) == 1:
        return RedirectResponse(f"{PLACE}/{found[0].card_no}", HTTPStatus.SEE_OTHER)
    return page(request, "console/members.html", operator=operator, found=found, lately=[])


@router.get("/{card_no}")
def show_member(
    request: Request,
    operator: OperatorDep,
    session: SessionDep,
    now: NowDep,
    card_no: str,
    skip: Annotated[int, Query(ge=0, le=100_000)] = 0,
) -> Response:
    """One member's timeline, with everything that the gate looks at."""
    member = member_views.by_card(session, card_no)
    if member.card_no != card_no:
        return RedirectResponse(f"{PLACE}/{member.card_no}", HTTPStatus.SEE_OTHER)
    view = member_views.read(session, member, skip=skip, now=now)
    return _page(request, operator=operator, view=view, skip=skip, whole_mobile="")


@router.post("/{card_no}/mobile")
def show_mobile(
    request: Request, operator: AdminDep, session: SessionDep, now: NowDep, card_no: str
) -> Response:
    """The same page with the whole mobile, once; the audit log says who looked."""
    member: Member = member_views.by_card(session, card_no)
    actor = f"operator:{operator.login}"
    note(session, actor, "member.see_mobile", subject=f"member:{member.id}", now=now)
    view = member_views.read(session, member, skip=0, now=now)
    answer = _page(request, operator=operator, view=view, skip=0, whole_mobile=member.mobile or "")
    # Whoever sees it again looks anew, and is noted anew.
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _page(request: Request, *, operator: Any, **shown: Any) -> Response:
    return page(
        request,
        "console/member.html",
        operator=operator,
        may_rule=may_rule(operator),
        size=PAGE,
        **shown,
    )
