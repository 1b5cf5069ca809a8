"""Contact ways: the codes behind which one or several guides stand (wecom.md §4.1).

wechatpy lacks the list, and changing all but a part of a way (§9.1).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bot.calls import given
from bot.wecom.answers import Answer, pages, shaped
from bot.wecom.client import WeComApi

# wecom.md §4.1.
STATE_CHARACTERS = 30
MOST_GUIDES = 100
_SINGLE, _SEVERAL = 1, 2
_QR_CODE = 2
_PAGE = 1000


@dataclass(frozen=True)
class MadeWay:
    """A way that was made; `qr_code` is the address of its picture."""

    config_id: str
    qr_code: str


@dataclass(frozen=True)
class Way:
    """A way as WeCom has it."""

    config_id: str
    state: str
    userids: tuple[str, ...]
    qr_code: str


def add(api: WeComApi, userids: Sequence[str], *, state: str, is_single: bool) -> MadeWay:
    """Have a code made. A way that is lost sight of cannot be found in WeCom's console again."""
    assert 1 <= len(userids) <= MOST_GUIDES
    assert len(state) <= STATE_CHARACTERS
    body = {
        "type": _SINGLE if is_single else _SEVERAL,
        "scene": _QR_CODE,
        "state": state,
        "user": list(userids),
        "skip_verify": True,
    }
    found = api.post("externalcontact/add_contact_way", body)
    return MadeWay(given(found, "config_id"), given(found, "qr_code"))


def read(api: WeComApi, config_id: str) -> Way:
    """One way; refuses with 41044 when there is none."""
    found = api.post("externalcontact/get_contact_way", {"config_id": config_id})
    return shaped(found, _way)


def change(api: WeComApi, config_id: str, userids: Sequence[str], *, state: str) -> None:
    """Put other guides behind a code that is printed already, in place of all before."""
    body = {"config_id": config_id, "user": list(userids), "state": state}
    api.post("externalcontact/update_contact_way", body)


def remove(api: WeComApi, config_id: str) -> None:
    """End a way: its code leads nowhere from now on."""
    api.post("externalcontact/del_contact_way", {"config_id": config_id})


def config_ids(api: WeComApi) -> Iterator[str]:
    """All ways that were made through the API."""
    for found in pages(api, "externalcontact/list_contact_way", {"limit": _PAGE}):
        yield from shaped(found, _ids)


def _way(found: Answer) -> Way:
    way = found["contact_way"]
    return Way(
        str(way["config_id"]),
        str(way.get("state") or ""),
        tuple(str(userid) for userid in way.get("user") or []),
        str(way.get("qr_code") or ""),
    )


def _ids(found: Answer) -> list[str]:
    return [str(way["config_id"]) for way in found.get("contact_way") or []]
