"""What people do with a consumer's phone beyond writing: scan, tap the menu, send a picture, a
voice or a place, and pass a message on to a friend.

Sources: wechat-oa.md §2.2 (messages), §2.3 (events), §8 (codes), §10.1 (menu).
"""

import secrets
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sandbox import menus, talk
from sandbox.inboxes import FRIEND, show
from sandbox.markup import leaf
from sandbox.push import Delivery
from sandbox.state import Bubble, Follower, World
from sandbox.talk import Pusher

_SCALE = 16


@dataclass(frozen=True)
class Place:
    """Somewhere on a map."""

    name: str
    latitude: float
    longitude: float


async def scan(pusher: Pusher, follower: Follower, asked: str, *, now: datetime) -> Delivery | None:
    """Scan a code, named by its scene, ticket or address; None when it has expired.

    A scene that no code holds is taken as typed. Whoever does not follow yet does so by the scan.
    """
    code = pusher.world.wechat.accounts[follower.appid].belongings.scene(asked)
    if code is not None and not code.is_alive(now):
        return None
    scene, ticket = (code.value, code.ticket) if code else (asked, secrets.token_urlsafe(66))
    event, key = ("SCAN", scene) if follower.is_subscribed else ("subscribe", f"qrscene_{scene}")
    extra = leaf("Ticket", ticket)
    return await talk.act(pusher, follower, event, key=key, extra=extra, now=now)


async def tap_menu(pusher: Pusher, follower: Follower, path: str, *, now: datetime) -> str:
    """Tap the button at a path such as `0` or `1.2`; gives the page that it opens, if any.

    Kinds that the stand-in has no screen for do nothing.
    """
    button = _button(menus.shown(pusher.world.wechat.accounts[follower.appid]), path)
    if button.get("type") == "view":
        url = str(button["url"])
        await talk.act(pusher, follower, "VIEW", key=url, extra=leaf("MenuId", 1), now=now)
        return url
    if button.get("type") == "click":
        await talk.act(pusher, follower, "CLICK", key=str(button["key"]), now=now)
    return ""


def _button(buttons: list[dict[str, Any]], path: str) -> dict[str, Any]:
    """The button at a path; an empty one when the menu has changed meanwhile."""
    button: dict[str, Any] = {}
    for step in path.split("."):
        if not step.isdecimal() or int(step) >= len(buttons):
            return {}
        button = buttons[int(step)]
        buttons = button.get("sub_button") or []
    return button


async def send_picture(pusher: Pusher, follower: Follower, url: str, *, now: datetime) -> Delivery:
    """Send a picture that the door may look at under `url`."""
    bubble = Bubble(now, "wechat", True, "image", "[图片]", {"picture": url})
    fields = [leaf("PicUrl", url), leaf("MediaId", secrets.token_urlsafe(48))]
    return await talk.send(pusher, follower, bubble, fields)


async def send_voice(pusher: Pusher, follower: Follower, words: str, *, now: datetime) -> Delivery:
    """Send a voice; the words are what speech recognition made of it, blank when it is off."""
    seconds = max(1, min(60, len(words) // 4 + 1))
    bubble = Bubble(now, "wechat", True, "voice", words, {"seconds": seconds})
    fields = [leaf("MediaId", secrets.token_urlsafe(48)), leaf("Format", "amr")]
    if words:
        fields.append(leaf("Recognition", words))
    return await talk.send(pusher, follower, bubble, fields)


async def send_place(
    pusher: Pusher, follower: Follower, place: Place, *, now: datetime
) -> Delivery:
    """Send a place."""
    facts = {"latitude": place.latitude, "longitude": place.longitude}
    bubble = Bubble(now, "wechat", True, "location", place.name, facts)
    fields = [
        leaf("Location_X", place.latitude),
        leaf("Location_Y", place.longitude),
        leaf("Scale", _SCALE),
        leaf("Label", place.name),
    ]
    return await talk.send(pusher, follower, bubble, fields)


def pass_on(world: World, sender: str, receiver: str, bubble: Bubble, *, now: datetime) -> None:
    """Pass a message on to a friend's chat: they see the words and the links, not who wrote it."""
    kept = {name: bubble.facts[name] for name in _KEPT & bubble.facts.keys()}
    copy = replace(bubble, at=now, channel=FRIEND)
    show(world, sender, replace(copy, is_own=True, facts={**kept, "friend": receiver}))
    show(world, receiver, replace(copy, is_own=False, facts={**kept, "friend": sender}))


# What a copy shows beside its text.
_KEPT = frozenset({"url", "description", "picurl", "items", "attachments", "picture"})
