"""WeChat's callback door: the plain-text check of the URL, and pushes in the account's mode."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from bot import envelope
from bot.envelope import FRESH, Opened, asked, check_fresh, check_signature, check_size
from store.accounts import CallbackMode, Credentials


def verify_url(
    account: Credentials, query: Mapping[str, str], *, now: datetime, fresh: timedelta = FRESH
) -> str:
    """The `echostr` to send back, plain text in every mode (wechat-oa.md §1.2)."""
    _check_plain(account, query, now, fresh)
    return asked(query, "echostr")


def open_body(
    account: Credentials,
    query: Mapping[str, str],
    body: bytes,
    *,
    now: datetime,
    fresh: timedelta = FRESH,
) -> Opened:
    """Verify a POST in the account's mode; safe mode takes nothing that is not encrypted."""
    if _is_sealed(account, query):
        return envelope.open_body(account, query, body, now=now, fresh=fresh)
    check_size(body)
    token = _check_plain(account, query, now, fresh)
    return Opened(body, "", asked(query, "nonce"), token)


def seal_reply(account: Credentials, opened: Opened, xml: str, *, now: datetime) -> str:
    """The passive reply, encrypted if the callback was."""
    return envelope.seal_reply(account, opened, xml, now=now) if opened.aes_key else xml


def _is_sealed(account: Credentials, query: Mapping[str, str]) -> bool:
    # In compatible mode the plain fields stand beside the sealed ones, and nothing signs them.
    if account.mode is CallbackMode.COMPATIBLE:
        return query.get("encrypt_type", "raw") != "raw"
    return account.mode is CallbackMode.SAFE


def _check_plain(
    account: Credentials, query: Mapping[str, str], now: datetime, fresh: timedelta
) -> str:
    """Check what only the query says; gives the token that signed it."""
    timestamp, nonce = asked(query, "timestamp"), asked(query, "nonce")
    token = check_signature(account, asked(query, "signature"), timestamp, nonce)
    check_fresh(timestamp, now, fresh)
    return token
