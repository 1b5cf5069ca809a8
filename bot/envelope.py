"""The encryption that WeChat and WeCom share: signatures, AES blocks, the reply's envelope.

wechatpy does the AES; what it leaves open is closed here (wechat-oa.md §13.7): signatures are
compared in constant time, padding, length and receiver are checked, and every malformed input is a
`BadCallback`.
"""

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from wechatpy.crypto import BasePrpCrypto

from bot.fields import BadCallback, cdata, parse, text_of
from store.accounts import Credentials

# Real pushes have a few kilobytes; the cap stands before any parsing.
MAX_BODY_BYTES = 64 * 1024
# The protocol asks for no freshness (wechat-oa.md §1.3); an hour covers three tries and bad clocks.
FRESH = timedelta(hours=1)
_AES_BLOCK = 16
_PAD_BLOCK = 32
_RANDOM_BYTES = 16
_LENGTH_BYTES = 4
_ENCODED_KEY = re.compile(r"[A-Za-z0-9]{43}")
_TIMESTAMP = re.compile(r"[0-9]{1,12}", re.ASCII)
_MAX_QUERY_VALUE = 4096
# Accounts of a house, each with a current and a previous key.
_KEYS = 64


@dataclass(frozen=True)
class Opened:
    """A verified callback, with the key that opened it: the reply must use the same.

    No key when it came in plain text; `token` is the one that signed it.
    """

    plain: bytes
    aes_key: str
    nonce: str
    token: str


def sign(*values: str) -> str:
    """SHA-1 over the values sorted as bytes and joined, in lower-case hex."""
    joined = b"".join(sorted(_bytes(value) for value in values))
    return hashlib.sha1(joined, usedforsecurity=False).hexdigest()


def asked(query: Mapping[str, str], name: str) -> str:
    """A query value that must be there."""
    value = query.get(name, "")
    if not value or len(value) > _MAX_QUERY_VALUE:
        raise BadCallback(f"The query value {name} is missing or too long.")
    return value


def check_signature(account: Credentials, signature: str, *values: str) -> str:
    """Refuse a signature that does not belong to the values, in constant time.

    Gives the token that made it: the current one or, while it is being changed, the previous one.
    """
    given = _bytes(signature)
    for token in account.tokens:
        if hmac.compare_digest(given, _bytes(sign(token, *values))):
            return token
    raise BadCallback("The signature is wrong.")


def check_fresh(timestamp: str, now: datetime, fresh: timedelta = FRESH) -> None:
    """Refuse a callback that was signed further than `fresh` from our clock."""
    if not _TIMESTAMP.fullmatch(timestamp):
        raise BadCallback("The timestamp is not a number of seconds.")
    if abs(int(timestamp) - now.timestamp()) > fresh.total_seconds():
        raise BadCallback("The timestamp is too far away from our clock.")


def open_body(
    account: Credentials,
    query: Mapping[str, str],
    body: bytes,
    *,
    now: datetime,
    fresh: timedelta = FRESH,
) -> Opened:
    """Verify and decrypt a POST; a body without `Encrypt` is refused, whatever the query says."""
    check_size(body)
    timestamp, nonce = asked(query, "timestamp"), asked(query, "nonce")
    signature = asked(query, "msg_signature")
    check_fresh(timestamp, now, fresh)
    sealed = text_of(parse(body), "Encrypt").strip()
    if not sealed:
        raise BadCallback("The body is not encrypted.")
    token = check_signature(account, signature, timestamp, nonce, sealed)
    plain, aes_key = open_sealed(account, sealed)
    return Opened(plain, aes_key, nonce, token)


def check_size(body: bytes) -> None:
    """Refuse a body that no platform sends, before any parsing."""
    if len(body) > MAX_BODY_BYTES:
        raise BadCallback("The body is larger than 64 KiB.")


def open_sealed(account: Credentials, sealed: str) -> tuple[bytes, str]:
    """Decrypt with the current key or, while it is being changed, with the previous one."""
    keys = [account.aes_key, account.previous_aes_key]
    for aes_key in keys:
        plain = _decrypt(sealed, aes_key, account.app_id) if aes_key else None
        if plain is not None and aes_key:
            return plain, aes_key
    raise BadCallback("The message does not open with our keys.")


def seal_reply(account: Credentials, opened: Opened, xml: str, *, now: datetime) -> str:
    """The encrypted passive reply to an opened callback."""
    encrypt = _cipher(opened.aes_key)._encrypt(xml, account.app_id).decode("ascii")
    timestamp = str(int(now.timestamp()))
    signature = sign(opened.token, timestamp, opened.nonce, encrypt)
    # What we encode ourselves, in Base64 and hex, holds nothing that would end the CDATA.
    return (
        f"<xml><Encrypt><![CDATA[{encrypt}]]></Encrypt>"
        f"<MsgSignature><![CDATA[{signature}]]></MsgSignature>"
        f"<TimeStamp>{timestamp}</TimeStamp><Nonce>{cdata(opened.nonce)}</Nonce></xml>"
    )


@lru_cache(_KEYS)
def _cipher(aes_key: str) -> Any:
    cipher = BasePrpCrypto(_decoded(aes_key))
    # wechatpy draws the random start without a cryptographic source, and from letters only.
    cipher.get_random_string = lambda: secrets.token_bytes(_RANDOM_BYTES)
    return cipher


def _decrypt(sealed: str, aes_key: str, receiver: str) -> bytes | None:
    try:
        raw = base64.b64decode(_bytes(sealed), validate=True)
    except (binascii.Error, ValueError):
        return None
    if not raw or len(raw) % _AES_BLOCK:
        return None
    return _unpacked(_cipher(aes_key).cipher.decrypt(raw), receiver)


def _unpacked(block: bytes, receiver: str) -> bytes | None:
    """The message inside a decrypted block, if padding, length and receiver are right."""
    pad = block[-1]
    if not 1 <= pad <= _PAD_BLOCK or block[-pad:] != bytes([pad]) * pad:
        return None
    start = _RANDOM_BYTES + _LENGTH_BYTES
    content = block[:-pad]
    end = start + int.from_bytes(content[_RANDOM_BYTES:start], "big")
    if len(content) < end:
        return None
    if not hmac.compare_digest(content[end:], receiver.encode()):
        return None
    return content[start:end]


def _decoded(aes_key: str) -> bytes:
    # A sample key of the platform has non-zero trailing bits; Python's decoder takes them.
    if not _ENCODED_KEY.fullmatch(aes_key):
        raise BadCallback("The account's EncodingAESKey is unusable; enter it again.")
    return base64.b64decode(aes_key + "=")


def _bytes(value: str) -> bytes:
    return value.encode("utf-8", "surrogatepass")
