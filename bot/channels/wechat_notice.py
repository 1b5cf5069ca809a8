"""The subscription notice: one for each time the member allowed one."""

import re

from bot.channels.base import Address, Outgoing, Powers, Receipt, spoken
from bot.channels.wechat_codes import CAUSES
from bot.limits import clip
from bot.wechat.client import WechatClients
from store.accounts import Account
from store.touches import Channel, Evidence

# Characters a value may have, by the type in its name (wechat-oa.md §6.3); one over is 47003.
_LIMITS = {
    "thing": 20,
    "number": 32,
    "letter": 32,
    "symbol": 5,
    "character_string": 32,
    "phone_number": 17,
    "car_number": 8,
    "name": 10,
    "phrase": 5,
}
_LONGEST = 20
_FIELD = re.compile(r"([a-z_]+?)\d+")
_BLANK = re.compile(r"\s+")


class WechatNotice:
    """Subscription notices (wechat-oa.md §6.2)."""

    name = Channel.WECHAT_NOTICE
    powers = Powers(has_receipt=True)

    def __init__(self, clients: WechatClients) -> None:
        self._clients = clients

    def send(self, out: Outgoing, to: Address, account: Account) -> Receipt:
        """Send the values, each cut to its type; a tap opens the touch's page."""
        template_id = str(out.payload.get("template_id") or account.notice_template_id)
        page = out.payload.get("url")
        client = spoken(lambda: self._clients.of(account), CAUSES)
        spoken(
            lambda: client.send_notice(to.outside_id, template_id, values(out), page=page), CAUSES
        )
        return Receipt(evidence=Evidence.EVENT)


def values(out: Outgoing) -> dict[str, str]:
    """The values of the template: those given, else the title and the words."""
    given = out.payload.get("data")
    if not isinstance(given, dict):
        given = {"thing1": out.payload.get("title") or out.text, "thing2": out.text}
    return {name: _cut(name, str(value)) for name, value in given.items()}


def _cut(name: str, value: str) -> str:
    match = _FIELD.fullmatch(name)
    limit = _LIMITS.get(match.group(1), _LONGEST) if match else _LONGEST
    return clip(_BLANK.sub(" ", value).strip(), limit)
