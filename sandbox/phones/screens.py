"""What stands on a consumer's phone: the chat that is open, its menu, the news from elsewhere."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sandbox import menus, register
from sandbox.menus import Button
from sandbox.phones import chats, people
from sandbox.phones.chats import BRAND, Kept
from sandbox.phones.rendering import render
from sandbox.phones.rows import Chatting, Face, face, names_of_keys, stamp
from sandbox.state import Account, Follower, World

_CHINA = ZoneInfo("Asia/Shanghai")
_ROWS = 200
# A message from another chat shows as a banner while it is so fresh and unread.
_NEWS = timedelta(minutes=10)


@dataclass(frozen=True)
class Screen:
    """One chat open on one person's phone, at a moment."""

    world: World
    who: str
    chat: str
    now: datetime

    @property
    def follower(self) -> Follower | None:
        """The person as the official account knows them; none for a customer of guides only."""
        return self.world.wechat.followers.get(self.who)

    @property
    def account(self) -> Account | None:
        """The account that they can follow."""
        return self.world.wechat.accounts[self.follower.appid] if self.follower else None

    @property
    def name(self) -> str:
        """Whose phone it is."""
        return chats.name_of(self.world, self.who)

    @property
    def title(self) -> str:
        """What stands above the chat."""
        return chats.title(self.world, self.who, self.chat)

    @property
    def clock(self) -> str:
        """The sandbox's time as a phone shows it."""
        return f"{self.now.astimezone(_CHINA):%H:%M}"

    @property
    def is_typing(self) -> bool:
        """The account shows that it is writing."""
        until = self.follower.typing_until if self.follower and self.chat == BRAND else None
        return until is not None and until > self.now

    @property
    def menu(self) -> list[Button]:
        """The account's menu, below its own chat."""
        return menus.buttons(self.account) if self.account and self.chat == BRAND else []

    @property
    def may_write(self) -> bool:
        """There is somebody to write to: an account that is followed, or a friend."""
        if self.chat == BRAND:
            return self.follower is not None and self.follower.is_subscribed
        return self.chat.startswith(("friend-", "guide-"))

    @property
    def bubbles(self) -> list[Kept]:
        """What lies in the chat."""
        return chats.kept(self.world, self.who).get(self.chat, [])

    @property
    def version(self) -> str:
        """Changes whenever the phone would show something else."""
        inboxes = chats.inboxes_of(self.world, self.who)
        everything = sum(len(self.world.inboxes.get(one, [])) for one in inboxes)
        return f"{everything}-{self.is_typing:d}-{self.may_write:d}"

    def log(self) -> str:
        """The chat as HTML; whoever sees it has looked at all of it."""
        found = self.bubbles
        chats.look_at(self.world, self.who, self.chat, len(found))
        names = names_of_keys(self.account)
        chatting = Chatting(self.who, face(self.name), self.other_face, names, self.now)
        return render("_log.html", rows=chatting.rows(found[-_ROWS:]), who=self.who)

    @property
    def other_face(self) -> Face:
        """The face on the other side; the account's is always green."""
        return Face("知", 150) if self.chat == BRAND else face(self.title)

    def news(self) -> dict[str, str] | None:
        """The newest unread message from another chat."""
        everything = chats.kept(self.world, self.who)
        fresh = [
            (one, chat)
            for chat, found in everything.items()
            if chat != self.chat
            for one in chats.unread(self.world, self.who, chat, found)
            if self.now - one.bubble.at < _NEWS
        ]
        if not fresh:
            return None
        one, chat = max(fresh, key=lambda pair: pair[0].bubble.at)
        title = chats.title(self.world, self.who, chat)
        return {"key": one.key, "chat": chat, "title": title, "text": one.bubble.text}

    def unread(self) -> int:
        """How many messages wait in other chats."""
        everything = chats.kept(self.world, self.who)
        return sum(
            len(chats.unread(self.world, self.who, chat, found))
            for chat, found in everything.items()
            if chat != self.chat
        )


def open_screen(world: World, who: str, chat: str, *, now: datetime) -> Screen:
    """A phone with a chat open; without one named, the account's, or that of the first guide.

    Refuses `Unknown` people.
    """
    if who not in world.wechat.followers:
        register.find_customer(world, who)
    default = BRAND
    if who not in world.wechat.followers:
        default = next(iter(chats.kept(world, who)), BRAND)
    return Screen(world, who, chat or default, now)


@dataclass(frozen=True)
class Line:
    """A chat in the list."""

    key: str
    title: str
    preview: str
    time: str
    unread: int
    face: Face


def lines(screen: Screen) -> list[Line]:
    """The list of chats."""
    return [
        Line(
            one.key,
            one.title,
            one.preview,
            stamp(one.last.at, screen.now) if one.last else "",
            one.unread,
            Face("知", 150) if one.key == BRAND else face(one.title),
        )
        for one in chats.listed(screen.world, screen.who)
    ]


@dataclass(frozen=True)
class Friend:
    """Somebody to write to."""

    who: str
    name: str
    face: Face


def friends(screen: Screen, q: str) -> list[Friend]:
    """A few of the others who have WeChat: those talked to first, then the newest phones."""
    everybody = reversed(people.members(screen.world))
    others = [one for one in everybody if one.who != screen.who]
    known = [one.key for one in chats.listed(screen.world, screen.who)]
    others.sort(key=lambda one: f"friend-{one.who}" not in known)
    fitting = [one for one in others if q in one.name or q in one.who]
    return [Friend(one.who, one.name, face(one.name)) for one in fitting[:20]]
