"""The bodies of the control API, as a demo driver or a test sends them."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from sandbox.mischief import Call, Carriage, Client
from sandbox.moving_clock import LONGEST
from sandbox.state import QuotaMode


class Form(BaseModel):
    """A body; a field that is not known is refused, so that a slip is seen."""

    model_config = ConfigDict(extra="forbid")


class AccountForm(Form):
    """A WeChat official account."""

    appid: str
    secret: str
    token: str
    aes_key: str = Field(min_length=43, max_length=43)
    original_id: str
    door_url: str
    name: str = "公众号"
    oauth_domain: str = ""
    templates: dict[str, list[str]] = {}
    allowed_ips: list[str] = []
    menu: list[dict[str, Any]] = []
    daily_limits: dict[str, int] = {}


class WecomAppForm(Form):
    """A self-built app of the corp."""

    corpid: str
    secret: str
    agentid: int
    token: str = ""
    aes_key: str = ""
    door_url: str = ""
    name: str = "应用"
    oauth_domain: str = ""
    visible_userids: list[str] = []
    has_contact_permission: bool = True
    allowed_ips: list[str] = []


class RegisterForm(Form):
    """Accounts and apps; one that is known already is replaced."""

    accounts: list[AccountForm] = []
    apps: list[WecomAppForm] = []


class FollowerForm(Form):
    """A WeChat person; `appid` may be left out when there is one account."""

    openid: str
    unionid: str = ""
    nickname: str = ""
    appid: str = ""
    mobile: str = ""
    is_subscribed: bool = True
    # Just now, so that five messages may go to them.
    has_written: bool = False


class GuideForm(Form):
    """A guide in WeCom."""

    userid: str
    name: str = ""
    is_active: bool = True
    departments: list[int] = [1]
    leads: list[int] = []
    has_customers: bool = True
    most_customers: int | None = None
    has_console_welcome: bool = False


class ContactForm(Form):
    """A customer of the guide under whose userid it stands."""

    external_userid: str
    unionid: str = ""
    name: str = ""
    last_chat_at: datetime | None = None


class PeopleForm(Form):
    """People in bulk: followers, guides, and the customers of each guide by userid."""

    followers: list[FollowerForm] = []
    guides: list[GuideForm] = []
    contacts: dict[str, list[ContactForm]] = {}


class SayForm(Form):
    """A follower writes. A `msg_id` given twice is a repeat; a `menu_id` makes it a tap on a
    menu item.
    """

    openid: str
    text: str = Field(min_length=1)
    msg_id: int | None = None
    menu_id: str = ""


class EventForm(Form):
    """A follower does something: `subscribe`, `unsubscribe`, `CLICK`, `SCAN`, `VIEW`."""

    openid: str
    event: str
    event_key: str = ""
    ticket: str = ""


class NoticeForm(Form):
    """A follower answers the question for a subscription notice."""

    openid: str
    template_id: str
    status: Literal["accept", "reject"] = "accept"


class GuideSayForm(Form):
    """A guide writes to the app; `agentid` may be left out when there is one app."""

    text: str = Field(min_length=1)
    agentid: int | None = None


class TapForm(Form):
    """A guide taps a button of a card."""

    task_id: str
    key: str
    agentid: int | None = None


class ConfirmForm(Form):
    """A guide confirms one broadcast, or all that wait; `only` picks customers where that is
    allowed.
    """

    msgid: str | None = None
    all: bool = False
    only: list[str] | None = None


class ChatForm(Form):
    """A guide writes to a customer by hand, as from the chat sidebar."""

    external_userid: str
    text: str = Field(min_length=1)


class UnlinkForm(Form):
    """A guide and a customer stop being contacts."""

    userid: str
    external_userid: str


class MisbehaveForm(Form):
    """The next `times` calls of a path (or of all, `*`), or callbacks to a door, misbehave.

    `account` is an appid or `corpid:agentid`; blank means all.
    """

    server: Literal["wechat", "wecom", "sms", "callback", "jssdk"]
    path: str = "*"
    account: str = ""
    how: Literal[Call, Carriage, Client]
    times: int = Field(default=1, ge=1)
    code: int = -1
    seconds: float = Field(default=0.0, ge=0.0, le=60.0)


class ClockForm(Form):
    """How far to move the clock ahead."""

    seconds: int = Field(ge=0, le=int(LONGEST.total_seconds()))


class SettingsForm(Form):
    """Rules that differ between corps or are not documented."""

    broadcast_quota: QuotaMode | None = None
    welcome_seconds: float | None = Field(default=None, ge=0.0)
    most_at_once: int | None = Field(default=None, ge=1)
    dispatch_seconds: float | None = Field(default=None, ge=0.0)


class DoorForm(Form):
    """Which door to knock at: of an official account, or of an app."""

    appid: str = ""
    agentid: int | None = None
