"""Who stands at the workbench: a guide in post, known by a session or by WeCom's log-in."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import Depends, Request
from sqlmodel import Session, select

from store.accounts import Platform
from store.organisation import Guide, GuideRole, GuideStatus
from web.deps import NowDep, PartsDep, SessionDep
from web.entry import LogInFirst, first_account
from web.sessions import Door


@dataclass(frozen=True, slots=True)
class Desk:
    """What every page of the workbench works with."""

    request: Request
    session: Session
    guide: Guide
    zone: ZoneInfo
    now: datetime


def desk_of(request: Request, parts: PartsDep, session: SessionDep, now: NowDep) -> Desk:
    """The desk of the guide of this request; who left since logging in is nobody."""
    guide_id = parts.sessions.person(request, Door.WORKBENCH)
    guide = session.get(Guide, guide_id) if guide_id is not None else None
    if guide is None or guide.status is not GuideStatus.ACTIVE:
        raise LogInFirst(Door.WORKBENCH, first_account(session, Platform.WECOM))
    # Who leads has one more tab at the foot of every page.
    request.state.leads = guide.role is not GuideRole.GUIDE
    return Desk(request, session, guide, parts.zone, now)


DeskDep = Annotated[Desk, Depends(desk_of)]


def guide_in_post(session: Session, userid: str) -> Guide | None:
    """The active guide whom WeCom calls `userid`."""
    query = select(Guide).where(Guide.userid == userid, Guide.status == GuideStatus.ACTIVE)
    return session.exec(query).first()
