"""What WeCom remembers of a corp besides its people: codes, tags, welcomes, transfers, messages."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime


@dataclass
class ContactWay:
    """A code behind which guides stand (wecom.md §4.1)."""

    config_id: str
    owner: str
    kind: int
    userids: list[str]
    state: str
    remark: str
    qr_code: str
    made_at: datetime
    turn: int = 0


@dataclass
class WelcomeCode:
    """Given to every app with one event; the first that comes has it (wecom.md §4.2)."""

    value: str
    userid: str
    external_userid: str
    made_at: datetime
    taken_at: datetime | None = None


@dataclass
class CorpTag:
    """A tag of a group; `owner` is the app that made it, empty for the console."""

    tag_id: str
    name: str
    owner: str
    made_at: datetime
    order: int = 0


@dataclass
class TagGroup:
    """A group of tags; without tags it is none."""

    group_id: str
    name: str
    made_at: datetime
    order: int = 0
    tags: dict[str, CorpTag] = field(default_factory=dict)


@dataclass
class Handing:
    """A customer on the way from one guide to another (wecom.md §4.5)."""

    giver: str
    taker: str
    external_userid: str
    has_left: bool
    asked_at: datetime
    takeover_at: datetime
    status: int
    words: str = ""


@dataclass
class SentMessage:
    """An app message, as long as it can be recalled or changed."""

    msgid: str
    owner: str
    at: datetime
    userids: list[str]


@dataclass
class ResponseCode:
    """Changes one card once within 72 hours; of a tap it changes only the tapper's."""

    owner: str
    at: datetime
    task_id: str
    msgid: str = ""
    userid: str = ""
    is_used: bool = False


@dataclass
class Department:
    """A department of the corp."""

    number: int
    name: str = ""
    parent: int = 1


@dataclass
class PageTicket:
    """A ticket that pages sign with (wecom.md §6.2)."""

    value: str
    expires_at: datetime


@dataclass
class Corp:
    """All of it."""

    ways: dict[str, ContactWay] = field(default_factory=dict)
    welcome_codes: dict[str, WelcomeCode] = field(default_factory=dict)
    tag_groups: dict[str, TagGroup] = field(default_factory=dict)
    handings: list[Handing] = field(default_factory=list)
    messages: dict[str, SentMessage] = field(default_factory=dict)
    response_codes: dict[str, ResponseCode] = field(default_factory=dict)
    departments: dict[int, Department] = field(default_factory=dict)
    # By kind and owner; when each was asked for; which page may call what, on whose phone.
    tickets: dict[tuple[str, str], PageTicket] = field(default_factory=dict)
    ticket_calls: dict[tuple[str, str], list[datetime]] = field(
        default_factory=lambda: defaultdict(list)
    )
    pages: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    # How long a welcome is being sent, in which other apps are told to wait.
    welcome_seconds: float = 0.0
    # Calls of one API at once above which the corp is told so; none for no limit.
    most_at_once: int | None = None
    at_work: Counter[str] = field(default_factory=Counter)

    @property
    def tags(self) -> dict[str, CorpTag]:
        """All tags of all groups."""
        return {key: tag for group in self.tag_groups.values() for key, tag in group.tags.items()}

    def group_of(self, tag_id: str) -> TagGroup | None:
        """The group that a tag stands in."""
        return next((one for one in self.tag_groups.values() if tag_id in one.tags), None)
