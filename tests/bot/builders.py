"""An account with known secrets, and pushes to its door as the platform would make them."""

from dataclasses import dataclass
from datetime import datetime
from itertools import count

from pydantic import SecretStr
from sqlmodel import Session

from bot.fields import Fields, parse
from sandbox.crypto import seal, sign, unseal
from store import accounts
from store.accounts import Account, AccountForm, Credentials, Platform
from store.organisation import Brand

SECRET_KEY = "a key of the tests"
TOKEN = "tokenoftests"
AES_KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
OTHER_AES_KEY = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789abcdefg"
APP_ID = "wx0123456789abcdef"
ORIGINAL_ID = "gh_0123456789ab"
CORP_ID = "ww0123456789abcdef"
AGENT_ID = 1000002
LI = "oLi_00000000000000000000000A"
ZHAO = "oZhao_000000000000000000000B"

_numbers = count(4561255354251345929)


def credentials(
    *,
    platform: Platform = Platform.WECHAT,
    app_id: str = APP_ID,
    token: str = TOKEN,
    aes_key: str = AES_KEY,
    previous: str | None = None,
) -> Credentials:
    """Open credentials without a database."""
    return Credentials(
        account_id=1,
        brand_id=1,
        platform=platform,
        code="brand",
        app_id=app_id,
        original_id=ORIGINAL_ID,
        agent_id=AGENT_ID,
        secret="the app secret",
        token=token,
        aes_key=aes_key,
        previous_aes_key=previous,
    )


def an_account(
    session: Session,
    brand: Brand,
    *,
    platform: Platform = Platform.WECHAT,
    aes_key: str = AES_KEY,
    now: datetime,
) -> Account:
    """The brand's official account `brand`, or its WeCom app `guides`."""
    is_wechat = platform is Platform.WECHAT
    form = AccountForm(
        brand_id=brand.id,
        platform=platform,
        code="brand" if is_wechat else "guides",
        name="account",
        app_id=APP_ID if is_wechat else CORP_ID,
        original_id=ORIGINAL_ID if is_wechat else "",
        agent_id=None if is_wechat else AGENT_ID,
        secret=SecretStr("the app secret"),
        token=SecretStr(TOKEN),
        aes_key=SecretStr(aes_key),
        notice_template_id="template-1",
    )
    return accounts.register(session, form, secret_key=SECRET_KEY, now=now)


@dataclass(frozen=True)
class Push:
    """Query and body of one callback."""

    query: dict[str, str]
    body: bytes


def a_push(
    xml: str, *, now: datetime, app_id: str = APP_ID, aes_key: str = AES_KEY, nonce: str = "77"
) -> Push:
    """An encrypted, signed push of `xml`."""
    sealed = seal(xml, aes_key=aes_key, receiver=app_id)
    timestamp = str(int(now.timestamp()))
    query = {
        "signature": sign(TOKEN, timestamp, nonce),
        "timestamp": timestamp,
        "nonce": nonce,
        "encrypt_type": "aes",
        "msg_signature": sign(TOKEN, timestamp, nonce, sealed),
    }
    body = f"<xml><ToUserName>{app_id}</ToUserName><Encrypt><![CDATA[{sealed}]]></Encrypt></xml>"
    return Push(query, body.encode())


def text_xml(words: str, *, sender: str = LI, number: int | None = None) -> str:
    """A text message."""
    number = next(_numbers) if number is None else number
    return _xml(
        sender,
        f"<MsgType><![CDATA[text]]></MsgType><Content><![CDATA[{words}]]></Content>"
        f"<MsgId>{number}</MsgId>",
    )


def event_xml(event: str, *, sender: str = LI, key: str = "", more: str = "") -> str:
    """An event; each one differs in its second from the others."""
    return _xml(
        sender,
        f"<MsgType><![CDATA[event]]></MsgType><Event><![CDATA[{event}]]></Event>"
        f"<EventKey><![CDATA[{key}]]></EventKey>{more}",
    )


def _xml(sender: str, rest: str) -> str:
    return (
        f"<xml><ToUserName><![CDATA[{ORIGINAL_ID}]]></ToUserName>"
        f"<FromUserName><![CDATA[{sender}]]></FromUserName>"
        f"<CreateTime>{next(_numbers) % 10**9}</CreateTime>{rest}</xml>"
    )


def opened_reply(answer: str, *, aes_key: str = AES_KEY, app_id: str = APP_ID) -> Fields:
    """The plain reply inside an answer, its signature and receiver checked as WeChat does."""
    outer = parse(answer.encode())
    assert outer["MsgSignature"] == sign(
        TOKEN, outer["TimeStamp"], outer["Nonce"], outer["Encrypt"]
    )
    inner = unseal(outer["Encrypt"], aes_key=aes_key)
    assert inner.receiver == app_id
    return parse(inner.text.encode())
