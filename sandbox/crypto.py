"""The callback encryption of WeChat and WeCom, written from their description, not from a
library.

It is a second, independent encoder on purpose: the product uses wechatpy, the stand-in must not,
so that a mistake in one shows against the other. Layout and vectors: wechat-oa.md §1.4 to §1.6,
wecom.md §1.2 and §1.3.
"""

import base64
import binascii
import hashlib
import hmac
import os
import struct
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

# PKCS#7 with a block of 32 bytes, although AES itself has blocks of 16.
_PAD_BLOCK = 32
_RANDOM_BYTES = 16
_LENGTH_BYTES = 4
_KEY_CHARACTERS = 43


class BrokenSeal(Exception):  # noqa: N818 -- it names what is seen, as the refusals of the house do
    """A signature, a padding, a length or a receiver is not what it should be."""


@dataclass(frozen=True)
class Opened:
    """What an encrypted block holds: the message, the receiver at its end, and the random start."""

    text: str
    receiver: str
    random: bytes


def sign(*values: str) -> str:
    """SHA-1 in lower-case hex over the values, sorted as strings and joined."""
    joined = "".join(sorted(values)).encode()
    return hashlib.sha1(joined, usedforsecurity=False).hexdigest()


def is_signed(signature: str, *values: str) -> bool:
    """The signature belongs to these values."""
    return hmac.compare_digest(signature.encode(), sign(*values).encode())


def seal(text: str, *, aes_key: str, receiver: str, random: bytes | None = None) -> str:
    """Encrypt a message for a receiver (an AppID or a corp id) and give base64."""
    message = text.encode()
    start = os.urandom(_RANDOM_BYTES) if random is None else random
    block = start + struct.pack(">I", len(message)) + message + receiver.encode()
    pad = _PAD_BLOCK - len(block) % _PAD_BLOCK
    encryptor = _cipher(aes_key).encryptor()
    sealed = encryptor.update(block + bytes([pad]) * pad) + encryptor.finalize()
    return base64.b64encode(sealed).decode()


def unseal(sealed: str, *, aes_key: str) -> Opened:
    """Decrypt base64 and take the block apart. Refuses with `BrokenSeal`."""
    block = _strip_padding(_decrypt(sealed, aes_key))
    head = _RANDOM_BYTES + _LENGTH_BYTES
    if len(block) < head:
        raise BrokenSeal("The block is too short.")
    (length,) = struct.unpack(">I", block[_RANDOM_BYTES:head])
    if head + length > len(block):
        raise BrokenSeal("The length runs past the end of the block.")
    try:
        text, receiver = block[head : head + length].decode(), block[head + length :].decode()
    except UnicodeDecodeError as error:
        raise BrokenSeal("The message is not UTF-8.") from error
    return Opened(text, receiver, block[:_RANDOM_BYTES])


def _cipher(aes_key: str) -> Cipher[CBC]:
    if len(aes_key) != _KEY_CHARACTERS:
        raise BrokenSeal("An EncodingAESKey has 43 characters.")
    # Python's decoder ignores the two spare bits at the end, which the official sample keys do set.
    key = base64.b64decode(aes_key + "=")
    return Cipher(AES(key), CBC(key[:16]))


def _decrypt(sealed: str, aes_key: str) -> bytes:
    try:
        raw = base64.b64decode(sealed, validate=True)
        decryptor = _cipher(aes_key).decryptor()
        return decryptor.update(raw) + decryptor.finalize()
    except (binascii.Error, ValueError) as error:
        raise BrokenSeal("The ciphertext is not whole.") from error


def _strip_padding(block: bytes) -> bytes:
    pad = block[-1] if block else 0
    if not 1 <= pad <= _PAD_BLOCK or block[-pad:] != bytes([pad]) * pad:
        raise BrokenSeal("The padding is wrong.")
    return block[:-pad]
