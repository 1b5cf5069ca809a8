"""The pusher: encrypts a callback, brings it to a door of the product, and judges the answer as
the platforms do.

Safe mode only. Five seconds for a whole answer, up to three tries with the same plaintext
(wechat-oa.md §3, wecom.md §1.1). Each try is encrypted afresh: whether the real ones are is not
known, so nothing may depend on it.
"""

import asyncio
import secrets
import time
from dataclasses import dataclass, replace
from enum import StrEnum
from urllib.parse import quote

import httpx

from sandbox.crypto import BrokenSeal, is_signed, seal, sign, unseal
from sandbox.markup import BadXml, leaf, node, read_xml
from sandbox.state import Door
from store import clock

# What a WeChat user sees when a door fails (wechat-oa.md §3, the newer wording).
FAILURE_NOTICE = "该公众号提供的服务出现故障，请稍后再试"
_TEXT_BYTES = 2048
_MOST_ARTICLES = 8
_OK = 200
# A backstop only: the deadline of the rules ends a try long before.
_CLIENT_SECONDS = 60.0


@dataclass(frozen=True)
class Rules:
    """How patient the pusher is, and how many answers it loses. The pause between tries is not
    documented.
    """

    deadline_seconds: float = 5.0
    tries: int = 3
    pause_seconds: float = 1.0
    lost_answers: int = 0


@dataclass(frozen=True)
class Reply:
    """A passive reply that was taken: its kind, its text, and for cards and articles the fields."""

    kind: str
    text: str
    items: list[dict[str, str]]


class Fault(StrEnum):
    """The ways a try goes wrong."""

    UNANSWERED = "unanswered"
    STATUS = "status"
    MALFORMED = "malformed"


@dataclass(frozen=True)
class Delivery:
    """What became of a push: the reply if any, the notice the user saw if any, and what was
    wrong. `again` is what became of its duplicate.
    """

    reply: Reply | None = None
    notice: str | None = None
    fault: Fault | None = None
    problem: str | None = None
    tries: int = 0
    millis: float = 0.0
    again: "Delivery | None" = None


class Malformed(Exception):  # noqa: N818 -- a judgement on an answer, as the refusals of the house are
    """The door answered something the platform would not take."""

    def __init__(self, problem: str, fault: Fault = Fault.MALFORMED) -> None:
        self.fault = fault
        super().__init__(problem)


def new_client() -> httpx.AsyncClient:
    """A client for pushes: no proxy, and only to doors on this machine."""
    return httpx.AsyncClient(trust_env=False, timeout=_CLIENT_SECONDS)


def push_now(door: Door, *, sender: str, xml: str, rules: Rules | None = None) -> Delivery:
    """Push from ordinary code, without a running event loop."""

    async def once() -> Delivery:
        async with new_client() as client:
            return await push(client, door, sender=sender, xml=xml, rules=rules)

    return asyncio.run(once())


async def push(
    client: httpx.AsyncClient, door: Door, *, sender: str, xml: str, rules: Rules | None = None
) -> Delivery:
    """Push one message of `sender` until the door answers or the tries are used up."""
    rules = rules or Rules()
    began = time.perf_counter()
    delivery = Delivery()
    for number in range(1, rules.tries + 1):
        delivery = await _try(client, door, sender, xml, rules)
        if number <= rules.lost_answers:
            delivery = Delivery(fault=Fault.UNANSWERED, problem="The answer was lost.")
        delivery = replace(delivery, tries=number)
        if not _is_worth_another(door, delivery):
            break
        if number < rules.tries:
            await asyncio.sleep(rules.pause_seconds)
    millis = (time.perf_counter() - began) * 1000
    notice = FAILURE_NOTICE if delivery.fault and door.agentid is None else None
    return replace(delivery, notice=notice, millis=round(millis, 2))


def _is_worth_another(door: Door, delivery: Delivery) -> bool:
    """WeChat repeats what was not answered; WeCom also repeats after a status other than 200."""
    is_wecom = door.agentid is not None
    return delivery.fault is Fault.UNANSWERED or (is_wecom and delivery.fault is Fault.STATUS)


async def _try(
    client: httpx.AsyncClient, door: Door, sender: str, xml: str, rules: Rules
) -> Delivery:
    query, body = encode(door, sender=sender, xml=xml)
    try:
        async with asyncio.timeout(rules.deadline_seconds):
            answer = await client.post(
                door.url, params=query, content=body, headers={"Content-Type": "text/xml"}
            )
        return Delivery(judge(door, sender=sender, status=answer.status_code, body=answer.content))
    except TimeoutError:
        problem = f"No answer in {rules.deadline_seconds:g} s."
    except httpx.TransportError as error:
        problem = f"No answer: {type(error).__name__}."
    except Malformed as error:
        return Delivery(fault=error.fault, problem=str(error))
    return Delivery(fault=Fault.UNANSWERED, problem=problem)


def encode(door: Door, *, sender: str, xml: str) -> tuple[dict[str, str], bytes]:
    """The query and the body of a push in safe mode."""
    sealed = seal(xml, aes_key=door.aes_key, receiver=door.receiver)
    timestamp, nonce = str(int(clock.now().timestamp())), str(secrets.randbelow(10**10))
    query = {
        "timestamp": timestamp,
        "nonce": nonce,
        "msg_signature": sign(door.token, timestamp, nonce, sealed),
    }
    if door.agentid is not None:
        address = leaf("ToUserName", door.address) + leaf("AgentID", str(door.agentid))
        return query, node("xml", address, leaf("Encrypt", sealed)).encode()
    query |= {
        "signature": sign(door.token, timestamp, nonce),
        "openid": sender,
        "encrypt_type": "aes",
    }
    return query, node("xml", leaf("ToUserName", door.address), leaf("Encrypt", sealed)).encode()


def judge(door: Door, *, sender: str, status: int, body: bytes) -> Reply | None:
    """The reply in an answer, `None` for `success` or nothing. Refuses with `Malformed`."""
    if status != _OK:
        raise Malformed(f"HTTP status {status}.", Fault.STATUS)
    try:
        text = body.decode()
        if text in {"", "success"}:
            return None
        return _read_reply(door, sender, decode(door, text))
    except UnicodeDecodeError as error:
        raise Malformed("The answer is not UTF-8.") from error
    except (BadXml, BrokenSeal) as error:
        raise Malformed(str(error)) from error


def decode(door: Door, text: str) -> str:
    """The plaintext of an encrypted passive reply, its signature and receiver checked."""
    root = read_xml(text)
    sealed, signature = root.findtext("Encrypt"), root.findtext("MsgSignature")
    timestamp, nonce = root.findtext("TimeStamp"), root.findtext("Nonce")
    if not (sealed and signature and timestamp and nonce):
        raise Malformed("A plaintext reply is not taken in safe mode.")
    if not is_signed(signature, door.token, timestamp, nonce, sealed):
        raise Malformed("The signature of the reply is wrong.")
    opened = unseal(sealed, aes_key=door.aes_key)
    if opened.receiver != door.receiver:
        raise Malformed("The reply is sealed for another receiver.")
    return opened.text


def _read_reply(door: Door, sender: str, xml: str) -> Reply:
    root = read_xml(xml)
    if root.findtext("ToUserName") != sender:
        raise Malformed("The reply is addressed to another person.")
    if root.findtext("FromUserName") != door.address:
        raise Malformed("The reply comes from another account.")
    kind = root.findtext("MsgType") or ""
    if kind == "text":
        return Reply(kind, _reply_text(root.findtext("Content")), [])
    if kind == "news":
        articles = [
            {part.tag: part.text or "" for part in item} for item in root.iterfind("Articles/item")
        ]
        if not 1 <= len(articles) <= _MOST_ARTICLES:
            raise Malformed("The number of articles is wrong.")
        return Reply(kind, articles[0].get("Title", ""), articles)
    if kind in {"image", "voice", "video", "music", "transfer_customer_service"}:
        return Reply(kind, "", [])
    if kind in {"update_button", "update_template_card"} and door.agentid is not None:
        return Reply(kind, root.findtext("Button/ReplaceName") or "", [])
    raise Malformed(f"A reply of the type {kind!r} is not known.")


def _reply_text(content: str | None) -> str:
    if not content:
        raise Malformed("The text of the reply is empty.")
    if len(content.encode()) > _TEXT_BYTES:
        raise Malformed("The text of the reply is too long.")
    return content


async def verify(client: httpx.AsyncClient, door: Door) -> bool:
    """Knock as the console does when a callback URL is saved: the door must give the echo back,
    byte for byte.
    """
    echo = str(secrets.randbelow(10**19))
    timestamp, nonce = str(int(clock.now().timestamp())), str(secrets.randbelow(10**10))
    query = {"timestamp": timestamp, "nonce": nonce}
    if door.agentid is None:
        query |= {"signature": sign(door.token, timestamp, nonce), "echostr": echo}
    else:
        # WeCom seals the echo as well; base64 has characters that a query must escape.
        sealed = seal(echo, aes_key=door.aes_key, receiver=door.receiver)
        query |= {"msg_signature": sign(door.token, timestamp, nonce, sealed), "echostr": sealed}
    escaped = "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items())
    answer = await client.get(
        f"{door.url}?{escaped}", timeout=1.0 if door.agentid is not None else 5.0
    )
    return answer.status_code == _OK and answer.content == echo.encode()
