"""Cards that can change after they were sent (wecom.md §3.2, §3.3).

wechatpy sends cards and cannot change them (§9.1).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from bot.wecom.answers import Answer, listed
from bot.wecom.client import WeComApi

# A code to change a card by is good so long, and for one call.
CODE_LIFE = timedelta(hours=72)
# wecom.md §2.3: used up or over.
CODE_OVER = 60140
_MOST_ACTIONS = 3


@dataclass(frozen=True)
class SentCard:
    """What WeCom said to a card: its id, and the code that changes it once."""

    msgid: str
    response_code: str
    is_invalid: bool


def menu(actions: Sequence[tuple[str, str]], *, about: str = "") -> dict[str, Any]:
    """A card's menu of actions (key and words), which is what makes a card of words changeable.

    It is sent with a `task_id`, a name that the app has used for no other card.
    """
    assert 1 <= len(actions) <= _MOST_ACTIONS
    listed = [{"text": words, "key": key} for key, words in actions]
    return {"desc": about, "action_list": listed}


def send(api: WeComApi, userid: str, card: Answer, **more: Any) -> SentCard:
    """Send a card to one guide, so that each guide's own can be changed (§3.3)."""
    message = {"msgtype": "template_card", "template_card": dict(card)} | more
    found = api.send(userid, message)
    # A guide who is not there is no failure, and is told in lower case.
    invalid = str(found.get("invaliduser") or "").split("|")
    return SentCard(
        str(found.get("msgid") or ""),
        str(found.get("response_code") or ""),
        userid.lower() in invalid,
    )


def change(api: WeComApi, userid: str, response_code: str, card: Answer) -> bool:
    """Show another card in the place of one; gives whether this guide has it."""
    return _update(api, userid, response_code, {"template_card": dict(card)})


def close(api: WeComApi, userid: str, response_code: str, words: str) -> bool:
    """Grey the buttons of a card and say why; only for cards with buttons."""
    return _update(api, userid, response_code, {"button": {"replace_name": words}})


def _update(api: WeComApi, userid: str, response_code: str, change: dict[str, Any]) -> bool:
    body = {"userids": [userid], "agentid": api.agent_id, "response_code": response_code} | change
    found = api.post("message/update_template_card", body)
    # An array here, not joined by pipes as when sending.
    return userid.lower() not in [str(one).lower() for one in listed(found, "invaliduser")]
