"""The thinnest encrypted echo of wechatpy's parts: `uvicorn bench.peers.starlette_echo:app`."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from wechatpy import create_reply, parse_message
from wechatpy.crypto import WeChatCrypto

from bench.pushes import AES_KEY, APP_ID, TOKEN

_crypto = WeChatCrypto(TOKEN, AES_KEY, APP_ID)


async def _echo(request: Request) -> PlainTextResponse:
    query = request.query_params
    plain = _crypto.decrypt_message(
        await request.body(), query["msg_signature"], query["timestamp"], query["nonce"]
    )
    message = parse_message(plain)
    reply = create_reply(message.content, message).render()
    return PlainTextResponse(_crypto.encrypt_message(reply, query["nonce"], query["timestamp"]))


app = Starlette(routes=[Route("/echo", _echo, methods=["POST"])])
