"""Ids that look like the real ones, made from a seed so that every run and every process agrees."""

import base64
import hashlib

_OPENID_CHARACTERS = 28
_EXTERNAL_CHARACTERS = 32
# All openids of one account begin alike, so the account gives this many of the characters.
_ACCOUNT_CHARACTERS = 5


def openid(appid: str, seed: str) -> str:
    """An openid of 28 characters: `o`, five of the account, the rest of the person."""
    start = "o" + _letters("account", appid)[:_ACCOUNT_CHARACTERS]
    return start + _letters("openid", appid, seed)[: _OPENID_CHARACTERS - len(start)]


def unionid(seed: str) -> str:
    """A unionid of 28 characters."""
    return "oZy" + _letters("unionid", seed)[: _OPENID_CHARACTERS - 3]


def external_userid(corpid: str, seed: str) -> str:
    """An id of a WeChat customer in a corp: `wm` and 30 characters."""
    return "wm" + _letters("external", corpid, seed)[: _EXTERNAL_CHARACTERS - 2]


def _letters(*parts: str) -> str:
    digest = hashlib.sha256("\n".join(parts).encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
