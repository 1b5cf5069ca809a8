"""What WeCom's error codes mean for a touch or a notice (wecom.md §2.3)."""

from bot.channels import base
from bot.channels.base import Cause, table

NO_CUSTOMER = Cause("no_customer_to_send")
NOT_A_CONTACT = Cause("not_a_contact", is_gone=True)

_MISCONFIGURED = (40001, 40013, 40056, 41001, 43012, 48001, 48002, 48006, 50003, 60011, 60020)
_NO_RIGHT = (84074, 301002)
_BAD_REQUEST = (40007, 40008, 40031, 40032, 40033, 40058, 40063, 41064, 41065, 42014, 45002)
# 42027 to 42051: one code for each field of a card.
_BAD_CARD = (*range(42027, 42052), 82001, 82002, 82003)

CAUSES = table(
    (base.BUSY, (-1, 6000, 45033)),
    (base.QUOTA, (45009,)),
    (Cause("access_limited", is_permanent=False, retry_after=3600, is_pause=True), (45036,)),
    (base.NO_TOKEN, (40014, 42001)),
    # Everyone asked for is over the month's quota.
    (NO_CUSTOMER, (41048,)),
    (NOT_A_CONTACT, (40096, 84061, 84084)),
    (base.GONE, (40003, 60111, 81013)),
    (base.MISCONFIGURED, (*_MISCONFIGURED, *_NO_RIGHT)),
    (base.FORBIDDEN, (40201, 40204)),
    (base.BAD_CONTENT, (*_BAD_REQUEST, *_BAD_CARD)),
)
