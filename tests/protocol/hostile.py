"""Bodies that no platform sends: random, garbled, forged, replayed, sealed with wrong keys."""

import random
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from bot.envelope import MAX_BODY_BYTES
from sandbox.crypto import seal, sign
from tests.bot.builders import (
    APP_ID,
    OTHER_AES_KEY,
    TOKEN,
    Push,
    a_push,
    event_xml,
    text_xml,
)

# Stands in every plain text; whatever shows it has leaked.
MARKER = "Geheimwort"
_BYTES = bytes(range(256))
_TAGS = (
    "xml",
    "Encrypt",
    "ToUserName",
    "FromUserName",
    "MsgType",
    "Event",
    "MsgId",
    "Content",
    "List",
)
_BITS = (
    "<![CDATA[", "]]>", "&lt;", "&#x0;", "&#xD800;", "&#1114112;", "<!DOCTYPE xml [", "&a;",
    "<!ENTITY a 'b'>", "<?xml version='1.0' encoding='utf-16'?>", "<!--", "-->", "\x00", "\ufffe",
    "𠮷", "<xml>", "</xml>", "<", ">", "text", "event", "1" * 30, "-1", "1e999", "{}", "'", '"',
)  # fmt: skip
_EVENTS = (
    "subscribe",
    "CLICK",
    "LOCATION",
    "subscribe_msg_sent_event",
    "MASSSENDJOBFINISH",
    "new_one",
)
Make = Callable[[random.Random, datetime], Push]


def bodies(seed: int, number: int, now: datetime) -> Iterator[Push]:
    """So many hostile pushes, the same for the same seed."""
    draw = random.Random(seed)  # noqa: S311 -- the same bodies in every run
    for _ in range(number):
        yield draw.choice(_WAYS)(draw, now)


def _noise(draw: random.Random, now: datetime) -> Push:
    body = bytes(draw.choices(_BYTES, k=draw.randrange(0, 300)))
    return Push(a_push(_plain(draw), now=now).query, body)


def _markup(draw: random.Random, now: datetime) -> Push:
    """Something like XML, signed as plain text is."""
    pieces = [_piece(draw) for _ in range(draw.randrange(1, 30))]
    body = "".join(["<xml>", *pieces, "</xml>"]).encode("utf-8", "surrogatepass")
    return Push(a_push(_plain(draw), now=now).query, body)


def _garbled_outside(draw: random.Random, now: datetime) -> Push:
    push = a_push(_plain(draw), now=now)
    return Push(push.query, _mutated(draw, push.body))


def _garbled_block(draw: random.Random, now: datetime) -> Push:
    """A block that is damaged and yet signed: as by somebody who knows the token alone."""
    sealed = seal(_plain(draw), aes_key=draw.choice((OTHER_AES_KEY, "A" * 43)), receiver=APP_ID)
    if draw.random() < 0.5:
        sealed = _mutated(draw, sealed.encode()).decode("latin-1")
    return _signed(sealed, now)


def _garbled_inside(draw: random.Random, now: datetime) -> Push:
    """Sealed and signed as it should be, around something that is no message."""
    plain = _mutated(draw, _plain(draw).encode()).decode("utf-8", "replace")
    return a_push(plain, now=now)


def _made_up_inside(draw: random.Random, now: datetime) -> Push:
    pieces = "".join(_piece(draw) for _ in range(draw.randrange(1, 20)))
    plain = _plain(draw).replace("</xml>", f"{pieces}</xml>")
    return a_push(plain.encode("utf-8", "replace").decode(), now=now)


def _for_somebody_else(draw: random.Random, now: datetime) -> Push:
    return a_push(_plain(draw), now=now, app_id=draw.choice(("wx" + "0" * 16, "", APP_ID + "x")))


def _stale(draw: random.Random, now: datetime) -> Push:
    days = draw.choice((-3650, -1, 1, 3650))
    return a_push(_plain(draw), now=now + timedelta(days=days))


def _huge(draw: random.Random, now: datetime) -> Push:
    push = a_push(_plain(draw), now=now)
    return Push(push.query, push.body + b" " * MAX_BODY_BYTES)


def _deep(draw: random.Random, now: datetime) -> Push:
    tag, depth = draw.choice(_TAGS), draw.choice((8, 600, 5000))
    plain = f"<{tag}>" * depth + f"</{tag}>" * depth
    return (
        a_push(plain, now=now) if draw.random() < 0.5 else Push(_stale_query(now), plain.encode())
    )


def _wrong_query(draw: random.Random, now: datetime) -> Push:
    push = a_push(_plain(draw), now=now)
    name = draw.choice(sorted(push.query))
    value = draw.choice(("", "0", "²", "-1", "9" * 400, "x" * 5000, "\x00", "é", "%", "A" * 40))
    return Push(push.query | {name: value}, push.body)


def _stale_query(now: datetime) -> dict[str, str]:
    return a_push("<xml/>", now=now).query


_WAYS: tuple[Make, ...] = (
    _noise,
    _markup,
    _garbled_outside,
    _garbled_block,
    _garbled_inside,
    _garbled_inside,
    _made_up_inside,
    _for_somebody_else,
    _stale,
    _deep,
    _wrong_query,
)
# Oversized ones are rare here, for each of them is as long as a hundred others.
_WAYS = (*_WAYS * 9, _huge)


def _plain(draw: random.Random) -> str:
    if draw.random() < 0.5:
        return text_xml(MARKER, number=draw.randrange(10**18))
    return event_xml(draw.choice(_EVENTS), key=MARKER)


def _piece(draw: random.Random) -> str:
    tag, inside = draw.choice(_TAGS), draw.choice(_BITS)
    return draw.choice((f"<{tag}>{inside}</{tag}>", f"<{tag}>{MARKER}", inside, f"</{tag}>"))


def _mutated(draw: random.Random, raw: bytes) -> bytes:
    """Some bytes changed, cut out, or doubled."""
    for _ in range(draw.randrange(1, 4)):
        at = draw.randrange(len(raw) + 1)
        length = draw.randrange(1, 12)
        middle = draw.choice(
            (b"", raw[at : at + length] * 2, bytes(draw.choices(_BYTES, k=length)))
        )
        raw = raw[:at] + middle + raw[at + length :]
    return raw


def _signed(sealed: str, now: datetime) -> Push:
    stamp = str(int(now.timestamp()))
    query = {"timestamp": stamp, "nonce": "77", "encrypt_type": "aes"}
    query["msg_signature"] = sign(TOKEN, stamp, "77", sealed.strip())
    body = f"<xml><Encrypt><![CDATA[{sealed}]]></Encrypt></xml>"
    return Push(query, body.encode())
