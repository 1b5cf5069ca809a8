"""The rotating code of a member card: 18 digits that a till scans, good for about two minutes.

A code is made and read by arithmetic alone, so that showing a card writes nothing. Behind two
fixed digits stand sixteen: the member's number and a tag of (member, minute), both under a small
keyed permutation (a Feistel network), so that a code names nobody and looks new every minute.
Whoever has no key guesses a code of somebody once in three million tries.
"""

import hashlib
import hmac
from datetime import datetime

from store.errors import NotAllowed

# No payment code of WeChat (10-15), Alipay (25-30) or UnionPay (62) begins like this, so a till
# that scans the wrong screen notices.
_PREFIX = "88"
STEP_SECONDS = 60
# A code stays good for two more steps: time to walk up to the till and for clocks to differ.
_GRACE_STEPS = 2
_ROUNDS = 8
_HALF = 10**8
# Seven digits of tag leave nine for the member: a thousand million.
_TAGS = 10**7
_DIGITS = 16
LENGTH = len(_PREFIX) + _DIGITS


class CardCodeStale(NotAllowed):
    """The code was never shown on a card, or not within the last two minutes."""

    def __init__(self) -> None:
        super().__init__(
            "card_code: this card code is no longer valid; ask the member to open the card again."
        )


def shown(secret: str, member_id: int, now: datetime) -> str:
    """The code of this member's card in this minute."""
    key = _key(secret)
    plain = member_id * _TAGS + _tag(key, member_id, _step(now))
    assert plain < _HALF**2, "A member's number has outgrown the card code."
    left, right = divmod(plain, _HALF)
    for turn in range(_ROUNDS):
        left, right = right, (left + _mixed(key, turn, right)) % _HALF
    return f"{_PREFIX}{left * _HALF + right:0{_DIGITS}}"


def read(secret: str, code: str, now: datetime) -> int:
    """The id of the member whose card shows, or just showed, this code; else `CardCodeStale`."""
    if not looks_like_one(code):
        raise CardCodeStale
    key = _key(secret)
    left, right = divmod(int(code.removeprefix(_PREFIX)), _HALF)
    for turn in reversed(range(_ROUNDS)):
        left, right = (right - _mixed(key, turn, left)) % _HALF, left
    member_id, tag = divmod(left * _HALF + right, _TAGS)
    steps = range(_step(now) - _GRACE_STEPS, _step(now) + 1)
    if tag not in {_tag(key, member_id, step) for step in steps}:
        raise CardCodeStale
    return member_id


def looks_like_one(text: str) -> bool:
    """Whether this is a card code by its shape, good or stale."""
    return len(text) == LENGTH and text.startswith(_PREFIX) and text.isascii() and text.isdigit()


def seconds_left(now: datetime) -> int:
    """Until the card shows the next code; at least one."""
    return STEP_SECONDS - int(now.timestamp()) % STEP_SECONDS


def _step(now: datetime) -> int:
    return int(now.timestamp()) // STEP_SECONDS


def _key(secret: str) -> bytes:
    return hmac.digest(secret.encode(), b"zhiyin card code", hashlib.sha256)


def _tag(key: bytes, member_id: int, step: int) -> int:
    return _number(key, f"tag {member_id} {step}") % _TAGS


def _mixed(key: bytes, turn: int, half: int) -> int:
    return _number(key, f"turn {turn} {half}") % _HALF


def _number(key: bytes, text: str) -> int:
    return int.from_bytes(hmac.digest(key, text.encode(), hashlib.sha256)[:8])
