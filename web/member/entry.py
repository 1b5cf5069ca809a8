"""Who opens a member page: a WeChat identity, known by a session or by WeChat's log-in."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import Depends, Request
from sqlmodel import Session

from store.accounts import Platform
from store.members import Identity, Member, MemberStatus
from web.deps import NowDep, PartsDep, SessionDep
from web.entry import LogInFirst, first_account
from web.parts import Parts
from web.sessions import Door


@dataclass(frozen=True, slots=True)
class Visit:
    """What every member page works with; `person` is None while nobody has logged in."""

    request: Request
    session: Session
    person: Member | None
    zone: ZoneInfo
    now: datetime

    def someone(self) -> Member:
        """The person, who is sent to log in first when not known."""
        if self.person is None:
            raise LogInFirst(Door.MEMBER, first_account(self.session, Platform.WECHAT))
        return self.person


def visit(request: Request, parts: PartsDep, session: SessionDep, now: NowDep) -> Visit:
    """The visit of this request."""
    identity_id = parts.sessions.person(request, Door.MEMBER)
    return Visit(request, session, _person(session, identity_id), parts.zone, now)


VisitDep = Annotated[Visit, Depends(visit)]


def _person(session: Session, identity_id: int | None) -> Member | None:
    """The member behind the identity: after a merge that is the one who was kept."""
    identity = session.get(Identity, identity_id) if identity_id is not None else None
    member = session.get(Member, identity.member_id) if identity is not None else None
    return member if member is not None and member.status is MemberStatus.ACTIVE else None


def identity_of(parts: Parts, request: Request, session: Session) -> Identity:
    """Who looks, as an identity; whoever is not known is sent to log in first."""
    identity_id = parts.sessions.person(request, Door.MEMBER)
    identity = session.get(Identity, identity_id) if identity_id is not None else None
    if identity is None or _person(session, identity_id) is None:
        raise LogInFirst(Door.MEMBER, first_account(session, Platform.WECHAT))
    return identity
