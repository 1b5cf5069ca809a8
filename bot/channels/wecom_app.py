"""The WeCom app message: how the house speaks to its own guides."""

from datetime import timedelta
from typing import Any

from bot.calls import ApiError
from bot.channels import base
from bot.channels.base import Address, ChannelError, Outgoing, Powers, Receipt, spoken
from bot.channels.wecom_codes import CAUSES
from bot.limits import clip, clip_bytes
from bot.wecom.cards import menu
from bot.wecom.client import WeComApi, WecomClients
from store.accounts import Account
from store.touches import Channel, Evidence

# Lengths that WeCom shows in full (wecom.md §3.2).
_TITLE, _TEXT, _LABEL, _VALUE = 36, 160, 5, 30
_MOST_ROWS = 6
# Half an hour: the longest a worker that was thought dead could come back with the same message.
_SAME = timedelta(minutes=30)
# wecom.md §2.3.
_NEEDS_DOOR = 43012


class WecomApp:
    """App messages to one guide (wecom.md §3)."""

    name = Channel.WECOM_APP
    powers = Powers(same_for=_SAME)

    def __init__(self, clients: WecomClients) -> None:
        self._clients = clients

    def send(self, out: Outgoing, to: Address, account: Account) -> Receipt:
        """Send a card when there is a page to open, else words."""
        message = message_of(out) | {
            "enable_duplicate_check": 1,
            "duplicate_check_interval": int(_SAME.total_seconds()),
        }
        client = spoken(lambda: self._clients.of(account), CAUSES)
        given = spoken(lambda: _sent(client, to.outside_id, message), CAUSES)
        # A partial failure is errcode 0, with userids in lower case and joined by pipes.
        invalid = str(given.get("invaliduser") or "").split("|")
        if to.outside_id.lower() in [userid.lower() for userid in invalid]:
            raise ChannelError(base.GONE)
        return Receipt(
            provider_id=given.get("msgid"),
            evidence=Evidence.PLATFORM,
            response_code=str(given.get("response_code") or ""),
        )


def _sent(client: WeComApi, userid: str, message: dict[str, Any]) -> dict[str, Any]:
    """Send; an app without a callback may send nothing that changes, so then without the menu."""
    try:
        return client.send(userid, message)
    except ApiError as error:
        card = message.get("template_card", {})
        if error.code != _NEEDS_DOOR or "action_menu" not in card:
            raise
    plain = {key: value for key, value in card.items() if key not in {"action_menu", "task_id"}}
    return client.send(userid, message | {"template_card": plain})


def message_of(out: Outgoing) -> dict[str, Any]:
    """The message as WeCom wants it."""
    url = out.payload.get("url")
    if not url:
        title = out.payload.get("title")
        words = f"{title}\n{out.text}" if title else out.text
        return {"msgtype": "text", "text": {"content": clip_bytes(words)}}
    card = card_of(out)
    # What a notice is called is what its card is called; WeCom takes a name once (§3.2).
    return {
        "msgtype": "template_card",
        "template_card": card | ({"task_id": out.key} if "action_menu" in card else {}),
    }


def card_of(out: Outgoing) -> dict[str, Any]:
    """The card alone, as it is sent or put in the place of another."""
    rows = [
        {"keyname": clip(str(label), _LABEL), "value": clip(str(value), _VALUE)}
        for label, value in out.payload.get("rows", [])[:_MOST_ROWS]
    ]
    actions = [(str(key), str(words)) for key, words in out.payload.get("menu", [])]
    card: dict[str, Any] = {
        "card_type": "text_notice",
        "main_title": {"title": clip(str(out.payload.get("title") or out.text), _TITLE)},
        "sub_title_text": clip(out.text, _TEXT),
        "horizontal_content_list": rows,
        "card_action": {"type": 1, "url": out.payload["url"]},
    }
    return card | ({"action_menu": menu(actions)} if actions else {})
