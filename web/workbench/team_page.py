"""`/guide/team` for whoever leads a shop or more: progress, give tasks on, remind, note a leave."""

from datetime import date, datetime, time, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Response
from fastapi.responses import RedirectResponse
from sqlmodel import col, select

from guide_tasks import nudging, tasks
from store import leaves, visibility
from store.audit import note
from store.campaigns import CareTask
from store.errors import WrongState
from store.organisation import GuideRole
from web.deps import PartsDep
from web.entry import DoorRoute
from web.pages import page
from web.workbench import team_view
from web.workbench.entry import Desk, desk_of

router = APIRouter(prefix="/team", route_class=DoorRoute)


def leader_of(desk: Annotated[Desk, Depends(desk_of)]) -> Desk:
    """The desk of whoever leads; a guide is told that this is not for them."""
    if desk.guide.role is GuideRole.GUIDE:
        raise visibility.TeamHidden
    return desk


LeaderDep = Annotated[Desk, Depends(leader_of)]


@router.get("")
def show_team(desk: LeaderDep, after: str | None = None) -> Response:
    """How far everybody is."""
    team = team_view.team(desk.session, desk.guide, after, zone=desk.zone, now=desk.now)
    return page(desk.request, "workbench/team.html", team=team, now=desk.now)


@router.get("/{userid}")
def show_mate(userid: str, desk: LeaderDep, done: str | None = None, given: int = 0) -> Response:
    """One of the team; `done` names what was just done, `given` counts tasks given on."""
    guide = team_view.guide_of(desk.session, desk.guide, userid)
    return page(
        desk.request,
        "workbench/mate.html",
        mate=team_view.mate(desk.session, desk.guide, userid, zone=desk.zone, now=desk.now),
        tasks=team_view.open_tasks(desk.session, desk.guide, guide),
        takers=team_view.takers(desk.session, desk.guide, guide, now=desk.now),
        done=done,
        given=given,
        now=desk.now,
    )


@router.post("/{userid}/reassign")
def reassign(
    userid: str,
    desk: LeaderDep,
    to: Annotated[str, Form()],
    task: Annotated[list[str] | None, Form()] = None,
) -> Response:
    """Give open tasks to a colleague of the same shop; one that was just sent stays."""
    guide = team_view.guide_of(desk.session, desk.guide, userid)
    taker = team_view.guide_of(desk.session, desk.guide, to)
    if taker.shop_id != guide.shop_id:
        raise visibility.TeamHidden
    # By member, as locks are always taken.
    query = (
        select(CareTask)
        .where(col(CareTask.token).in_(task or []), CareTask.guide_id == guide.id)
        .where(visibility.sees_task(desk.guide.id))
        .order_by(col(CareTask.member_id), col(CareTask.id))
    )
    given = 0
    for one in desk.session.exec(query).all():
        try:
            tasks.reassign(desk.session, one, taker, actor=_actor(desk), now=desk.now)
        except WrongState:
            continue
        given += 1
    return _to(userid, f"given&given={given}")


@router.post("/{userid}/nudge")
def nudge(userid: str, desk: LeaderDep, parts: PartsDep) -> Response:
    """Remind of what is open; once a day is all that WeCom and people bear."""
    guide = team_view.guide_of(desk.session, desk.guide, userid)
    url = parts.settings.public_url
    was_told = nudging.nudge(desk.session, guide, public_url=url, now=desk.now)
    return _to(userid, "nudged" if was_told else "nudged_before")


@router.post("/{userid}/leave")
def grant_leave(
    userid: str,
    desk: LeaderDep,
    first: Annotated[date, Form()],
    last: Annotated[date, Form()],
) -> Response:
    """Note a leave of whole days; what falls due meanwhile goes to colleagues."""
    guide = team_view.guide_of(desk.session, desk.guide, userid)
    since, until = _midnight(desk, first), _midnight(desk, last + timedelta(days=1))
    leaves.grant(desk.session, guide.id, since=since, until=until)
    subject = f"guide:{guide.id}"
    note(desk.session, _actor(desk), "guide.leave", subject=subject, now=desk.now)
    return _to(userid, "away")


@router.get("/{userid}/{act}")
def back_to_mate(userid: str, act: str) -> Response:
    """A post that had to log in first comes back as a read."""
    del act
    return RedirectResponse(f"/guide/team/{userid}", status_code=303)


def _midnight(desk: Desk, day: date) -> datetime:
    return datetime.combine(day, time(), desk.zone)


def _actor(desk: Desk) -> str:
    return f"guide:{desk.guide.userid}"


def _to(userid: str, done: str) -> Response:
    return RedirectResponse(f"/guide/team/{userid}?done={done}", status_code=303)
