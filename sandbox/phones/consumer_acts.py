"""What a tap on the consumer's phone does. A script asks for no page back; a browser is sent on."""

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Request
from fastapi.responses import JSONResponse, RedirectResponse
from starlette.responses import Response

from sandbox import chatting, gestures, register, talk
from sandbox.gestures import Place
from sandbox.inboxes import ids_of_same_person, show
from sandbox.phones import chats
from sandbox.phones.bubbles import be
from sandbox.phones.chats import BRAND
from sandbox.phones.rendering import world_of
from sandbox.state import Bubble, Follower
from sandbox.talk import Pusher
from store import clock

router = APIRouter(prefix="/phone/member/{who}", tags=["phones"], include_in_schema=False)
Text = Annotated[str, Form(max_length=4000)]


def _pusher(request: Request) -> Pusher:
    pusher: Pusher = request.app.state.pusher
    return pusher


def _follower(request: Request, who: str) -> Follower:
    return register.find_follower(world_of(request), who)


def _writer(request: Request, who: str) -> Follower | None:
    """Who may send to the account; whoever has left it since the page was opened is told."""
    follower = _follower(request, who)
    if follower.is_subscribed:
        return follower
    words = "您没有关注这个公众号，消息没有发出去"
    show(world_of(request), who, Bubble(clock.now(), "wechat_system", False, "system", words))
    return None


def _back(request: Request, who: str, chat: str = BRAND, **more: str) -> Response:
    """Back to the chat; a script, which reads the chat by itself, gets nothing."""
    if request.headers.get("x-live"):
        return Response(status_code=204)
    query = {name: value for name, value in {"chat": chat, **more}.items() if value}
    return RedirectResponse(f"/phone/member/{who}?{urlencode(query)}", 303)


@router.post("/say")
async def say(
    request: Request, who: str, text: Text = "", chat: Text = BRAND, menu_id: Text = ""
) -> Response:
    """Write to the account or to a friend, or tap an item of a menu in the chat."""
    words, now = text.strip(), clock.now()
    if words and chat.startswith("guide-"):
        _say_to_guide(request, who, chat.removeprefix("guide-"), words)
    elif words and chat.startswith("friend-"):
        bubble = Bubble(now, "wechat", True, "text", words)
        gestures.pass_on(world_of(request), who, chat.removeprefix("friend-"), bubble, now=now)
    elif words and (follower := _writer(request, who)):
        await talk.say(_pusher(request), follower, words, menu_id=menu_id, now=now)
    return _back(request, who, chat, keys="" if menu_id else "1")


def _say_to_guide(request: Request, who: str, userid: str, words: str) -> None:
    """A person is a customer under another id than the one they follow the account with."""
    world = world_of(request)
    own = [one for one in ids_of_same_person(world, who) if one in world.wecom.customers]
    for external_userid in own:
        if userid in world.wecom.customers[external_userid].links:
            chatting.customer_writes(world, userid, external_userid, words, now=clock.now())


@router.post("/menu")
async def tap_menu(request: Request, who: str, button: Text) -> Response:
    """Tap a button of the menu; a page that it opens is told to the script, or opened."""
    follower, url = _writer(request, who), ""
    if follower is not None:
        url = await gestures.tap_menu(_pusher(request), follower, button, now=clock.now())
    if not url:
        return _back(request, who)
    if request.headers.get("x-live"):
        return JSONResponse({"open": be(who, url)})
    return RedirectResponse(be(who, url), 303)


@router.post("/picture")
async def send_picture(request: Request, who: str, name: Text) -> Response:
    """Send a picture of the album."""
    url = str(request.url_for("phone-static", path=f"album-{name}.svg"))
    if follower := _writer(request, who):
        await gestures.send_picture(_pusher(request), follower, url, now=clock.now())
    return _back(request, who, keys="1")


@router.post("/voice")
async def send_voice(request: Request, who: str, text: Text = "") -> Response:
    """Send a voice; the words stand for what was said."""
    words = text.strip()
    if follower := _writer(request, who):
        await gestures.send_voice(_pusher(request), follower, words, now=clock.now())
    return _back(request, who, keys="1")


@router.post("/place")
async def send_place(
    request: Request,
    who: str,
    name: Text,
    latitude: Annotated[float, Form(ge=-90, le=90)],
    longitude: Annotated[float, Form(ge=-180, le=180)],
) -> Response:
    """Send a place."""
    place = Place(name, latitude, longitude)
    if follower := _writer(request, who):
        await gestures.send_place(_pusher(request), follower, place, now=clock.now())
    return _back(request, who, keys="1")


@router.post("/scan")
async def scan(request: Request, who: str, code: Text = "") -> Response:
    """Scan a code: of the account, or of any page, which then opens."""
    asked = code.strip()
    if asked.startswith(("http://", "https://")) and "weixin.qq.com/q/" not in asked:
        return RedirectResponse(be(who, asked), 303)
    if asked:
        now, follower = clock.now(), _follower(request, who)
        if await gestures.scan(_pusher(request), follower, asked, now=now) is None:
            expired = Bubble(now, "wechat_system", False, "system", "这个二维码已经过期")
            show(world_of(request), who, expired)
    return _back(request, who)


@router.post("/follow")
async def follow(request: Request, who: str) -> Response:
    """Follow the account, found by its name; a second tap does nothing."""
    follower = _follower(request, who)
    if not follower.is_subscribed:
        await talk.act(_pusher(request), follower, "subscribe", now=clock.now())
    return _back(request, who)


@router.post("/unfollow")
async def unfollow(request: Request, who: str) -> Response:
    """Leave the account; a second tap does nothing."""
    follower = _follower(request, who)
    if follower.is_subscribed:
        await talk.act(_pusher(request), follower, "unsubscribe", now=clock.now())
    return RedirectResponse(f"/phone/member/{who}/about", 303)


@router.post("/notices")
async def answer_notice(
    request: Request, who: str, template: Text, status: Text = "accept"
) -> Response:
    """Accept or refuse a subscription notice, as a page of the brand would ask."""
    follower = _follower(request, who)
    await talk.answer_notice(_pusher(request), follower, template, status=status, now=clock.now())
    return RedirectResponse(f"/phone/member/{who}/about", 303)


@router.post("/templates")
async def block_templates(request: Request, who: str) -> Response:
    """Refuse template messages in the settings of the account, or take them again."""
    follower = _follower(request, who)
    follower.has_blocked_templates = not follower.has_blocked_templates
    return RedirectResponse(f"/phone/member/{who}/about", 303)


@router.post("/forward")
async def forward(
    request: Request, who: str, friend: Text, key: Text = "", url: Text = "", title: Text = ""
) -> Response:
    """Pass a message or a page on to a friend, and open their chat."""
    world, now = world_of(request), clock.now()
    register.find_follower(world, friend)
    bubble = chats.find(world, key)
    if bubble is None and url.startswith(("http://", "https://")):
        facts = {"url": url, "description": "点开看看"}
        bubble = Bubble(now, "wechat", True, "news", title or url, facts)
    if bubble is not None:
        gestures.pass_on(world, who, friend, bubble, now=now)
    return RedirectResponse(f"/phone/member/{who}?{urlencode({'chat': f'friend-{friend}'})}", 303)
