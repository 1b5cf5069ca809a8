"""WeChat's pushes as our own messages (wechat-oa.md §2)."""

import hashlib
import re
from dataclasses import dataclass
from typing import Any

from bot.fields import BadCallback, Fields, many, parse, required, text_of
from bot.messages import (
    Follow,
    Leaving,
    Menu,
    Message,
    NoticeAnswer,
    Other,
    Place,
    Scan,
    Text,
)
from bot.wechat import reports

_SCENE_PREFIX = "qrscene_"
_MENU_EVENTS = frozenset({"click", "scancode_push", "scancode_waitmsg"})
_NOTICE_EVENTS = {
    "subscribe_msg_popup_event": "SubscribeMsgPopupEvent",
    "subscribe_msg_change_event": "SubscribeMsgChangeEvent",
}
# Whoever unfollows or takes a permission back has their data deleted (§2.3).
_REVOKED = frozenset({"user_authorization_revoke", "user_authorization_cancellation"})
_MESSAGE_ID = re.compile(r"[0-9]{1,20}", re.ASCII)
_DEGREES = re.compile(r"-?[0-9]{1,3}(\.[0-9]{1,20})?", re.ASCII)
# An openid has 28 characters; nothing the platform sends as a sender is longer than this.
_LONGEST_ID = 64


@dataclass(frozen=True)
class Said:
    """A push: who, to which account, what, and the id under which it is kept once."""

    sender: str
    receiver: str
    kind: str
    message: Message
    platform_id: str

    @property
    def payload(self) -> dict[str, Any]:
        """What is worth keeping of the message: of somebody who leaves, nothing."""
        return {} if isinstance(self.message, Leaving) else dict(vars(self.message))


def read(plain: bytes) -> Said:
    """The decrypted XML as a message."""
    fields = parse(plain)
    sender = _short(required(fields, "FromUserName"))
    kind = _short(required(fields, "MsgType").lower())
    if kind == "event":
        # The case of event names differs by family.
        kind = _short(required(fields, "Event").lower())
        message, platform_id = _event(kind, sender, fields), _digest(plain)
    else:
        message, platform_id = _message(kind, fields), f"{_message_id(fields)}:{sender}"
    return Said(sender, required(fields, "ToUserName"), kind, message, platform_id)


def _message(kind: str, fields: Fields) -> Message:
    # A tap on an item of a menu in the chat arrives as text, but opens only a menu's window.
    tapped = text_of(fields, "bizmsgmenuid").strip()
    if tapped:
        return Menu(tapped)
    match kind:
        case "text":
            return Text(text_of(fields, "Content"))
        case "voice":
            # Words only where the account lets WeChat recognise speech.
            words = text_of(fields, "Recognition").strip()
            return Text(words) if words else Other(kind)
        case "location":
            return _place(fields) or Other(kind)
        case _:
            return Other(kind)


def _event(event: str, sender: str, fields: Fields) -> Message:
    if event in _REVOKED:
        # Its sender is the platform; the person stands inside.
        return Leaving(_short(text_of(fields, "OpenID").strip()) or sender, event)
    if event in _NOTICE_EVENTS:
        return _notice_answer(many(fields, _NOTICE_EVENTS[event]))
    key = text_of(fields, "EventKey").strip()
    if event in _MENU_EVENTS:
        return Menu(key)
    acts: dict[str, Message] = {
        "subscribe": Follow(key.removeprefix(_SCENE_PREFIX)),
        "scan": Scan(key),
        "unsubscribe": Leaving(sender, event),
    }
    return acts.get(event) or reports.read(event, fields)


def _place(fields: Fields) -> Place | None:
    latitude = text_of(fields, "Location_X").strip()
    longitude = text_of(fields, "Location_Y").strip()
    if not _DEGREES.fullmatch(latitude) or not _DEGREES.fullmatch(longitude):
        return None
    return Place(float(latitude), float(longitude), text_of(fields, "Label").strip())


def _notice_answer(answers: list[Fields]) -> NoticeAnswer:
    given: dict[str, list[str]] = {"accept": [], "reject": []}
    for answer in answers:
        for item in many(answer, "List"):
            status = text_of(item, "SubscribeStatusString").strip().lower()
            if status in given:
                given[status].append(required(item, "TemplateId"))
    return NoticeAnswer(tuple(given["accept"]), tuple(given["reject"]))


def _short(name: str) -> str:
    if len(name) > _LONGEST_ID:
        raise BadCallback("An id is too long.")
    return name


def _message_id(fields: Fields) -> str:
    number = required(fields, "MsgId")
    if not _MESSAGE_ID.fullmatch(number):
        raise BadCallback("The MsgId is not a number.")
    return number


def _digest(plain: bytes) -> str:
    # Two events of one person in one second differ somewhere in the XML (wecom.md §1.5).
    return hashlib.sha256(plain).hexdigest()
