"""The profile: what to call the member by, the birthday, the mobile."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated

from fastapi import APIRouter, Form, Response
from fastapi.responses import RedirectResponse

from content.phrases import of_refusal
from store import members, profile
from store.errors import Refusal
from store.profile import BadBirthday
from web.entry import DoorRoute
from web.member.entry import Visit, VisitDep
from web.origin import OwnPostsOnly
from web.pages import page

router = APIRouter(prefix="/m/profile", route_class=DoorRoute, dependencies=[OwnPostsOnly])

Typed = Annotated[str, Form(max_length=80)]
_FIRST = date(1920, 1, 1)


@dataclass(frozen=True, slots=True)
class ProfileView:
    """The page, with what is known or was just typed.

    The birthday can be changed from `free_from` on, if that is set and not past.
    """

    name: str
    birthday: str
    masked: str
    free_from: datetime | None
    can_change: bool
    first: date
    last: date


@router.get("")
def show(visit: VisitDep, *, saved: bool = False) -> Response:
    """What is known of the member's own words."""
    return _page(visit, is_saved=saved)


@router.post("")
def save(visit: VisitDep, name: Typed = "", birthday: Typed = "") -> Response:
    """Change what was filled in; one thing that will not do changes nothing."""
    try:
        with visit.session.begin_nested():
            _save(visit, name, birthday)
    except Refusal as refusal:
        return _page(visit, refusal, typed=(name, birthday))
    return RedirectResponse("/m/profile?saved=true", status_code=303)


def _save(visit: Visit, name: str, birthday: str) -> None:
    person, today = visit.someone(), visit.now.astimezone(visit.zone).date()
    # The page always sends the name; who has none yet may leave it so.
    if name.strip() or person.name:
        profile.rename(visit.session, person.id, name)
    if birthday:
        profile.set_birthday(visit.session, person.id, _day(birthday), today=today, now=visit.now)


def _day(typed: str) -> date:
    try:
        return date.fromisoformat(typed)
    except ValueError:
        raise BadBirthday from None


def _page(
    visit: Visit,
    refusal: Refusal | None = None,
    *,
    typed: tuple[str, str] | None = None,
    is_saved: bool = False,
) -> Response:
    person, free_from = visit.someone(), profile.free_from(visit.someone())
    name, birthday = typed or (person.name, str(person.birthday_on or ""))
    view = ProfileView(
        name=name,
        birthday=birthday,
        masked=members.mask(person.mobile),
        free_from=free_from,
        can_change=free_from is None or free_from <= visit.now,
        first=_FIRST,
        last=visit.now.astimezone(visit.zone).date(),
    )
    return page(
        visit.request,
        "member/profile.html",
        status_code=422 if refusal else 200,
        view=view,
        is_saved=is_saved,
        problem=of_refusal(refusal) if refusal else "",
    )
