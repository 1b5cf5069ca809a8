"""Customers from one guide to another: on the job, or after the giver has left (wecom.md §4.5).

wechatpy knows only the call that WeCom has frozen (§9.1).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Any

from bot.wecom.answers import Answer, listed, moment, pages, shaped
from bot.wecom.client import WeComApi

# wecom.md §4.5.
MOST_AT_ONCE = 100
WORDS_CHARACTERS = 200
_PAGE = 1000


class Progress(IntEnum):
    """How far a transfer is; `NONE` is one that WeCom has no record of."""

    DONE = 1
    WAITING = 2
    REFUSED = 3
    FULL = 4
    NONE = 5


@dataclass(frozen=True)
class Result:
    """What became of one customer; `at` may lie in the future while it waits."""

    external_userid: str
    progress: Progress
    at: datetime | None


@dataclass(frozen=True)
class Unassigned:
    """A customer whose guide has left."""

    userid: str
    external_userid: str
    left_at: datetime


@dataclass(frozen=True)
class Pair:
    """Who gives and who takes over."""

    giver: str
    taker: str


def begin(
    api: WeComApi, pair: Pair, external_userids: Sequence[str], *, has_left: bool, words: str = ""
) -> dict[str, int]:
    """Ask for transfers; gives the errcode of each customer, 0 for one that has begun.

    `words` are what customers are told afterwards; those of a guide who has left are told nothing.
    """
    assert 1 <= len(external_userids) <= MOST_AT_ONCE
    body: dict[str, Any] = _body(pair) | {"external_userid": list(external_userids)}
    if words and not has_left:
        body["transfer_success_msg"] = words[:WORDS_CHARACTERS]
    found = api.post(_path("transfer_customer", has_left=has_left), body)
    return shaped(found, _codes)


def results(api: WeComApi, pair: Pair, *, has_left: bool) -> Iterator[Result]:
    """What became of all transfers of a pair."""
    for found in pages(api, _path("transfer_result", has_left=has_left), _body(pair)):
        yield from shaped(
            found, lambda answer: [_result(one) for one in listed(answer, "customer")]
        )


def unassigned(api: WeComApi) -> Iterator[Unassigned]:
    """Customers that those who left have left behind."""
    path = "externalcontact/get_unassigned_list"
    for found in pages(api, path, {"page_size": _PAGE}):
        yield from shaped(found, _unassigned)


def _path(name: str, *, has_left: bool) -> str:
    return f"externalcontact/{'resigned/' if has_left else ''}{name}"


def _body(pair: Pair) -> dict[str, str]:
    return {"handover_userid": pair.giver, "takeover_userid": pair.taker}


def _codes(found: Answer) -> dict[str, int]:
    return {str(one["external_userid"]): int(one["errcode"]) for one in found["customer"]}


def _result(one: Answer) -> Result:
    at = one.get("takeover_time")
    return Result(str(one["external_userid"]), Progress(one["status"]), moment(at) if at else None)


def _unassigned(found: Answer) -> list[Unassigned]:
    return [
        Unassigned(
            str(one["handover_userid"]), str(one["external_userid"]), moment(one["dimission_time"])
        )
        for one in found.get("info") or []
    ]
