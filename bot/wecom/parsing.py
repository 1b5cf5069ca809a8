"""WeCom's pushes to an app as plain facts (wecom.md §1.4)."""

import hashlib
from dataclasses import asdict, dataclass
from typing import Any

from bot.fields import BadCallback, parse, required, text_of

# userid has at most 64 characters, external_userid is shorter.
_LONGEST_ID = 64


@dataclass(frozen=True)
class Pushed:
    """One push; `event` is empty for a message, other fields where they do not apply."""

    sender: str
    receiver: str
    kind: str
    event: str
    key: str
    change: str
    userid: str
    external_userid: str
    task_id: str
    platform_id: str

    @property
    def payload(self) -> dict[str, Any]:
        """What is worth keeping of the push."""
        return {name: value for name, value in asdict(self).items() if value}


def read(plain: bytes) -> Pushed:
    """The decrypted XML as a push."""
    fields = parse(plain)
    kind = required(fields, "MsgType").lower()
    sender = required(fields, "FromUserName")
    pushed = Pushed(
        sender=sender,
        receiver=required(fields, "ToUserName"),
        kind=kind,
        event=text_of(fields, "Event").strip().lower(),
        key=text_of(fields, "EventKey").strip(),
        change=text_of(fields, "ChangeType").strip().lower(),
        userid=text_of(fields, "UserID").strip(),
        external_userid=text_of(fields, "ExternalUserID").strip(),
        task_id=text_of(fields, "TaskId").strip(),
        # A retry repeats the plain text; sender and second alone would drop real events.
        platform_id=hashlib.sha256(plain).hexdigest(),
    )
    if max(len(sender), len(pushed.userid), len(pushed.external_userid)) > _LONGEST_ID:
        raise BadCallback("An id is too long.")
    return pushed
