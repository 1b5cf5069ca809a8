"""Customers of guides as WeCom tells them: one, all of a guide, and remarks (wecom.md §4).

wechatpy asks for one customer without a cursor, and for those of guides under a wrong name; the
remark it lacks (§9.1).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from bot.wecom.answers import Answer, listed, moment, shaped
from bot.wecom.client import WeComApi

# wecom.md §4: characters, not bytes.
REMARK_CHARACTERS = 20
_PAGE = 100
# Corp tags; what a guide calls a customer privately is none of ours.
_CORP_TAG = 1


@dataclass(frozen=True)
class Follow:
    """How one guide has a customer. `tag_ids` are corp tags; `state` is that of the code."""

    userid: str
    created_at: datetime
    remark: str = ""
    mobiles: tuple[str, ...] = ()
    tag_ids: frozenset[str] = frozenset()
    state: str = ""


@dataclass(frozen=True)
class Contact:
    """A customer with the guides that this app sees."""

    external_userid: str
    name: str
    unionid: str | None
    follows: tuple[Follow, ...]

    def of(self, userid: str) -> Follow | None:
        """How this guide has the customer, if at all."""
        return next((follow for follow in self.follows if follow.userid == userid), None)


@dataclass(frozen=True)
class Page:
    """Some customers of one guide, and where the next ones begin; empty at the end."""

    contacts: tuple[Contact, ...]
    cursor: str


def guides(api: WeComApi) -> list[str]:
    """Userids of those who may have customers, within the visible range."""
    found = api.get("externalcontact/get_follow_user_list")
    return [str(userid) for userid in listed(found, "follow_user")]


def read(api: WeComApi, external_userid: str) -> Contact:
    """One customer, with every guide; refuses with 40096 and 84061."""
    contact = None
    cursor = ""
    while contact is None or cursor:
        asked = {"external_userid": external_userid} | ({"cursor": cursor} if cursor else {})
        found = api.get("externalcontact/get", **asked)
        more = shaped(found, _contact)
        contact = (
            more if contact is None else replace(contact, follows=contact.follows + more.follows)
        )
        cursor = str(found.get("next_cursor") or "")
    return contact


def page(api: WeComApi, userid: str, cursor: str) -> Page:
    """Customers of one guide. Personal tags are not told here, and `follow_info` is one object."""
    body = {"userid_list": [userid], "cursor": cursor, "limit": _PAGE}
    found = api.post("externalcontact/batch/get_by_user", body)
    return shaped(found, _page)


def write_remark(
    api: WeComApi,
    userid: str,
    external_userid: str,
    *,
    remark: str | None = None,
    mobiles: Sequence[str] | None = None,
) -> None:
    """What a guide calls a customer; the list of mobiles takes the place of the one before."""
    body: dict[str, Any] = {"userid": userid, "external_userid": external_userid}
    if remark is not None:
        body["remark"] = remark[:REMARK_CHARACTERS]
    if mobiles is not None:
        # An empty list would be taken for no wish at all.
        body["remark_mobiles"] = list(mobiles) or [""]
    api.post("externalcontact/remark", body)


def _contact(found: Answer) -> Contact:
    person = found["external_contact"]
    follows = tuple(_follow(one) for one in found.get("follow_user") or [])
    return _of_person(person, follows)


def _page(found: Answer) -> Page:
    entries = found.get("external_contact_list") or []
    contacts = tuple(
        _of_person(entry["external_contact"], (_follow(entry["follow_info"]),)) for entry in entries
    )
    return Page(contacts, str(found.get("next_cursor") or ""))


def _of_person(person: Answer, follows: tuple[Follow, ...]) -> Contact:
    external_userid = person["external_userid"]
    if not isinstance(external_userid, str) or not external_userid:
        raise ValueError("A customer without an id.")
    unionid = person.get("unionid") or None
    return Contact(external_userid, str(person.get("name") or ""), unionid, follows)


def _follow(info: Answer) -> Follow:
    return Follow(
        userid=str(info["userid"]),
        created_at=moment(info["createtime"]),
        remark=str(info.get("remark") or ""),
        mobiles=tuple(str(mobile) for mobile in info.get("remark_mobiles") or [] if mobile),
        tag_ids=_tag_ids(info),
        state=str(info.get("state") or ""),
    )


def _tag_ids(info: Answer) -> frozenset[str]:
    """Corp tags: of one customer they come with names, of many as bare ids."""
    tags = info.get("tags") or []
    whole = {str(tag["tag_id"]) for tag in tags if tag.get("type") == _CORP_TAG}
    return frozenset(whole | {str(tag_id) for tag_id in info.get("tag_id") or []})
