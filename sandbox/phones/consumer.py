"""The consumer's phone: chats, the account's page, scanning, passing on. Server-rendered; scripts
only spare the reloading.
"""

import secrets
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import JSONResponse, RedirectResponse
from starlette.responses import Response

from sandbox import ids, register
from sandbox.phones import chats, screens
from sandbox.phones.rendering import page, world_of
from sandbox.phones.rows import face, stamp
from sandbox.phones.screens import Screen, open_screen
from sandbox.state import Follower, World
from store import clock

router = APIRouter(tags=["phones"], include_in_schema=False)
# Numbers of a block that no carrier has given out.
_NUMBERS = 10**7


def the_screen(
    request: Request, who: str, chat: Annotated[str, Query(max_length=80)] = ""
) -> Screen:
    """The phone that a page is about."""
    return open_screen(world_of(request), who, chat, now=clock.now())


ScreenDep = Annotated[Screen, Depends(the_screen)]


@router.post("/phone/new")
async def new_phone(request: Request, name: Annotated[str, Form(max_length=20)] = "") -> Response:
    """Somebody whom the brand does not know yet, with a WeChat and a number of their own."""
    follower = stranger(world_of(request), name.strip() or "新朋友")
    return RedirectResponse(f"/phone/member/{follower.openid}/about", 303)


def stranger(world: World, name: str) -> Follower:
    """Make somebody who follows nobody yet."""
    account, seed = register.find_account(world, ""), secrets.token_hex(8)
    number = f"1990{secrets.randbelow(_NUMBERS):07d}"
    who = Follower(
        ids.openid(account.appid, seed),
        account.appid,
        ids.unionid(seed),
        name,
        is_subscribed=False,
        mobile=number,
    )
    world.wechat.followers[who.openid] = who
    return who


@router.get("/phone/member/{who}")
async def chat_page(screen: ScreenDep, *, keys: bool = False) -> Response:
    """A chat. `keys` shows the keyboard in place of the menu."""
    return _screen_page("chat.html", screen, keys=keys or not screen.menu, log=screen.log())


@router.get("/phone/member/{who}/live")
async def live(screen: ScreenDep, have: str = "") -> Response:
    """What has changed since the version that the phone shows."""
    changed: dict[str, Any] = {"version": screen.version, "clock": screen.clock}
    if screen.version != have:
        changed["log"] = screen.log()
    changed |= {"typing": screen.is_typing, "unread": screen.unread(), "news": screen.news()}
    return JSONResponse(changed)


@router.get("/phone/member/{who}/chats")
async def chat_list(screen: ScreenDep) -> Response:
    """All chats."""
    return _screen_page("chats.html", screen, lines=screens.lines(screen))


@router.get("/phone/member/{who}/about")
async def about(screen: ScreenDep) -> Response:
    """The account's page: follow, leave, scan; and what is special about this phone."""
    register.find_follower(screen.world, screen.who)
    return _screen_page("about.html", screen)


@router.get("/phone/member/{who}/scan")
async def scan_page(screen: ScreenDep) -> Response:
    """The camera: codes that the product has made, and a line to type another."""
    account = register.find_account(
        screen.world, register.find_follower(screen.world, screen.who).appid
    )
    codes = [
        {"scene": one.value, "ticket": one.ticket, "made": stamp(one.made_at, screen.now)}
        for one in reversed(account.belongings.scenes.values())
        if one.is_alive(screen.now)
    ]
    return _screen_page("scan.html", screen, codes=codes[:30])


@router.get("/phone/member/{who}/friends")
async def friends_page(
    screen: ScreenDep,
    key: str = "",
    url: str = "",
    title: str = "",
    q: Annotated[str, Query(max_length=40)] = "",
) -> Response:
    """Choose a friend: to write to, or to pass a message or a page on to."""
    bubble = chats.find(screen.world, key)
    what = (bubble.text if bubble else title or url).split("\n")[0][:60]
    found = screens.friends(screen, q)
    return _screen_page("friends.html", screen, found=found, key=key, url=url, what=what, q=q)


def _screen_page(template: str, screen: Screen, **values: Any) -> Response:
    return page(template, screen=screen, me=face(screen.name), **values)
