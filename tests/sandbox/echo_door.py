"""A small product to push to: an encrypted echo, and a door for each way of answering badly."""

import asyncio
import secrets
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

from fastapi import FastAPI, Request, Response

from sandbox.crypto import seal, sign, unseal
from sandbox.markup import leaf, node, read_xml
from tests.sandbox.builders import AES_KEY

TOKEN = "sandboxToken"


@dataclass
class Seen:
    """What has come in at the door."""

    plaintexts: list[str] = field(default_factory=list)
    sealed: list[str] = field(default_factory=list)
    queries: list[dict[str, str]] = field(default_factory=list)


def create_echo_app(seen: Seen) -> FastAPI:
    """The application; the last part of the path says how it answers."""
    app = FastAPI()

    @app.get("/door/{how}")
    async def knock(request: Request, how: str) -> Response:
        query = request.query_params
        is_plain = how == "echo"
        text = query["echostr"] if is_plain else unseal(query["echostr"], aes_key=AES_KEY).text
        return Response(text)

    @app.post("/door/{how}")
    async def door(request: Request, how: str) -> Response:
        outer = read_xml((await request.body()).decode())
        sealed = outer.findtext("Encrypt") or ""
        opened = unseal(sealed, aes_key=AES_KEY)
        seen.plaintexts.append(opened.text)
        seen.sealed.append(sealed)
        seen.queries.append(dict(request.query_params))
        if how == "silent" or (how == "silent-twice" and len(seen.plaintexts) <= 2):
            await _gone(request)
        return _answer(how, opened.text, opened.receiver)

    return app


async def _gone(request: Request) -> None:
    """Wait until the other side has given up."""
    while not await request.is_disconnected():
        await asyncio.sleep(0.01)


def _answer(how: str, plaintext: str, receiver: str) -> Response:
    if how in {"success", "empty"}:
        return Response("success" if how == "success" else "")
    if how in {"500", "503"}:
        return Response("no", int(how))
    message = read_xml(plaintext)
    reply = _reply(message, how)
    if how == "plaintext":
        return Response(reply)
    if how == "json":
        return Response('{"reply": "hello"}')
    if how == "stranger":
        receiver = "wxsomebodyelse"
    return Response(_sealed(reply, receiver, "wrong" if how == "unsigned" else TOKEN))


def _reply(message: Element, how: str) -> str:
    to, sender = message.findtext("FromUserName"), message.findtext("ToUserName")
    content = message.findtext("Content") or message.findtext("Event")
    text = "长" * 700 if how == "long" else f"echo: {content}"
    head = leaf("ToUserName", "o-another" if how == "other-person" else to or "")
    kind = "poem" if how == "poem" else "text"
    body = leaf("MsgType", kind) + leaf("Content", text)
    return node("xml", head, leaf("FromUserName", sender or ""), leaf("CreateTime", 1), body)


def _sealed(reply: str, receiver: str, token: str) -> str:
    sealed = seal(reply, aes_key=AES_KEY, receiver=receiver)
    timestamp, nonce = "1700000000", secrets.token_hex(4)
    return node(
        "xml",
        leaf("Encrypt", sealed),
        leaf("MsgSignature", sign(token, timestamp, nonce, sealed)),
        leaf("TimeStamp", int(timestamp)),
        leaf("Nonce", nonce),
    )
