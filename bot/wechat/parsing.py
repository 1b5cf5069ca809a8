"""WeChat's pushes as our own messages (wechat-oa.md §2)."""

import hashlib
import re
from dataclasses import asdict, dataclass
from typing import Any

from bot.fields import BadCallback, Fields, many, parse, required, text_of
from bot.messages import Follow, Menu, Message, NoticeAnswer, Other, Scan, Text, Unfollow

_SCENE_PREFIX = "qrscene_"
_MENU_EVENTS = frozenset({"click", "scancode_push", "scancode_waitmsg"})
_NOTICE_EVENTS = {
    "subscribe_msg_popup_event": "SubscribeMsgPopupEvent",
    "subscribe_msg_change_event": "SubscribeMsgChangeEvent",
}
_MESSAGE_ID = re.compile(r"[0-9]{1,20}", re.ASCII)
# An openid has 28 characters; nothing the platform sends as a sender is longer than this.
_LONGEST_SENDER = 64


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
        """What is worth keeping of the message."""
        return asdict(self.message)


def read(plain: bytes) -> Said:
    """The decrypted XML as a message."""
    fields = parse(plain)
    sender = required(fields, "FromUserName")
    if len(sender) > _LONGEST_SENDER:
        raise BadCallback("The sender's id is too long.")
    kind = required(fields, "MsgType").lower()
    is_event = kind == "event"
    return Said(
        sender=sender,
        receiver=required(fields, "ToUserName"),
        kind=required(fields, "Event").lower() if is_event else kind,
        message=_event(fields) if is_event else _message(kind, fields),
        platform_id=_digest(plain) if is_event else f"{_message_id(fields)}:{sender}",
    )


def _message(kind: str, fields: Fields) -> Message:
    # A tap on an item of a menu in the chat arrives as text, but opens only a menu's window.
    tapped = text_of(fields, "bizmsgmenuid").strip()
    if tapped:
        return Menu(tapped)
    if kind == "text":
        return Text(text_of(fields, "Content"))
    return Other(kind, is_spoken=True)


def _event(fields: Fields) -> Message:
    # The case of event names differs by family.
    event = required(fields, "Event").lower()
    key = text_of(fields, "EventKey").strip()
    if event in _MENU_EVENTS:
        return Menu(key)
    if event in _NOTICE_EVENTS:
        return _notice_answer(many(fields, _NOTICE_EVENTS[event]))
    simple: dict[str, Message] = {
        "subscribe": Follow(key.removeprefix(_SCENE_PREFIX)),
        "unsubscribe": Unfollow(),
        "scan": Scan(key),
    }
    return simple.get(event, Other(event))


def _notice_answer(answers: list[Fields]) -> NoticeAnswer:
    given: dict[str, list[str]] = {"accept": [], "reject": []}
    for answer in answers:
        for item in many(answer, "List"):
            status = text_of(item, "SubscribeStatusString").strip().lower()
            if status in given:
                given[status].append(required(item, "TemplateId"))
    return NoticeAnswer(tuple(given["accept"]), tuple(given["reject"]))


def _message_id(fields: Fields) -> str:
    number = required(fields, "MsgId")
    if not _MESSAGE_ID.fullmatch(number):
        raise BadCallback("The MsgId is not a number.")
    return number


def _digest(plain: bytes) -> str:
    # Two events of one person in one second differ somewhere in the XML (wecom.md §1.5).
    return hashlib.sha256(plain).hexdigest()
