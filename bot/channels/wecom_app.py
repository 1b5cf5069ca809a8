"""The WeCom app message: how the house speaks to its own guides."""

from typing import Any

from bot.channels import base
from bot.channels.base import Address, ChannelError, Outgoing, Powers, Receipt, spoken
from bot.channels.wecom_codes import CAUSES
from bot.limits import clip, clip_bytes
from bot.wecom.client import WecomClients
from store.accounts import Account, Platform
from store.touches import Channel, Evidence

# Lengths that WeCom shows in full (wecom.md §3.2).
_TITLE, _TEXT, _LABEL, _VALUE = 36, 160, 5, 30
_MOST_ROWS = 6
# Half an hour: the longest a worker that was thought dead could come back with the same message.
_SAME_SECONDS = 1800


class WecomApp:
    """App messages to one guide (wecom.md §3)."""

    name = Channel.WECOM_APP
    platform = Platform.WECOM
    powers = Powers(can_deduplicate=True)

    def __init__(self, clients: WecomClients) -> None:
        self._clients = clients

    def send(self, out: Outgoing, to: Address, account: Account) -> Receipt:
        """Send a card when there is a page to open, else words."""
        message = message_of(out) | {
            "enable_duplicate_check": 1,
            "duplicate_check_interval": _SAME_SECONDS,
        }
        client = spoken(lambda: self._clients.of(account), CAUSES)
        given = spoken(lambda: client.send(to.outside_id, message), CAUSES)
        # A partial failure is errcode 0, with userids in lower case and joined by pipes.
        invalid = str(given.get("invaliduser") or "").split("|")
        if to.outside_id.lower() in [userid.lower() for userid in invalid]:
            raise ChannelError(base.GONE)
        return Receipt(provider_id=given.get("msgid"), evidence=Evidence.PLATFORM)


def message_of(out: Outgoing) -> dict[str, Any]:
    """The message as WeCom wants it."""
    url = out.payload.get("url")
    if not url:
        title = out.payload.get("title")
        words = f"{title}\n{out.text}" if title else out.text
        return {"msgtype": "text", "text": {"content": clip_bytes(words)}}
    rows = [
        {"keyname": clip(str(label), _LABEL), "value": clip(str(value), _VALUE)}
        for label, value in out.payload.get("rows", [])[:_MOST_ROWS]
    ]
    card = {
        "card_type": "text_notice",
        "main_title": {"title": clip(str(out.payload.get("title") or out.text), _TITLE)},
        "sub_title_text": clip(out.text, _TEXT),
        "horizontal_content_list": rows,
        "card_action": {"type": 1, "url": url},
    }
    return {"msgtype": "template_card", "template_card": card}
