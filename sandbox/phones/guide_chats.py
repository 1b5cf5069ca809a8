"""A guide's chats with customers (外部聊天): both sides, a line to write by hand, the toolbar."""

from dataclasses import dataclass, replace
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import JSONResponse, RedirectResponse
from pydantic import BaseModel, Field
from starlette.responses import Response

from sandbox import chatting, jsapi, register
from sandbox.jsapi import Seat
from sandbox.phones.bubbles import Shown, be, shown
from sandbox.phones.rendering import page, world_of
from sandbox.phones.rows import Face, face, stamp
from sandbox.state import World
from store import clock

router = APIRouter(prefix="/phone/guide/{userid}", tags=["phones"], include_in_schema=False)
_BUBBLES, _CHATS, _PREVIEW = 100, 60, 22


@dataclass(frozen=True)
class Line:
    """A customer in the list of chats; `said` is when something was."""

    external_userid: str
    name: str
    preview: str
    time: str
    face: Face


class CallForm(BaseModel):
    """What the page in the toolbar asks of the client."""

    name: str = Field(max_length=40)
    page: str = Field(max_length=2048)
    said: dict[str, Any] = {}


@router.get("/chats")
async def chat_list(
    request: Request, userid: str, q: Annotated[str, Query(max_length=40)] = ""
) -> Response:
    """The customers of a guide, who has spoken last on top."""
    world = world_of(request)
    guide = register.find_guide(world, userid)
    mine = world.wecom.contacts_of[userid]
    fitting = [one for one in mine if q in _name(world, one) or q in one]
    fitting.sort(key=lambda one: world.wecom.customers[one].links[userid].last_chat_at)
    lines = [_line(world, userid, one) for one in reversed(fitting[-_CHATS:])]
    return page("guide_chats.html", who=userid, name=guide.name, lines=lines, q=q)


@router.get("/chat/{external_userid}")
async def chat(
    request: Request, userid: str, external_userid: str, *, tools: bool = False
) -> Response:
    """One chat; `tools` opens the product's page in the toolbar."""
    world = world_of(request)
    guide = register.find_guide(world, userid)
    chatting.link_of(world, userid, external_userid)
    return page(
        "guide_chat.html",
        who=userid,
        name=guide.name,
        customer=external_userid,
        title=_name(world, external_userid),
        tools=_toolbar(world, userid) if tools else "",
    )


@router.get("/chat/{external_userid}/log")
async def chat_log(request: Request, userid: str, external_userid: str) -> Response:
    """What both have said, newest first: the page turns the column round."""
    lines = chatting.lines(world_of(request), userid, external_userid)[-_BUBBLES:]
    bubbles = [_as_guide(shown(one, userid)) for one in reversed(lines)]
    return page("log.html", bubbles=bubbles, waiting=[], tap="", who=userid)


@router.post("/chat/{external_userid}/say")
async def say(
    request: Request,
    userid: str,
    external_userid: str,
    text: Annotated[str, Form(max_length=4000)] = "",
) -> Response:
    """Write by hand and come back."""
    if text.strip():
        words, now = text.strip(), clock.now()
        chatting.guide_writes(world_of(request), userid, external_userid, words, now=now)
    return RedirectResponse(f"/phone/guide/{userid}/chat/{external_userid}", 303)


@router.post("/chat/{external_userid}/jsapi")
async def call_client(
    request: Request, userid: str, external_userid: str, form: CallForm
) -> Response:
    """The page in the toolbar asks the client for something."""
    world, now = world_of(request), clock.now()
    register.find_guide(world, userid)
    seat = Seat(userid, form.page, external_userid)
    with world.wecom.lock:
        answer = jsapi.ask(world, seat, form.name, form.said, now)
    world.journal.note(
        "jsapi", now=now, userid=userid, customer=external_userid, name=form.name, answer=answer
    )
    return JSONResponse(answer)


def _toolbar(world: World, userid: str) -> str:
    """The way to the sidebar as this guide; its address is that of the app's door."""
    door = urlsplit(register.find_app(world, None).door_url)
    return be(userid, f"{door.scheme}://{door.netloc}/guide/sidebar")


def _line(world: World, userid: str, external_userid: str) -> Line:
    said = chatting.lines(world, userid, external_userid)
    last = said[-1] if said else None
    preview = last.text.split("\n")[0][:_PREVIEW] if last else "还没有聊过"
    time = stamp(last.at, clock.now()) if last else ""
    name = _name(world, external_userid)
    return Line(external_userid, name, preview, time, face(name))


def _name(world: World, external_userid: str) -> str:
    return register.find_customer(world, external_userid).name or external_userid


def _as_guide(bubble: Shown) -> Shown:
    """What came in on the customer's phone is the guide's own here, and the other way round."""
    return replace(bubble, is_own=not bubble.is_own, channel="客户")
