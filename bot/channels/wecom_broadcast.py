"""The WeCom broadcast: put before the guide, who confirms it; the result is only to be polled."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bot.channels import base
from bot.channels.base import Address, Cause, ChannelError, Outgoing, Powers, Receipt, spoken
from bot.channels.wecom_codes import CAUSES, NOT_A_CONTACT
from bot.limits import clip, clip_bytes
from bot.wecom import broadcasts
from bot.wecom.broadcasts import Fate
from bot.wecom.client import WeComApi, WecomClients
from store.accounts import Account
from store.touches import Channel

# wecom.md §5.1.
_TEXT_BYTES = 4000
_TITLE_BYTES = 128

_TOO_EARLY = Cause("too_early", is_permanent=False, retry_after=60)
_POLLING = {**CAUSES, broadcasts.TOO_EARLY: _TOO_EARLY}
# The platform writes down when it made it, in seconds by its own clock.
AROUND = timedelta(minutes=2)
_ENDS = frozenset({Fate.SENT, Fate.NO_CONTACT, Fate.QUOTA_USED_UP})


@dataclass(frozen=True)
class Result:
    """What became of a broadcast to one customer: sent at a time, or failed for a cause."""

    sent_at: datetime | None = None
    cause: Cause | None = None


_CAUSES = {
    Fate.NO_CONTACT: NOT_A_CONTACT,
    Fate.QUOTA_USED_UP: Cause("customer_quota_used_up"),
}


class WecomBroadcast:
    """Broadcasts by a guide to one customer (wecom.md §5)."""

    name = Channel.WECOM_BROADCAST
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

    def results(self, msgid: str, sender: str, account: Account) -> Mapping[str, Result]:
        """What became of it, by customer; who is missing waits for the guide."""
        try:
            client = spoken(lambda: self._clients.of(account), CAUSES)
            sent = spoken(lambda: list(broadcasts.results(client, msgid, sender)), _POLLING)
        except ChannelError as error:
            if error.code == broadcasts.TOO_EARLY:
                return {}
            raise
        return {
            one.external_userid: Result(one.at, _CAUSES.get(Fate(one.fate)))
            for one in sent
            if one.fate in _ENDS
        }

    def stop(self, msgid: str, account: Account) -> None:
        """No guide can confirm it any more; a second time is harmless."""
        try:
            client = spoken(lambda: self._clients.of(account), CAUSES)
            spoken(lambda: broadcasts.cancel(client, msgid), CAUSES)
        except ChannelError as error:
            if error.code != broadcasts.ALREADY_CANCELLED:
                raise

    def find(
        self, text: str, to: Address, account: Account, *, made_at: datetime, known: Collection[str]
    ) -> str | None:
        """The id of a broadcast whose answer was lost: the same words, at that time, to this
        customer by this guide, and not one of the `known` ones.
        """
        client = spoken(lambda: self._clients.of(account), CAUSES)
        start, end = made_at - AROUND, made_at + AROUND
        listed = spoken(lambda: list(broadcasts.between(client, start, end)), CAUSES)
        words = clip_bytes(text, _TEXT_BYTES)
        likely = [
            one.msgid
            for one in listed
            if one.text == words and not one.creator and one.msgid not in known
        ]
        return next((msgid for msgid in likely if self._is_for(client, msgid, to)), None)

    def _is_for(self, client: WeComApi, msgid: str, to: Address) -> bool:
        sent = spoken(lambda: list(broadcasts.results(client, msgid, to.sender)), _POLLING)
        return any(one.external_userid == to.outside_id for one in sent)


def _content(out: Outgoing) -> dict[str, Any]:
    content: dict[str, Any] = {"text": {"content": clip_bytes(out.text, _TEXT_BYTES)}}
    url = out.payload.get("url")
    if url:
        title = clip(str(out.payload.get("title") or out.text), _TITLE_BYTES // 3)
        content["attachments"] = [{"msgtype": "link", "link": {"title": title, "url": url}}]
    return content
