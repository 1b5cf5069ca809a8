"""Random tokens and codes: what leaves the house instead of keys."""

import hashlib
import hmac
import secrets

# 16 bytes: 128 bits, as reference loyalty.md §2.5 asks of a gift token.
_TOKEN_BYTES = 16
# No 0/O, 1/I/L: a cashier may have to read a code aloud.
_CODE_ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
_CODE_LENGTH = 12


def new_token() -> str:
    """A URL-safe random token of 128 bits."""
    return secrets.token_urlsafe(_TOKEN_BYTES)


def new_code() -> str:
    """A 12-character code that a till can scan and a person can read aloud (59 bits)."""
    return "".join(secrets.choice(_CODE_ALPHABET) for _ in range(_CODE_LENGTH))


def digest(token: str) -> str:
    """The SHA-256 of a token, hex: what the record keeps of a secret that only its holder knows."""
    return hashlib.sha256(token.encode()).hexdigest()


def fingerprint(secret_key: str, text: str) -> str:
    """A keyed hash, hex: knows a mobile or an openid again without keeping it.

    A plain hash would not do: there are few enough mobiles to try them all. With another key than
    before nobody is known again.
    """
    return hmac.new(secret_key.encode(), f"fingerprint:{text}".encode(), "sha256").hexdigest()
