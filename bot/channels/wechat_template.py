"""The template message: about the member's own business, to followers, and never to advertise."""

from datetime import timedelta

from bot.channels import base
from bot.channels.base import Address, ChannelError, Outgoing, Powers, Receipt, spoken
from bot.channels.wechat_codes import CAUSES, ONLY_SERVICE
from bot.channels.wechat_notice import values
from bot.wechat.client import WechatClients
from store.accounts import Account
from store.tokens import digest
from store.touches import Category, Channel, Evidence

# The platform knows a message again by an id of ours for so long (wechat-oa.md §6.1).
_SAME = timedelta(minutes=10)
_ID_LENGTH = 32


class WechatTemplate:
    """Template messages (wechat-oa.md §6.1)."""

    name = Channel.WECHAT_TEMPLATE
    powers = Powers(has_receipt=True, same_for=_SAME)

    def __init__(self, clients: WechatClients) -> None:
        self._clients = clients

    def send(self, out: Outgoing, to: Address, account: Account) -> Receipt:
        """Send the values of `template_id`; whether they arrived is told by an event later."""
        if out.category is not Category.SERVICE:
            raise ChannelError(ONLY_SERVICE)
        template_id = str(out.payload.get("template_id") or "")
        if not template_id:
            raise ChannelError(base.BAD_CONTENT)
        client = spoken(lambda: self._clients.of(account), CAUSES)
        url, mark = str(out.payload.get("url") or ""), digest(out.key)[:_ID_LENGTH]
        msgid = spoken(
            lambda: client.send_template(
                to.outside_id, template_id, values(out), url=url, client_msg_id=mark
            ),
            CAUSES,
        )
        return Receipt(provider_id=msgid, evidence=Evidence.EVENT)
