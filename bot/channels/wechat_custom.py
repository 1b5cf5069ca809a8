"""The customer-service message (custom/send): text, inside a window the member opened."""

from bot.channels.base import Address, Outgoing, Powers, Receipt, spoken
from bot.channels.wechat_codes import CAUSES
from bot.limits import TEXT_BYTES, clip_bytes
from bot.wechat.client import WechatClients
from store.accounts import Account
from store.touches import Channel, Evidence


class WechatService:
    """Customer-service messages (wechat-oa.md §5)."""

    name = Channel.WECHAT_SERVICE
    powers = Powers()

    def __init__(self, clients: WechatClients) -> None:
        self._clients = clients

    def send(self, out: Outgoing, to: Address, account: Account) -> Receipt:
        """Send the words, with the link below them; the platform's yes is all it ever says."""
        client = spoken(lambda: self._clients.of(account), CAUSES)
        spoken(lambda: client.send_text(to.outside_id, _words(out)), CAUSES)
        return Receipt(evidence=Evidence.PLATFORM)


def _words(out: Outgoing) -> str:
    url = str(out.payload.get("url") or "")
    if not url or url in out.text:
        return clip_bytes(out.text)
    link = f"\n{url}"
    # A link that is cut opens nothing, so the words give way to it.
    return clip_bytes(out.text, TEXT_BYTES - len(link.encode())) + link
