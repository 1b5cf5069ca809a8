"""Callbacks open and seal as published, and nothing malformed gets past the door."""

import base64
import json
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.envelope import MAX_BODY_BYTES, Opened, check_signature, open_body, seal_reply, sign
from bot.fields import BadCallback, parse
from bot.wechat import crypto as wechat
from bot.wecom import crypto as wecom
from sandbox.crypto import seal
from tests.bot.builders import (
    AES_KEY,
    APP_ID,
    OTHER_AES_KEY,
    TOKEN,
    Push,
    a_push,
    credentials,
    opened_reply,
    text_xml,
)
from tests.times import at

_VECTORS = json.loads((Path(__file__).parents[1] / "protocol" / "vectors.json").read_text())
_SIGNED = [vector for vector in _VECTORS["seals"] if "signature" in vector]
_NOW = at("2026-03-01 14:00")


def _account_of(vector: dict[str, Any]) -> Any:
    return credentials(app_id=vector["receiver"], token=vector["token"], aes_key=vector["aes_key"])


def _query_of(vector: dict[str, Any], signature: str) -> dict[str, str]:
    return {
        "msg_signature": signature,
        "timestamp": vector["timestamp"],
        "nonce": vector["nonce"],
        "echostr": vector["encrypt"],
    }


def _then(vector: dict[str, Any]) -> datetime:
    return datetime.fromtimestamp(int(vector["timestamp"]), UTC)


@pytest.mark.parametrize("vector", _VECTORS["signatures"], ids=lambda vector: vector["id"])
def test_signature_is_the_published_one(vector: dict[str, Any]) -> None:
    assert sign(*vector["items"]) == vector["signature"]


@pytest.mark.parametrize("vector", _SIGNED, ids=lambda vector: vector["id"])
def test_push_opens_to_the_published_text(vector: dict[str, Any]) -> None:
    body = f"<xml><Encrypt><![CDATA[{vector['encrypt']}]]></Encrypt></xml>".encode()
    query = _query_of(vector, vector["signature"])

    opened = open_body(_account_of(vector), query, body, now=_then(vector))

    assert opened.plain.decode() == vector["plaintext"]


@pytest.mark.parametrize("vector", _VECTORS["seals"], ids=lambda vector: vector["id"])
def test_reply_seals_to_the_published_ciphertext(
    vector: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = {"token": TOKEN, "timestamp": "1409735669", "nonce": "77"} | vector
    account = credentials(
        app_id=vector["receiver"], token=facts["token"], aes_key=vector["aes_key"]
    )
    opened = Opened(b"", vector["aes_key"], facts["nonce"], facts["token"])
    random = bytes.fromhex(vector["random_hex"])
    monkeypatch.setattr(secrets, "token_bytes", lambda length: random[:length])

    outer = parse(seal_reply(account, opened, vector["plaintext"], now=_then(facts)).encode())

    signed = sign(facts["token"], facts["timestamp"], facts["nonce"], vector["encrypt"])
    assert outer == {
        "Encrypt": vector["encrypt"],
        "MsgSignature": facts.get("signature", signed),
        "TimeStamp": facts["timestamp"],
        "Nonce": facts["nonce"],
    }


@pytest.mark.parametrize("vector", _SIGNED, ids=lambda vector: vector["id"])
def test_push_for_another_receiver_is_refused(vector: dict[str, Any]) -> None:
    body = f"<xml><Encrypt><![CDATA[{vector['encrypt']}]]></Encrypt></xml>".encode()
    stranger = credentials(
        app_id="ww6a112864f8022911", token=vector["token"], aes_key=vector["aes_key"]
    )

    with pytest.raises(BadCallback):
        open_body(stranger, _query_of(vector, vector["signature"]), body, now=_then(vector))


@pytest.mark.parametrize("vector", _SIGNED, ids=lambda vector: vector["id"])
def test_wecom_url_check_gives_the_decrypted_echo(vector: dict[str, Any]) -> None:
    query = _query_of(vector, vector["signature"])

    echo = wecom.verify_url(_account_of(vector), query, now=_then(vector))

    assert echo == vector["plaintext"]


def test_wechat_url_check_gives_the_echo_as_it_came() -> None:
    query = {
        "signature": "f464b24fc39322e44b38aa78f5edd27bd1441696",
        "timestamp": "1714036504",
        "nonce": "1514711492",
        "echostr": "4375120948345356249",
    }
    then = datetime.fromtimestamp(1714036504, UTC)

    assert wechat.verify_url(credentials(token="AAAAA"), query, now=then) == query["echostr"]


def test_url_check_with_a_wrong_signature_is_refused() -> None:
    query = {"signature": "0" * 40, "timestamp": "1714036504", "nonce": "1", "echostr": "1"}

    with pytest.raises(BadCallback, match="signature"):
        wechat.verify_url(credentials(), query, now=datetime.fromtimestamp(1714036504, UTC))


def test_push_sealed_with_the_previous_key_opens_and_is_answered_with_it() -> None:
    push = a_push("<xml/>", now=_NOW, aes_key=OTHER_AES_KEY)
    account = credentials(previous=OTHER_AES_KEY)

    opened = open_body(account, push.query, push.body, now=_NOW)
    answer = seal_reply(account, opened, "<xml><Content>a</Content></xml>", now=_NOW)

    assert opened_reply(answer, aes_key=OTHER_AES_KEY) == {"Content": "a"}


def test_reply_keeps_the_nonce_of_the_push() -> None:
    push = a_push("<xml/>", now=_NOW, nonce="no]]>nce")
    opened = open_body(credentials(), push.query, push.body, now=_NOW)

    answer = seal_reply(credentials(), opened, "<xml><Content>a</Content></xml>", now=_NOW)

    assert opened_reply(answer) == {"Content": "a"}
    assert opened.nonce == "no]]>nce"


@pytest.mark.parametrize("minutes", [-61, 61])
def test_stale_push_is_refused(minutes: int) -> None:
    push = a_push("<xml/>", now=_NOW + timedelta(minutes=minutes))

    with pytest.raises(BadCallback, match="too far"):
        open_body(credentials(), push.query, push.body, now=_NOW)


def test_plain_body_is_refused_even_with_a_valid_plain_signature() -> None:
    timestamp = str(int(_NOW.timestamp()))
    replayed = sign(TOKEN, timestamp, "77")
    query = {"msg_signature": replayed, "timestamp": timestamp, "nonce": "77"}
    empty = b"<xml><Encrypt></Encrypt></xml>"

    for body in (text_xml("hello").encode(), empty):
        with pytest.raises(BadCallback, match="not encrypted"):
            open_body(credentials(), query, body, now=_NOW)


@pytest.mark.parametrize("name", ["msg_signature", "timestamp", "nonce"])
def test_push_without_a_query_value_is_refused(name: str) -> None:
    push = a_push("<xml/>", now=_NOW)

    with pytest.raises(BadCallback, match=name):
        open_body(credentials(), push.query | {name: ""}, push.body, now=_NOW)


def test_large_body_is_refused_before_it_is_parsed() -> None:
    push = a_push("<xml/>", now=_NOW)
    body = push.body + b" " * MAX_BODY_BYTES

    with pytest.raises(BadCallback, match="64 KiB"):
        open_body(credentials(), push.query, body, now=_NOW)


def _signed(sealed: str) -> Push:
    timestamp = str(int(_NOW.timestamp()))
    query = {
        "msg_signature": sign(TOKEN, timestamp, "77", sealed.strip()),
        "timestamp": timestamp,
        "nonce": "77",
    }
    return Push(query, f"<xml><Encrypt><![CDATA[{sealed}]]></Encrypt></xml>".encode())


@pytest.mark.parametrize(
    "sealed", ["!", "AAAA", "A" * 43 + "=", "A" * 64, seal("x", aes_key=AES_KEY, receiver="")]
)
def test_signed_push_that_does_not_decrypt_is_refused(sealed: str) -> None:
    push = _signed(sealed)

    with pytest.raises(BadCallback, match="our keys"):
        open_body(credentials(), push.query, push.body, now=_NOW)


@given(st.binary(max_size=400))
def test_any_bytes_as_a_body_are_refused_in_one_way(body: bytes) -> None:
    push = a_push("<xml/>", now=_NOW)

    with pytest.raises(BadCallback):
        open_body(credentials(), push.query, body, now=_NOW)


@given(st.binary(max_size=200))
def test_any_signed_block_is_refused_in_one_way(block: bytes) -> None:
    padded = block + b"\0" * (-len(block) % 16)
    push = _signed(base64.b64encode(padded or b"\0" * 16).decode())

    with pytest.raises(BadCallback):
        open_body(credentials(), push.query, push.body, now=_NOW)


@given(
    st.dictionaries(
        st.sampled_from(["msg_signature", "timestamp", "nonce", "signature", "echostr"]),
        st.text(max_size=40),
    )
)
def test_any_query_is_refused_in_one_way(query: dict[str, str]) -> None:
    push = a_push("<xml/>", now=_NOW)

    with pytest.raises(BadCallback):
        open_body(credentials(), push.query | {"msg_signature": "x"} | query, push.body, now=_NOW)
    with pytest.raises(BadCallback):
        wechat.verify_url(credentials(), query, now=_NOW)
    with pytest.raises(BadCallback):
        wecom.verify_url(credentials(), query, now=_NOW)


def test_signature_check_takes_what_it_signed() -> None:
    assert check_signature(credentials(), sign("b", TOKEN, "c"), "b", "c") == TOKEN


def test_secrets_of_an_account_are_not_in_its_repr() -> None:
    shown = repr(credentials(previous=OTHER_AES_KEY))

    assert APP_ID in shown
    assert not any(secret in shown for secret in (TOKEN, AES_KEY, OTHER_AES_KEY, "app secret"))
