"""The sidebar: the guide's own tap in a chat, told by the page and by nobody else (wecom.md §6.2).

There is no call that sends and no receipt: `sendChatMessage` runs on the guide's phone, and the
page says whether it went. That is the guide's word, until the member answers or buys.
"""

from bot.channels.base import Address, Outgoing, Powers, Receipt
from store.accounts import Account
from store.touches import Channel


class WecomSidebar:
    """Sidebar messages: handed to the page, which reports."""

    name = Channel.WECOM_SIDEBAR
    powers = Powers(needs_human=True)

    def send(self, out: Outgoing, to: Address, account: Account) -> Receipt:  # noqa: ARG002 -- contract
        """Nothing leaves from here: the touch waits for the page's word."""
        return Receipt(is_final=False)
