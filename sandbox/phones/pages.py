"""Whose phone it shall be, and a guide's WeCom. Server-rendered, no scripts, plainly labelled."""

from collections.abc import Callable
from itertools import islice
from typing import Annotated, Any
from urllib.parse import urlencode, urlsplit

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import RedirectResponse
from starlette.responses import Response

from sandbox import broadcasts, register, talk
from sandbox.oauth import PageError
from sandbox.phones import people
from sandbox.phones.bubbles import Shown, shown
from sandbox.phones.rendering import page, world_of
from sandbox.state import Broadcast, World
from store import clock

router = APIRouter(tags=["phones"], include_in_schema=False)

_BUBBLES = 200
_PREVIEW_CUSTOMERS = 5


@router.get("/")
async def index(request: Request, q: Annotated[str, Query(max_length=64)] = "") -> Response:
    """Who you can be: those with something on their phone first."""
    world = world_of(request)
    return page(
        "index.html",
        q=q,
        guides=people.some(people.guides(world), q),
        members=people.some([*people.members(world), *people.strangers(world)], q),
        guide_phone="/phone/guide/{}".format,
        member_phone="/phone/member/{}".format,
    )


@router.get("/phone/guide/{userid}")
async def guide_phone(request: Request, userid: str, *, bench: bool = False) -> Response:
    """A guide's WeCom: the messages, or the workbench that the app opens inside it."""
    guide = register.find_guide(world_of(request), userid)
    return page(
        "guide.html",
        who=userid,
        name=guide.name,
        bench=_bench(world_of(request), userid) if bench else "",
    )


def _bench(world: World, userid: str) -> str:
    """The way to the workbench as this guide; its address is that of the app's door."""
    door = urlsplit(register.find_app(world, None).door_url)
    return _way_to(f"{door.scheme}://{door.netloc}/guide")(userid)


@router.get("/phone/guide/{userid}/log")
async def guide_log(request: Request, userid: str) -> Response:
    """The cards and messages of a guide, and at the end the broadcasts to be confirmed."""
    world = world_of(request)
    return page(
        "log.html",
        bubbles=_log(world, userid),
        waiting=[_preview(world, one, userid) for one in broadcasts.waiting(world, userid)],
        tap=f"/phone/guide/{userid}/tap",
        who=userid,
    )


def _preview(world: World, broadcast: Broadcast, userid: str) -> dict[str, Any]:
    recipients = broadcast.tasks[userid].recipients
    first = [
        world.wecom.customers[one].name or one for one in islice(recipients, _PREVIEW_CUSTOMERS)
    ]
    return {
        "msgid": broadcast.msgid,
        "text": broadcast.text,
        "names": first,
        "count": len(recipients),
    }


@router.post("/phone/guide/{userid}/confirm")
async def guide_confirms(request: Request, userid: str, msgid: Annotated[str, Form()]) -> Response:
    """Confirm one broadcast and come back; one that is gone already is left alone."""
    world = world_of(request)
    with world.wecom.lock:
        for broadcast in broadcasts.waiting(world, userid):
            if broadcast.msgid == msgid:
                broadcasts.confirm(world, broadcast, userid, now=clock.now())
    return RedirectResponse(f"/phone/guide/{userid}", 303)


@router.post("/phone/guide/{userid}/say")
async def guide_says(request: Request, userid: str, text: Annotated[str, Form()] = "") -> Response:
    """Write to the app and come back."""
    world = world_of(request)
    app, guide = register.find_app(world, None), register.find_guide(world, userid)
    if text.strip():
        await talk.guide_says(request.app.state.pusher, app, guide, text.strip(), now=clock.now())
    return RedirectResponse(f"/phone/guide/{userid}", 303)


@router.post("/phone/guide/{userid}/tap")
async def guide_taps(
    request: Request, userid: str, task_id: Annotated[str, Form()], key: Annotated[str, Form()]
) -> Response:
    """Tap a button of a card and come back."""
    world = world_of(request)
    app, guide = register.find_app(world, None), register.find_guide(world, userid)
    pusher = request.app.state.pusher
    await talk.guide_taps(pusher, app, guide, task_id=task_id, key=key, now=clock.now())
    return RedirectResponse(f"/phone/guide/{userid}", 303)


def _log(world: World, person: str) -> list[Shown]:
    """The last bubbles, newest first: the page turns the column round so that it opens at its
    end.
    """
    bubbles = world.inboxes.get(person, [])
    return [shown(bubble, person) for bubble in reversed(bubbles[-_BUBBLES:])]


def who_are_you(request: Request, *, is_corp: bool) -> Response:
    """The login page without a person: choose one and come straight back."""
    world = world_of(request)
    everybody = people.guides(world) if is_corp else people.members(world)
    return page("who.html", status=401, found=people.some(everybody), be=_way_to(str(request.url)))


def _way_to(url: str) -> Callable[[str], str]:
    """The way to an address as somebody."""
    return lambda who: "/sandbox/be?" + urlencode({"who": who, "next": url})


def problem(_request: Request, error: PageError) -> Response:
    """The login page refuses."""
    return page("problem.html", status=400, code=error.code, why=error.why)
