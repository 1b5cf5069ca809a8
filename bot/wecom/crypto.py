"""WeCom's callback door: an encrypted check of the URL, and encrypted pushes to the corp id."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from bot.envelope import (
    FRESH,
    Opened,
    asked,
    check_fresh,
    check_signature,
    open_body,
    open_sealed,
    seal_reply,
)
from bot.fields import BadCallback
from store.accounts import Credentials

__all__ = ["Opened", "open_body", "seal_reply", "verify_url"]


def verify_url(
    account: Credentials, query: Mapping[str, str], *, now: datetime, fresh: timedelta = FRESH
) -> str:
    """The decrypted `echostr`, to be answered bare within a second (wecom.md §1.1)."""
    timestamp, nonce = asked(query, "timestamp"), asked(query, "nonce")
    sealed = asked(query, "echostr")
    check_signature(account, asked(query, "msg_signature"), timestamp, nonce, sealed)
    check_fresh(timestamp, now, fresh)
    plain, _ = open_sealed(account, sealed)
    try:
        return plain.decode()
    except UnicodeDecodeError:
        raise BadCallback("The echostr is not text.") from None
