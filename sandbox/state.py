"""The memory of the sandbox: accounts, people, inboxes, the journal and the misbehaviour asked
for.

One process, one `World`; each server's part has its own lock. Only receipts are written to disk,
and only when asked for: what people have received outlives the sandbox.
People: a follower (WeChat official account), a guide (member of the corp in WeCom) and a
customer (external contact of guides).
"""

import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from threading import RLock
from typing import Any, Literal

from sandbox.belongings import Belongings
from sandbox.corp_state import Corp
from sandbox.tokens import TokenBook

QuotaMode = Literal["days_in_month", "week_7", "day_1"]


@dataclass(frozen=True)
class Door:
    """A callback door of the product and the secrets it shares with the platform.

    `receiver` ends every encrypted block (AppID or corp id); `address` is the `ToUserName`
    (`gh_…` or corp id).
    """

    url: str
    token: str
    aes_key: str
    receiver: str
    address: str
    agentid: int | None = None

    @property
    def owner(self) -> str:
        """The account, as tokens and misbehaviour name it."""
        return self.receiver if self.agentid is None else f"{self.receiver}:{self.agentid}"


@dataclass
class Account:
    """A WeChat official account."""

    appid: str
    secret: str
    token: str
    aes_key: str
    original_id: str
    door_url: str
    name: str = "公众号"
    oauth_domain: str = ""
    templates: dict[str, list[str]] = field(default_factory=dict)
    allowed_ips: list[str] = field(default_factory=list)
    menu: list[dict[str, Any]] = field(default_factory=list)
    daily_limits: dict[str, int] = field(default_factory=dict)
    belongings: Belongings = field(default_factory=Belongings)

    @property
    def door(self) -> Door:
        """Where its callbacks go."""
        return Door(self.door_url, self.token, self.aes_key, self.appid, self.original_id)


@dataclass
class WecomApp:
    """A self-built app of the corp; an empty `visible_userids` shows it to everyone."""

    corpid: str
    secret: str
    agentid: int
    token: str = ""
    aes_key: str = ""
    door_url: str = ""
    name: str = "应用"
    oauth_domain: str = ""
    visible_userids: list[str] = field(default_factory=list)
    has_contact_permission: bool = True
    allowed_ips: list[str] = field(default_factory=list)

    @property
    def owner(self) -> str:
        """Who holds its tokens: a token is good for one app only."""
        return f"{self.corpid}:{self.agentid}"

    @property
    def door(self) -> Door:
        """Where its callbacks go."""
        return Door(self.door_url, self.token, self.aes_key, self.corpid, self.corpid, self.agentid)


@dataclass
class Grant:
    """A window opened by an act of the follower: so many messages until then."""

    left: int
    until: datetime


@dataclass
class Follower:
    """A WeChat person as one official account knows them."""

    openid: str
    appid: str
    unionid: str = ""
    nickname: str = ""
    is_subscribed: bool = True
    subscribed_at: datetime | None = None
    scene: str = ""
    mobile: str = ""
    has_blocked_templates: bool = False
    acted_at: datetime | None = None
    typing_until: datetime | None = None
    grants: dict[str, Grant] = field(default_factory=dict)
    acceptances: Counter[str] = field(default_factory=Counter)


@dataclass
class Guide:
    """A member of the corp in WeCom."""

    userid: str
    name: str
    is_active: bool = True
    departments: list[int] = field(default_factory=lambda: [1])
    leads: list[int] = field(default_factory=list)
    left_at: datetime | None = None
    # 84074 for who may have no customers; a full one can take over nobody.
    has_customers: bool = True
    most_customers: int | None = None
    # The console has a welcome text for this guide, so that no app gets a code (wecom.md §1.4).
    has_console_welcome: bool = False


@dataclass
class Link:
    """The contact between one guide and one customer."""

    created_at: datetime
    last_chat_at: datetime
    remark: str = ""
    description: str = ""
    mobiles: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    state: str = ""
    # The customer has deleted the guide, who still has the customer: a contact is one-way.
    is_left: bool = False
    # The guide has not agreed yet; calls about the pair are answered 84061 until then.
    is_half: bool = False


@dataclass
class Customer:
    """An external contact: who has them, and when broadcasts reached them."""

    external_userid: str
    name: str = ""
    unionid: str = ""
    links: dict[str, Link] = field(default_factory=dict)
    broadcasts_at: list[datetime] = field(default_factory=list)


@dataclass
class Code:
    """An OAuth code: five minutes, one use."""

    value: str
    owner: str
    person: str
    scope: str
    expires_at: datetime
    is_used: bool = False
    is_snapshot: bool = False


@dataclass
class Outcome:
    """What became of one customer in a broadcast: 0 unsent, 1 sent, 2 no contact, 3 quota used
    up.
    """

    status: int = 0
    sent_at: datetime | None = None


@dataclass
class BroadcastTask:
    """The part of a broadcast that one guide has to confirm."""

    userid: str
    recipients: dict[str, Outcome]
    confirmed_at: datetime | None = None


@dataclass
class Broadcast:
    """A broadcast made by the API (企业群发): nothing leaves before the guides confirm."""

    msgid: str
    owner: str
    created_at: datetime
    text: str
    attachments: list[dict[str, Any]]
    may_select: bool
    tasks: dict[str, BroadcastTask]
    creator: str = ""
    cancelled_at: datetime | None = None
    reminded_at: list[datetime] = field(default_factory=list)


@dataclass(frozen=True)
class Bubble:
    """One thing a person saw or wrote on their phone."""

    at: datetime
    channel: str
    is_own: bool
    kind: str
    text: str
    facts: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The bubble for the control API."""
        plain = {"at": self.at.isoformat(), "channel": self.channel, "kind": self.kind}
        return {**plain, "from_me": self.is_own, "text": self.text, **self.facts}


@dataclass(frozen=True)
class Push:
    """A callback still to be pushed because of an API call, such as a delivery report."""

    door: Door
    sender: str
    xml: str


@dataclass
class WechatState:
    """Everything WeChat remembers."""

    lock: RLock = field(default_factory=RLock)
    accounts: dict[str, Account] = field(default_factory=dict)
    followers: dict[str, Follower] = field(default_factory=dict)
    tokens: TokenBook = field(default_factory=TokenBook)
    codes: dict[str, Code] = field(default_factory=dict)
    page_tokens: dict[str, Code] = field(default_factory=dict)
    calls_per_day: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    forced_at: dict[str, datetime] = field(default_factory=dict)
    client_msg_ids: dict[tuple[str, str], tuple[datetime, int]] = field(default_factory=dict)
    pushes: list[Push] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(24_000_000_000_000_001))


@dataclass
class WecomState:
    """Everything WeCom remembers."""

    lock: RLock = field(default_factory=RLock)
    apps: dict[str, WecomApp] = field(default_factory=dict)
    guides: dict[str, Guide] = field(default_factory=dict)
    customers: dict[str, Customer] = field(default_factory=dict)
    contacts_of: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    broadcasts: dict[str, Broadcast] = field(default_factory=dict)
    tokens: TokenBook = field(default_factory=TokenBook)
    codes: dict[str, Code] = field(default_factory=dict)
    task_ids: set[tuple[str, str]] = field(default_factory=set)
    corp: Corp = field(default_factory=Corp)
    sent_at: dict[tuple[str, str], list[datetime]] = field(
        default_factory=lambda: defaultdict(list)
    )
    duplicates: dict[str, tuple[datetime, str]] = field(default_factory=dict)
    pushes: list[Push] = field(default_factory=list)
    quota_mode: QuotaMode = "days_in_month"
    # How long a new broadcast answers 41063 to queries; the real length is not known.
    dispatch_seconds: float = 0.0
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1_000_001))


@dataclass
class Journal:
    """Append-only: every call, push and receipt, in order; receipts as lines in `file`, too."""

    entries: list[dict[str, Any]] = field(default_factory=list)
    file: Path | None = None

    def note(self, kind: str, *, now: datetime, **facts: Any) -> None:
        """Write one entry."""
        entry = {"n": len(self.entries) + 1, "at": now.isoformat(), "kind": kind, **facts}
        self.entries.append(entry)
        if self.file is not None and kind == "receipt":
            with self.file.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(entry, ensure_ascii=False) + "\n")


@dataclass
class Switch:
    """The next `left` calls of an endpoint, or callbacks to a door, misbehave in one way.

    A blank `owner` means every account. What the ways do: `sandbox/mischief.py`.
    """

    server: str
    path: str
    how: str
    left: int
    code: int = -1
    seconds: float = 0.0
    owner: str = ""

    def is_due(self, server: str, path: str, owner: str) -> bool:
        """It is for this call of this account, and not used up."""
        is_named = self.path in (path, "*") and self.owner in (owner, "")
        return self.left > 0 and self.server == server and is_named


@dataclass
class World:
    """The whole sandbox."""

    wechat: WechatState = field(default_factory=WechatState)
    wecom: WecomState = field(default_factory=WecomState)
    journal: Journal = field(default_factory=Journal)
    switches: list[Switch] = field(default_factory=list)
    inboxes: dict[str, list[Bubble]] = field(default_factory=lambda: defaultdict(list))
    # How many bubbles of each chat a person has looked at: (person, chat) → number.
    looked_at: Counter[tuple[str, str]] = field(default_factory=Counter)

    def take_switch(self, server: str, path: str, owner: str = "") -> Switch | None:
        """The misbehaviour due for this call, used up by one."""
        for switch in self.switches:
            if switch.is_due(server, path, owner):
                switch.left -= 1
                return switch
        return None
