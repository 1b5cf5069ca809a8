"""WeCom's pushes to an app as plain facts (wecom.md §1.4)."""

import hashlib
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from bot.fields import BadCallback, Fields, parse, required, text_of

# userid has at most 64 characters, external_userid is shorter.
_LONGEST_ID = 64
# Codes, keys and states; a longer one is nothing that WeCom sends.
_LONGEST_FACT = 1024
_NOBODY = "sys"
_FACTS = {
    "key": "EventKey",
    "task_id": "TaskId",
    "state": "State",
    "welcome_code": "WelcomeCode",
    "source": "Source",
    "fail_reason": "FailReason",
    "response_code": "ResponseCode",
    "tag_type": "TagType",
    "tag_id": "Id",
}


@dataclass(frozen=True)
class Pushed:
    """One push; `event` is empty for a message, other fields where they do not apply.

    `at` is the second that WeCom gives it, none where that is no time.
    """

    sender: str
    receiver: str
    kind: str
    event: str
    change: str
    userid: str
    external_userid: str
    platform_id: str
    at: datetime | None = None
    key: str = ""
    task_id: str = ""
    state: str = ""
    welcome_code: str = ""
    source: str = ""
    fail_reason: str = ""
    response_code: str = ""
    tag_type: str = ""
    tag_id: str = ""

    @property
    def payload(self) -> dict[str, Any]:
        """What is worth keeping of the push."""
        facts = asdict(self) | {"at": self.at.isoformat() if self.at else ""}
        return {name: value for name, value in facts.items() if value}


def read(plain: bytes) -> Pushed:
    """The decrypted XML as a push."""
    fields = parse(plain)
    pushed = Pushed(
        # The event of WeChat's customer service names nobody (wecom.md §1.4).
        sender=text_of(fields, "FromUserName").strip() or _NOBODY,
        receiver=required(fields, "ToUserName"),
        kind=required(fields, "MsgType").lower(),
        event=text_of(fields, "Event").strip().lower(),
        change=text_of(fields, "ChangeType").strip().lower(),
        userid=text_of(fields, "UserID").strip(),
        external_userid=text_of(fields, "ExternalUserID").strip(),
        # A retry repeats the plain text; sender and second alone would drop real events.
        platform_id=hashlib.sha256(plain).hexdigest(),
        at=_moment(fields),
        **{name: text_of(fields, tag).strip()[:_LONGEST_FACT] for name, tag in _FACTS.items()},
    )
    ids = (pushed.sender, pushed.userid, pushed.external_userid)
    if max(len(one) for one in ids) > _LONGEST_ID:
        raise BadCallback("An id is too long.")
    return pushed


def _moment(fields: Fields) -> datetime | None:
    """The second of the push; one beyond every calendar is none."""
    seconds = text_of(fields, "CreateTime").strip()
    if not seconds.isascii() or not seconds.isdecimal() or len(seconds) > len("9999999999"):
        return None
    return datetime.fromtimestamp(int(seconds), UTC)
