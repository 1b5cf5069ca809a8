"""The sandbox's own encoder against known answers (wechat-oa.md §1.6, wecom.md §1.3)."""

import json
from pathlib import Path
from typing import Any

import pytest

from sandbox.crypto import BrokenSeal, is_signed, seal, sign, unseal

_VECTORS = json.loads((Path(__file__).parent / "vectors.json").read_text())
_SEALS: list[dict[str, Any]] = _VECTORS["seals"]
_SIGNED = [vector for vector in _SEALS if "signature" in vector]
_GOOD = _SEALS[0]


@pytest.mark.parametrize("vector", _VECTORS["signatures"], ids=lambda vector: vector["id"])
def test_signature_of_a_plain_request_is_the_published_one(vector: dict[str, Any]) -> None:
    assert sign(*vector["items"]) == vector["signature"]


@pytest.mark.parametrize("vector", _SIGNED, ids=lambda vector: vector["id"])
def test_signature_of_a_sealed_message_is_the_published_one(vector: dict[str, Any]) -> None:
    facts = (vector["token"], vector["timestamp"], vector["nonce"])

    assert is_signed(vector["signature"], *facts, vector["encrypt"])
    assert not is_signed(vector["signature"], *facts, vector["encrypt"] + "A")


@pytest.mark.parametrize("vector", _SEALS, ids=lambda vector: vector["id"])
def test_message_opens_to_the_published_text(vector: dict[str, Any]) -> None:
    opened = unseal(vector["encrypt"], aes_key=vector["aes_key"])

    assert (opened.text, opened.receiver) == (vector["plaintext"], vector["receiver"])


@pytest.mark.parametrize("vector", _SEALS, ids=lambda vector: vector["id"])
def test_message_seals_to_the_published_ciphertext(vector: dict[str, Any]) -> None:
    sealed = seal(
        vector["plaintext"],
        aes_key=vector["aes_key"],
        receiver=vector["receiver"],
        random=bytes.fromhex(vector["random_hex"]),
    )

    assert sealed == vector["encrypt"]


@pytest.mark.parametrize("length", range(30, 66))
def test_message_of_any_length_comes_back(length: int) -> None:
    text = "长" * length

    sealed = seal(text, aes_key=_GOOD["aes_key"], receiver="wx1")

    assert unseal(sealed, aes_key=_GOOD["aes_key"]).text == text


@pytest.mark.parametrize("sealed", ["", "not base64!", "AAAA", "A" * 64, _GOOD["encrypt"][:64]])
def test_broken_message_is_refused(sealed: str) -> None:
    with pytest.raises(BrokenSeal):
        unseal(sealed, aes_key=_GOOD["aes_key"])


def test_message_is_refused_when_the_key_is_another() -> None:
    with pytest.raises(BrokenSeal):
        unseal(_GOOD["encrypt"], aes_key="abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG")
    with pytest.raises(BrokenSeal):
        unseal(_GOOD["encrypt"], aes_key="tooshort")
