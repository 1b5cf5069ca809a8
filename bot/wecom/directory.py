"""The directory, as far as a self-built app sees it (wecom.md §2.2): who is there, and where.

No mobiles, no faces: a self-built app is told names, departments and who leads them.
"""

from dataclasses import dataclass
from enum import IntEnum

from bot.calls import ApiError
from bot.wecom.answers import Answer, shaped
from bot.wecom.client import WeComApi

# wecom.md §2.3: does not exist, or is out of the app's sight; which of the two is not told.
UNSEEN = frozenset({40003, 60011, 60111})


class Standing(IntEnum):
    """How somebody stands in the corp (wecom.md §1.4)."""

    ACTIVE = 1
    DISABLED = 2
    NOT_ACTIVATED = 4
    LEFT = 5


@dataclass(frozen=True)
class Person:
    """A member of the corp; `leads` are the departments that they lead."""

    userid: str
    name: str
    standing: int
    departments: tuple[int, ...]
    leads: frozenset[int]


@dataclass(frozen=True)
class Sight:
    """Whom an app may see: people, departments with all below, tags."""

    name: str
    is_closed: bool
    userids: tuple[str, ...]
    departments: tuple[int, ...]


def person(api: WeComApi, userid: str) -> Person | None:
    """Somebody of the corp; none when the app does not see them."""
    try:
        found = api.get("user/get", userid=userid)
    except ApiError as error:
        if error.code in UNSEEN:
            return None
        raise
    return shaped(found, _person)


def people_of(api: WeComApi, department: int) -> list[str]:
    """Userids of a department and all below it."""
    found = api.get("user/simplelist", department_id=department, fetch_child=1)
    return shaped(found, lambda answer: [str(one["userid"]) for one in answer["userlist"]])


def sight(api: WeComApi) -> Sight:
    """Whom the app itself may see."""
    return shaped(api.get("agent/get", agentid=api.agent_id or 0), _sight)


def _person(found: Answer) -> Person:
    departments = tuple(int(one) for one in found.get("department") or [])
    flags = found.get("is_leader_in_dept") or []
    leads = frozenset(one for one, flag in zip(departments, flags, strict=False) if flag == 1)
    return Person(
        userid=str(found["userid"]),
        name=str(found.get("name") or ""),
        standing=int(found.get("status") or Standing.ACTIVE),
        departments=departments,
        leads=leads,
    )


def _sight(found: Answer) -> Sight:
    users = (found.get("allow_userinfos") or {}).get("user") or []
    parties = (found.get("allow_partys") or {}).get("partyid") or []
    return Sight(
        name=str(found.get("name") or ""),
        is_closed=found.get("close") == 1,
        userids=tuple(str(one["userid"]) for one in users),
        departments=tuple(int(one) for one in parties),
    )
