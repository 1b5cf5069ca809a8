"""WeChat's callback door: the plain-text check of the URL, and encrypted pushes in safe mode."""

from collections.abc import Mapping
from datetime import datetime

from bot.envelope import Opened, asked, check_fresh, check_signature, open_body, seal_reply
from store.accounts import Credentials

__all__ = ["Opened", "open_body", "seal_reply", "verify_url"]


def verify_url(account: Credentials, query: Mapping[str, str], *, now: datetime) -> str:
    """The `echostr` to send back, plain text in every mode (wechat-oa.md §1.2)."""
    timestamp, nonce = asked(query, "timestamp"), asked(query, "nonce")
    check_signature(asked(query, "signature"), account.token, timestamp, nonce)
    check_fresh(timestamp, now)
    return asked(query, "echostr")
