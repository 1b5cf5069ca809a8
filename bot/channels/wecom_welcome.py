"""The welcome message: for a new friend of a guide, within 20 seconds, once."""

from bot.channels import base
from bot.channels.base import Address, Cause, ChannelError, Outgoing, Powers, Receipt, spoken
from bot.channels.wecom_codes import CAUSES
from bot.limits import clip, clip_bytes
from bot.wecom import welcome
from bot.wecom.client import WecomClients
from store.accounts import Account
from store.touches import Channel, Evidence

# wecom.md §5.1.
_TITLE_BYTES = 128

TOO_LATE = Cause("welcome_too_late")
BEING_WELCOMED = Cause("being_welcomed", is_permanent=False, retry_after=2)
_CAUSES = {
    **CAUSES,
    41049: TOO_LATE,
    welcome.CODE_OVER: TOO_LATE,
    welcome.ALREADY_WELCOMED: Cause("already_welcomed"),
    welcome.BEING_SENT: BEING_WELCOMED,
}


class WecomWelcome:
    """Welcome messages (wecom.md §4.2)."""

    name = Channel.WECOM_WELCOME
    powers = Powers()

    def __init__(self, clients: WecomClients) -> None:
        self._clients = clients

    def send(self, out: Outgoing, to: Address, account: Account) -> Receipt:  # noqa: ARG002 -- the code knows whom
        """Send what the event's `welcome_code` in the payload allows."""
        code = str(out.payload.get("welcome_code") or "")
        if not code:
            raise ChannelError(base.BAD_CONTENT)
        text = clip_bytes(out.text, welcome.TEXT_BYTES)
        client = spoken(lambda: self._clients.of(account), _CAUSES)
        spoken(lambda: welcome.send(client, code, text, _links(out)), _CAUSES)
        return Receipt(evidence=Evidence.PLATFORM)


def _links(out: Outgoing) -> list[dict[str, object]]:
    url = out.payload.get("url")
    if not url:
        return []
    title = clip(str(out.payload.get("title") or out.text), _TITLE_BYTES // 3)
    return [{"msgtype": "link", "link": {"title": title, "url": url}}]
