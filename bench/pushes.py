"""Encrypted pushes as the platform makes them, written ahead to a file that wrk reads."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from urllib.parse import urlencode

from pydantic import SecretStr
from sqlmodel import Session

from sandbox.crypto import seal, sign
from store import accounts
from store.accounts import AccountForm, Platform
from store.organisation import Brand

TOKEN = "tokenofthebench"  # noqa: S105 -- it opens nothing but a bench
AES_KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
APP_ID = "wxbench0000000000"
ORIGINAL_ID = "gh_bench00000000"
_NONCE = "77"


def openid(number: int) -> str:
    """The WeChat id of a made-up follower."""
    return f"oBench{number:022}"


def push(words: str, *, sender: str, msg_id: int, timestamp: int) -> tuple[str, str]:
    """Query string and body of one text message in safe mode."""
    xml = (
        f"<xml><ToUserName><![CDATA[{ORIGINAL_ID}]]></ToUserName>"
        f"<FromUserName><![CDATA[{sender}]]></FromUserName><CreateTime>{timestamp}</CreateTime>"
        f"<MsgType><![CDATA[text]]></MsgType><Content><![CDATA[{words}]]></Content>"
        f"<MsgId>{msg_id}</MsgId></xml>"
    )
    sealed = seal(xml, aes_key=AES_KEY, receiver=APP_ID)
    query = {
        "signature": sign(TOKEN, str(timestamp), _NONCE),
        "timestamp": timestamp,
        "nonce": _NONCE,
        "encrypt_type": "aes",
        "msg_signature": sign(TOKEN, str(timestamp), _NONCE, sealed),
    }
    body = (
        f"<xml><ToUserName><![CDATA[{ORIGINAL_ID}]]></ToUserName>"
        f"<Encrypt><![CDATA[{sealed}]]></Encrypt></xml>"
    )
    return urlencode(query), body


def register(session: Session, secret: str, *, secret_key: str, now: datetime) -> int:
    """The account that all of this is pushed to; gives its brand."""
    brand = Brand(code="bench", name="bench")
    session.add(brand)
    session.flush()
    form = AccountForm(
        brand_id=brand.id,
        platform=Platform.WECHAT,
        code="bench",
        name="bench",
        app_id=APP_ID,
        original_id=ORIGINAL_ID,
        secret=SecretStr(secret),
        token=SecretStr(TOKEN),
        aes_key=SecretStr(AES_KEY),
    )
    accounts.register(session, form, secret_key=secret_key, now=now)
    return brand.id


def write(path: Path, words: str, *, ids: range, followers: int, timestamp: int) -> None:
    """One push a line, query and body apart by a tab; every message has another id."""
    path.write_text("".join(_lines(words, ids, followers, timestamp)))


def _lines(words: str, ids: range, followers: int, timestamp: int) -> Iterator[str]:
    for number in ids:
        sender = openid(number % followers)
        query, body = push(words, sender=sender, msg_id=number, timestamp=timestamp)
        yield f"{query}\t{body}\n"
