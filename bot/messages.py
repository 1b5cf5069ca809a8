"""What people say to the brand and what the brand answers, free of any protocol."""

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo


@dataclass(frozen=True)
class Text:
    """Words the person typed."""

    content: str


@dataclass(frozen=True)
class Menu:
    """A tap on a menu button, or on an item of a menu in the chat."""

    key: str


@dataclass(frozen=True)
class Follow:
    """The person follows the account, perhaps through a code with a scene."""

    scene: str = ""


@dataclass(frozen=True)
class Leaving:
    """The person unfollowed, or took back what they allowed: their data is to be deleted."""

    openid: str
    kind: str


@dataclass(frozen=True)
class Scan:
    """A follower scanned a code with a scene."""

    scene: str


@dataclass(frozen=True)
class NoticeAnswer:
    """The person allowed or refused notices: template ids."""

    accepted: tuple[str, ...] = ()
    rejected: tuple[str, ...] = ()


@dataclass(frozen=True)
class Place:
    """A place the person sent, in degrees."""

    latitude: float
    longitude: float
    label: str = ""


@dataclass(frozen=True)
class Other:
    """Something else that the person sent: a picture, a voice without words."""

    kind: str


@dataclass(frozen=True)
class Report:
    """What the platform tells the account, or what a person did that asks for nothing."""

    kind: str
    facts: dict[str, str] = field(default_factory=dict)


# What somebody does who wants something of us; the platform's events are no act of theirs.
Act = Text | Menu | Follow | Scan | NoticeAnswer | Place | Other
Message = Act | Leaving | Report


@dataclass(frozen=True)
class Reply:
    """An answer in words; a private one holds a secret and is kept sealed."""

    text: str
    is_private: bool = False
    # Words of a language model: the platform is told so, the words carry their own label.
    is_ai: bool = False


@dataclass(frozen=True)
class Card:
    """One article in the chat that opens a page; private when its words or link hold a secret."""

    title: str
    description: str
    url: str
    is_private: bool = False


@dataclass(frozen=True)
class Choices:
    """A question with answers to tap: (key, text) each; a tap comes back as `Menu(key)`.

    WeChat takes it only as a customer-service message, so it follows a moment after the callback.
    """

    head: str
    items: tuple[tuple[str, str], ...]
    tail: str = ""


@dataclass(frozen=True)
class Later:
    """The answer takes longer than a callback may: `wish` names who makes it, from plain facts.

    Makers are given to `bot.late`; what they make is sent as a customer-service message.
    """

    wish: str
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Transfer:
    """The message goes on to the agents in WeChat's own customer-service tool."""


@dataclass(frozen=True)
class Silence:
    """Nothing is to be said."""


# What a callback can be answered with at once, and what can follow as a message of its own.
Prompt = Reply | Card
Answer = Reply | Card | Choices | Later | Transfer | Silence


@dataclass(frozen=True)
class Wits:
    """What helps with words that no rule knows: the model of sentences, a language model."""

    understands: bool = True
    asks_model: bool = False


@dataclass(frozen=True)
class Turn:
    """One message of a person whom the door has verified; handlers know nobody else's ids."""

    message: Act
    member_id: int
    identity_id: int
    public_url: str
    zone: ZoneInfo
    step: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    wits: Wits = Wits()

    @property
    def words(self) -> str:
        """What was typed, or nothing."""
        return self.message.content if isinstance(self.message, Text) else ""

    def page(self, path: str) -> str:
        """The address of a member page."""
        return f"{self.public_url}/m/{path}"

    def local(self, moment: datetime) -> datetime:
        """A moment as the person's clock shows it."""
        return moment.astimezone(self.zone)

    def day(self, moment: datetime) -> date:
        """The day of a moment where the person is."""
        return self.local(moment).date()


def is_spoken(message: Message) -> bool:
    """The person wrote or sent something, rather than tapped or followed."""
    return isinstance(message, Text | Place | Other)
