"""The WeCom broadcast: put before the guide, who confirms it; the result is only to be polled."""

from dataclasses import dataclass
from typing import Any

from bot.channels import base
from bot.channels.base import Address, Cause, ChannelError, Outgoing, Powers, Receipt, spoken
from bot.channels.wecom_codes import CAUSES, NOT_A_CONTACT
from bot.limits import clip, clip_bytes
from bot.wecom.client import WecomClients
from store.accounts import Account, Platform
from store.touches import Channel

# wecom.md §5.1.
_TEXT_BYTES = 4000
_TITLE_BYTES = 128

# Just created: the platform is still handing it out.
_TOO_EARLY = 41063
_POLLING = {**CAUSES, _TOO_EARLY: Cause("too_early", is_permanent=False, retry_after=60)}


@dataclass(frozen=True)
class Outcome:
    """What became of a broadcast: sent, or failed for a reason."""

    is_sent: bool
    cause: Cause | None = None


# get_groupmsg_send_result: 1 sent, 2 not a contact, 3 the customer's quota is used up.
_OUTCOMES = {
    1: Outcome(is_sent=True),
    2: Outcome(is_sent=False, cause=NOT_A_CONTACT),
    3: Outcome(is_sent=False, cause=Cause("customer_quota_used_up")),
}


class WecomBroadcast:
    """Broadcasts by a guide to one customer (wecom.md §5)."""

    name = Channel.WECOM_BROADCAST
    platform = Platform.WECOM
    powers = Powers(needs_human=True, has_receipt=True)

    def __init__(self, clients: WecomClients) -> None:
        self._clients = clients

    def send(self, out: Outgoing, to: Address, account: Account) -> Receipt:
        """Lay it before the guide `to.sender`; the receipt is not final until it is polled."""
        client = spoken(lambda: self._clients.of(account), CAUSES)
        made = spoken(lambda: client.add_broadcast(to.sender, to.outside_id, _content(out)), CAUSES)
        if to.outside_id in (made.get("fail_list") or []):
            raise ChannelError(NOT_A_CONTACT)
        msgid = made.get("msgid")
        if not msgid:
            # Taken, but nothing to ask after: whether the guide sends it stays unknown.
            raise ChannelError(base.LOST, is_unsure=True)
        return Receipt(provider_id=str(msgid), is_final=False)

    def poll(self, msgid: str, to: Address, account: Account) -> Outcome | None:
        """What became of it; none while the guide has not confirmed."""
        try:
            client = spoken(lambda: self._clients.of(account), CAUSES)
            sent = spoken(lambda: client.broadcast_result(msgid, to.sender), _POLLING)
        except ChannelError as error:
            if error.code == _TOO_EARLY:
                return None
            raise
        mine = [one for one in sent if one.get("external_userid") == to.outside_id]
        return _OUTCOMES.get(mine[0].get("status", 0)) if mine else None


def _content(out: Outgoing) -> dict[str, Any]:
    content: dict[str, Any] = {"text": {"content": clip_bytes(out.text, _TEXT_BYTES)}}
    url = out.payload.get("url")
    if url:
        title = clip(str(out.payload.get("title") or out.text), _TITLE_BYTES // 3)
        content["attachments"] = [{"msgtype": "link", "link": {"title": title, "url": url}}]
    return content
