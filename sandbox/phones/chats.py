"""The chats of one person: with the account, with each guide and friend, and the text messages."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from sandbox.chatting import OF_GUIDES
from sandbox.inboxes import FRIEND, ids_of_same_person
from sandbox.state import Bubble, World

BRAND, SMS = "brand", "sms"
_PREVIEW = 24


@dataclass(frozen=True)
class Kept:
    """A bubble and where it lies: the inbox and the place in it, which never change."""

    inbox: str
    place: int
    bubble: Bubble

    @property
    def key(self) -> str:
        """Its name in a form."""
        return f"{self.inbox}:{self.place}"


@dataclass(frozen=True)
class Chat:
    """A line of the list of chats."""

    key: str
    title: str
    preview: str
    last: Bubble | None
    unread: int


def chat_of(bubble: Bubble) -> str:
    """Which chat a bubble belongs to."""
    if bubble.channel == FRIEND:
        return f"friend-{bubble.facts['friend']}"
    if bubble.channel in OF_GUIDES:
        return f"guide-{bubble.facts['userid']}"
    return SMS if bubble.channel == "sms" else BRAND


def inboxes_of(world: World, person: str) -> list[str]:
    """Where a person's messages lie: under each of their ids, and under the number of the phone."""
    follower = world.wechat.followers.get(person)
    mobile = [follower.mobile] if follower and follower.mobile else []
    return [*ids_of_same_person(world, person), *mobile]


def kept(world: World, person: str) -> Mapping[str, list[Kept]]:
    """All that lies on a person's phone, by chat, oldest first."""
    found: dict[str, list[Kept]] = defaultdict(list)
    everything = [
        Kept(one, place, bubble)
        for one in inboxes_of(world, person)
        for place, bubble in enumerate(world.inboxes.get(one, []))
    ]
    for one in sorted(everything, key=lambda one: one.bubble.at):
        found[chat_of(one.bubble)].append(one)
    return found


def find(world: World, key: str) -> Bubble | None:
    """The bubble of a key."""
    inbox, _, place = key.rpartition(":")
    bubbles = world.inboxes.get(inbox, [])
    return bubbles[int(place)] if place.isdecimal() and int(place) < len(bubbles) else None


def look_at(world: World, person: str, chat: str, number: int) -> None:
    """The person has seen so many bubbles of a chat."""
    world.looked_at[person, chat] = number


def unread(world: World, person: str, chat: str, found: list[Kept]) -> list[Kept]:
    """What has come in since the person last looked."""
    fresh = found[world.looked_at[person, chat] :]
    return [one for one in fresh if not one.bubble.is_own]


def listed(world: World, person: str) -> list[Chat]:
    """The list of chats, the newest first; the account is there before anything was said."""
    found = dict(kept(world, person))
    if person in world.wechat.followers:
        found.setdefault(BRAND, [])
    chats = [_line(world, person, chat, bubbles) for chat, bubbles in found.items()]
    return sorted(chats, key=lambda one: -one.last.at.timestamp() if one.last else 0)


def _line(world: World, person: str, chat: str, found: list[Kept]) -> Chat:
    last = found[-1].bubble if found else None
    preview = (last.text or "[语音]").split("\n")[0][:_PREVIEW] if last else "还没有消息"
    number = len(unread(world, person, chat, found))
    return Chat(chat, title(world, person, chat), preview, last, number)


def title(world: World, person: str, chat: str) -> str:
    """What stands above a chat."""
    kind, _, who = chat.partition("-")
    if kind == "friend":
        return name_of(world, who)
    if kind == "guide":
        guide = world.wecom.guides.get(who)
        return f"{guide.name if guide else who} @企业微信"
    follower = world.wechat.followers.get(person)
    if chat == SMS or follower is None:
        return "短信" if chat == SMS else "微信"
    return world.wechat.accounts[follower.appid].name


def name_of(world: World, person: str) -> str:
    """What others call a person."""
    follower, customer = world.wechat.followers.get(person), world.wecom.customers.get(person)
    known = follower.nickname if follower else customer.name if customer else ""
    return known or person
