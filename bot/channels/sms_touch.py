"""The SMS as a touch: an advertisement says how to get no more, a service notice need not."""

from datetime import timedelta

from bot.channels.base import Address, Outgoing, Powers, Receipt
from bot.channels.sms import Sms, SmsKind
from content.sms_words import with_way_out
from store.accounts import Account
from store.touches import Category, Channel


class SmsTouch:
    """SMS through the deployment's provider, to the member's mobile."""

    name = Channel.SMS
    powers = Powers(has_receipt=True, same_for=timedelta(days=1))

    def __init__(self, sms: Sms) -> None:
        self._sms = sms

    def send(self, out: Outgoing, to: Address, account: Account) -> Receipt:  # noqa: ARG002 -- contract
        """Send the words alone: providers take no links and no titles."""
        if out.category is Category.SERVICE:
            return self._sms.send(out, to, kind=SmsKind.NOTICE)
        said = Outgoing(out.key, with_way_out(out.text), category=out.category)
        return self._sms.send(said, to, kind=SmsKind.MARKETING)
