"""Who opens a member page: a WeChat identity, known by a session or by WeChat's log-in.

A session outlives whoever was erased or unfollowed. They are told so, and not logged in again by
themselves: a card that was left open would make them known anew within a minute.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, NoReturn
from zoneinfo import ZoneInfo

from fastapi import Depends, FastAPI, Request, Response
from sqlmodel import Session

from store.accounts import Platform
from store.members import Identity, Member, MemberStatus
from web.deps import NowDep, PartsDep, SessionDep
from web.entry import LogInFirst, first_account
from web.pages import page
from web.parts import Parts
from web.sessions import Door


class Forgotten(Exception):  # noqa: N818 -- an everyday turn of the way, not a fault
    """The session is genuine, and its person was forgotten meanwhile."""

    def __init__(self) -> None:
        super().__init__("The person of this session was forgotten.")


@dataclass(frozen=True, slots=True)
class Visit:
    """What every member page works with; `person` is None while nobody has logged in.

    `is_forgotten` where somebody had, whom the record does not know any more.
    """

    request: Request
    session: Session
    person: Member | None
    zone: ZoneInfo
    now: datetime
    is_forgotten: bool = False

    def someone(self) -> Member:
        """The person, who is sent to log in first when not known."""
        if self.person is None:
            _turn_away(self.session, is_forgotten=self.is_forgotten)
        return self.person


def visit(request: Request, parts: PartsDep, session: SessionDep, now: NowDep) -> Visit:
    """The visit of this request."""
    identity_id = parts.sessions.person(request, Door.MEMBER)
    person = _person(session, identity_id)
    is_forgotten = identity_id is not None and person is None
    return Visit(request, session, person, parts.zone, now, is_forgotten)


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
        _turn_away(session, is_forgotten=identity_id is not None)
    return identity


def install(app: FastAPI) -> None:
    """Answer `Forgotten` with its page."""
    app.add_exception_handler(Forgotten, _forgotten)


def _forgotten(request: Request, error: Exception) -> Response:
    del error
    return page(request, "member/forgotten.html", status_code=410)


def _turn_away(session: Session, *, is_forgotten: bool) -> NoReturn:
    if is_forgotten:
        raise Forgotten
    raise LogInFirst(Door.MEMBER, first_account(session, Platform.WECHAT))
