"""A door takes callbacks as its account sends them: plain, compatible or safe, and nothing else."""

from dataclasses import replace
from datetime import timedelta

import pytest
from pydantic import SecretStr
from sqlalchemy import event

from bot.fields import BadCallback, parse
from bot.inbox import Desk
from bot.keyring import Keyring
from bot.wechat import inbound as wechat
from sandbox.crypto import sign
from store import accounts
from store.accounts import AccountForm, CallbackMode, Platform
from tests.bot.builders import (
    AES_KEY,
    APP_ID,
    LI,
    ORIGINAL_ID,
    OTHER_AES_KEY,
    SECRET_KEY,
    TOKEN,
    Push,
    a_push,
    opened_reply,
    text_xml,
)
from tests.times import at

_NOW = at("2026-03-01 14:00")
_STAMP = str(int(_NOW.timestamp()))
_WORDS = text_xml("你好")


def _register(
    desk: Desk, mode: CallbackMode, *, token: str = TOKEN, aes_key: str = AES_KEY
) -> None:
    form = AccountForm(
        brand_id=1,
        platform=Platform.WECHAT,
        code="brand",
        name="account",
        mode=mode,
        app_id=APP_ID,
        original_id=ORIGINAL_ID,
        secret=SecretStr("the app secret"),
        token=SecretStr(token),
        aes_key=SecretStr(aes_key),
    )
    with desk.database.transaction() as session:
        accounts.register(session, form, secret_key=SECRET_KEY, now=_NOW)


def _plain(xml: str = _WORDS, *, token: str = TOKEN, stamp: str = _STAMP) -> Push:
    """A push in plain text: only the query is signed."""
    query = {"signature": sign(token, stamp, "77"), "timestamp": stamp, "nonce": "77"}
    return Push(query, xml.encode())


def _both(inside: str = _WORDS, outside: str = _WORDS) -> Push:
    """A push of the compatible mode: the plain fields, and all of them sealed beside."""
    sealed = a_push(inside, now=_NOW)
    encrypt = parse(sealed.body)["Encrypt"]
    body = outside.replace("</xml>", f"<Encrypt><![CDATA[{encrypt}]]></Encrypt></xml>")
    return Push(sealed.query | {"openid": LI}, body.encode())


def _receive(desk: Desk, push: Push) -> str:
    return wechat.receive(desk, "brand", push.query, push.body, now=_NOW)


def test_plain_mode_answers_in_plain_text(desk: Desk) -> None:
    _register(desk, CallbackMode.PLAIN)

    reply = parse(_receive(desk, _plain()).encode())

    assert (reply["ToUserName"], reply["FromUserName"]) == (LI, ORIGINAL_ID)
    assert "积分" in reply["Content"]


def test_compatible_mode_answers_sealed_to_sealed_and_plain_to_plain(desk: Desk) -> None:
    _register(desk, CallbackMode.COMPATIBLE)

    sealed, plain = _receive(desk, _both()), _receive(desk, _plain(text_xml("你好")))

    assert opened_reply(sealed)["Content"] == parse(plain.encode())["Content"]


def test_compatible_mode_believes_the_sealed_fields(desk: Desk) -> None:
    _register(desk, CallbackMode.COMPATIBLE)
    forged = _WORDS.replace(LI, "oSomebodyElse")

    answer = _receive(desk, _both(outside=forged))

    assert opened_reply(answer)["ToUserName"] == LI


@pytest.mark.parametrize("encrypt_type", ["aes", "raw", ""])
def test_safe_mode_takes_nothing_in_plain_text(desk: Desk, encrypt_type: str) -> None:
    _register(desk, CallbackMode.SAFE)
    push = _plain()
    query = push.query | {"encrypt_type": encrypt_type, "msg_signature": push.query["signature"]}

    with pytest.raises(BadCallback, match="not encrypted"):
        _receive(desk, replace(push, query=query))


@pytest.mark.parametrize("mode", [CallbackMode.SAFE, CallbackMode.COMPATIBLE])
def test_sealed_push_needs_its_own_signature(desk: Desk, mode: CallbackMode) -> None:
    _register(desk, mode)
    push = _both()
    query = push.query | {"msg_signature": push.query["signature"]}

    with pytest.raises(BadCallback, match="signature"):
        _receive(desk, replace(push, query=query))


@pytest.mark.parametrize(
    ("push", "why"),
    [
        (_plain(token="another"), "signature"),
        (_plain(stamp=str(int(_STAMP) - 3601)), "too far"),
        (_plain(stamp="yesterday"), "seconds"),
        (_plain("{}"), "XML"),
        (_plain(_WORDS + " " * 65_536), "64 KiB"),
        (a_push(_WORDS, now=_NOW), "FromUserName"),
    ],
)
def test_plain_mode_refuses_what_is_not_signed_fresh_or_whole(
    desk: Desk, push: Push, why: str
) -> None:
    _register(desk, CallbackMode.PLAIN)

    with pytest.raises(BadCallback, match=why):
        _receive(desk, push)


def test_deployment_says_how_old_a_callback_may_be(desk: Desk) -> None:
    strict = replace(desk, fresh=timedelta(seconds=10))
    push = a_push(_WORDS, now=_NOW - timedelta(seconds=11))

    with pytest.raises(BadCallback, match="too far"):
        _receive(strict, push)

    assert _receive(desk, push) != ""


@pytest.mark.parametrize("mode", list(CallbackMode))
def test_url_check_is_the_same_in_every_mode(desk: Desk, mode: CallbackMode) -> None:
    _register(desk, mode)
    query = _plain().query | {"echostr": "4375120948345356249"}

    assert wechat.verify(desk, "brand", query, now=_NOW) == "4375120948345356249"


def test_key_and_token_that_are_being_changed_both_open_the_door(desk: Desk) -> None:
    _register(desk, CallbackMode.SAFE)
    _register(desk, CallbackMode.SAFE, token="anothertoken", aes_key=OTHER_AES_KEY)

    before = _receive(desk, a_push(text_xml("你好"), now=_NOW))

    assert "积分" in opened_reply(before)["Content"]
    _register(desk, CallbackMode.SAFE, token="athirdtoken", aes_key=OTHER_AES_KEY)
    # Another process, which has seen none of the older ones.
    with pytest.raises(BadCallback):
        _receive(replace(desk, keyring=Keyring()), a_push(text_xml("你好"), now=_NOW))


def test_flood_of_forged_pushes_is_no_flood_of_the_database(desk: Desk) -> None:
    _register(desk, CallbackMode.SAFE)
    looks: list[str] = []
    forged = a_push(_WORDS, now=_NOW, aes_key=OTHER_AES_KEY)

    def looked(_connection: object) -> None:
        looks.append("begin")

    event.listen(desk.database.engine, "begin", looked)
    for _ in range(20):
        with pytest.raises(BadCallback):
            _receive(desk, forged)
    event.remove(desk.database.engine, "begin", looked)

    assert looks == ["begin"]
