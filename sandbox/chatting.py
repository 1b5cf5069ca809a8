"""What a guide and a customer write to each other by hand: no app of the corp hears of it."""

from datetime import datetime

from sandbox import register
from sandbox.inboxes import show
from sandbox.state import Bubble, Link, World

CHANNEL = "wecom_chat"
# What stands in the chat with a guide, on both phones.
OF_GUIDES = frozenset({"wecom_broadcast", CHANNEL, "wecom_welcome"})


def guide_writes(
    world: World, userid: str, external_userid: str, text: str, *, now: datetime
) -> None:
    """The guide writes to a customer. Refuses `Unknown` for who are no contacts."""
    _write(world, userid, external_userid, text, is_own=False, now=now)


def customer_writes(
    world: World, userid: str, external_userid: str, text: str, *, now: datetime
) -> None:
    """The customer writes to a guide. Refuses `Unknown` for who are no contacts."""
    _write(world, userid, external_userid, text, is_own=True, now=now)


def lines(world: World, userid: str, external_userid: str) -> list[Bubble]:
    """Both sides of a chat, oldest first, as they lie on the customer's phone."""
    return [
        bubble
        for bubble in world.inboxes.get(external_userid, [])
        if bubble.channel in OF_GUIDES and bubble.facts.get("userid") == userid
    ]


def link_of(world: World, userid: str, external_userid: str) -> Link:
    """How the two know each other. Refuses `Unknown`."""
    link = register.find_customer(world, external_userid).links.get(userid)
    if link is None:
        raise register.Unknown(f"contact of {userid}", external_userid)
    return link


def _write(
    world: World, userid: str, external_userid: str, text: str, *, is_own: bool, now: datetime
) -> None:
    with world.wecom.lock:
        link_of(world, userid, external_userid).last_chat_at = now
        show(world, external_userid, Bubble(now, CHANNEL, is_own, "text", text, {"userid": userid}))
