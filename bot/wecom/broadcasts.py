"""Broadcasts of the corp and of its guides, and what became of them (wecom.md §5): by polling only.

wechatpy lacks the lists and cancelling (§9.1).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from bot.wecom.answers import Answer, moment, pages, shaped
from bot.wecom.client import WeComApi

# wecom.md §2.3: just made, it is still being handed out.
TOO_EARLY = 41063
ALREADY_CANCELLED = 41093
# Another app of the corp has made it.
NOT_OURS = 41047
_LISTED, _PAGE = 100, 1000
# So many can be written down while a worker waits for nothing else.
_AT_ONCE = 200
_EVERYBODYS = 2
_CONFIRMED = 2


class Fate(IntEnum):
    """What became of one customer in a broadcast."""

    UNSENT = 0
    SENT = 1
    NO_CONTACT = 2
    QUOTA_USED_UP = 3


@dataclass(frozen=True)
class Broadcast:
    """One broadcast; `creator` is empty when an app made it."""

    msgid: str
    creator: str
    created_at: datetime
    text: str


@dataclass(frozen=True)
class Share:
    """One guide's part of a broadcast."""

    userid: str
    is_confirmed: bool


@dataclass(frozen=True)
class Sent:
    """One customer of one guide's part; `at` is told of what was sent."""

    external_userid: str
    userid: str
    fate: int
    at: datetime | None


@dataclass(frozen=True)
class SentPage:
    """Some customers of one guide's part, and where the next ones begin; empty at the end."""

    sent: tuple[Sent, ...]
    cursor: str


def between(api: WeComApi, start: datetime, end: datetime) -> Iterator[Broadcast]:
    """Every broadcast to single customers in a span of a month at most, whoever made it."""
    body = {
        "chat_type": "single",
        "start_time": int(start.timestamp()),
        "end_time": int(end.timestamp()),
        "filter_type": _EVERYBODYS,
        "limit": _LISTED,
    }
    for found in pages(api, "externalcontact/get_groupmsg_list_v2", body):
        yield from shaped(found, _broadcasts)


def shares(api: WeComApi, msgid: str) -> Iterator[Share]:
    """The guides who have a broadcast to confirm; refuses with 41063 while it is handed out."""
    body = {"msgid": msgid, "limit": _PAGE}
    for found in pages(api, "externalcontact/get_groupmsg_task", body):
        yield from shaped(found, _shares)


def results(api: WeComApi, msgid: str, userid: str) -> Iterator[Sent]:
    """What became of every customer of one guide's part."""
    body = {"msgid": msgid, "userid": userid, "limit": _PAGE}
    for found in pages(api, "externalcontact/get_groupmsg_send_result", body):
        yield from shaped(found, _sent)


def results_from(api: WeComApi, msgid: str, userid: str, cursor: str) -> SentPage:
    """What became of some customers of one guide's part, from a cursor on."""
    body = {"msgid": msgid, "userid": userid, "limit": _AT_ONCE, "cursor": cursor}
    found = api.post("externalcontact/get_groupmsg_send_result", body)
    return SentPage(tuple(shaped(found, _sent)), str(found.get("next_cursor") or ""))


def cancel(api: WeComApi, msgid: str) -> None:
    """Stop what no guide has confirmed yet; a second time is 41093."""
    api.post("externalcontact/cancel_groupmsg_send", {"msgid": msgid})


def _broadcasts(found: Answer) -> list[Broadcast]:
    return [
        Broadcast(
            str(one["msgid"]),
            str(one.get("creator") or ""),
            moment(one["create_time"]),
            str((one.get("text") or {}).get("content") or ""),
        )
        for one in found.get("group_msg_list") or []
    ]


def _shares(found: Answer) -> list[Share]:
    return [
        Share(str(one["userid"]), one.get("status") == _CONFIRMED)
        for one in found.get("task_list") or []
    ]


def _sent(found: Answer) -> list[Sent]:
    return [
        Sent(
            str(one.get("external_userid") or ""),
            str(one.get("userid") or ""),
            int(one["status"]),
            moment(one["send_time"]) if one.get("send_time") else None,
        )
        for one in found.get("send_list") or []
    ]
