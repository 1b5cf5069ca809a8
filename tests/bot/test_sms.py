"""SMS: signed, with the brand in front, and every answer of the provider means something."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest

from bot.channels.base import Address, ChannelError, Outgoing
from bot.channels.sms import CAUSES, Sms, SmsAccess, SmsKind
from sandbox.app import create_sandbox_app
from sandbox.sms_server import KEY_ID, SECRET, SmsServer
from sandbox.state import World
from store import clock
from tests.builders import a_mobile, number
from tests.sandbox.builders import a_world
from tests.sandbox.serving import serving


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(create_sandbox_app(a_world())) as address:
        yield address


def access(url: str) -> SmsAccess:
    return SmsAccess(f"{url}/sms", KEY_ID, SECRET, "知味")


def message(text: str = "验证码 123456", key: str = "") -> Outgoing:
    return Outgoing(key or f"sms-{number()}", text)


def arrived(url: str, to: str) -> list[str]:
    found = httpx.get(f"{url}/sandbox/sms", params={"to": to}).json()
    return [one["text"] for one in found["messages"]]


def test_sms_arrives_with_the_brand_in_front(url: str) -> None:
    mobile = a_mobile()

    receipt = Sms(access(url)).send(message(), Address(mobile), kind=SmsKind.CODE)

    assert arrived(url, mobile) == ["【知味】验证码 123456"]
    assert receipt.provider_id


def test_sms_with_the_same_key_arrives_once(url: str) -> None:
    mobile, sms = a_mobile(), Sms(access(url))

    first = sms.send(message(key="same"), Address(mobile), kind=SmsKind.CODE)
    again = sms.send(message(key="same"), Address(mobile), kind=SmsKind.CODE)

    assert first == again
    assert len(arrived(url, mobile)) == 1


def test_sms_is_shown_on_the_phone_page(url: str) -> None:
    mobile = a_mobile()
    Sms(access(url)).send(message("验证码 777888"), Address(mobile), kind=SmsKind.CODE)

    page = httpx.get(f"{url}/phone/sms", params={"to": mobile}).text

    assert "验证码 777888" in page


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [({"secret": "another"}, "account_misconfigured"), ({"key_id": "x"}, "account_misconfigured")],
)
def test_sms_of_a_wrong_key_is_refused(url: str, wrong: dict[str, str], reason: str) -> None:
    mobile, sms = a_mobile(), Sms(replace(access(url), **wrong))

    with pytest.raises(ChannelError) as refused:
        sms.send(message(), Address(mobile), kind=SmsKind.CODE)

    assert refused.value.reason == reason
    assert arrived(url, mobile) == []


def test_a_changed_body_is_not_believed() -> None:
    """The signature covers the number and the words, and serves once."""
    server, sms = SmsServer(World()), Sms(access("http://sms.test"))
    facts = {"id": "1", "to": "13800000000", "kind": "verification", "text": "【知味】你好"}
    body = json.dumps(facts).encode()
    headers = {name.lower(): value for name, value in sms._signed(body).items()}
    path, now = "/sms/v1/messages", clock.now()

    changed = server.answer(headers, path, body.replace(b"138", b"139"), now=now)
    taken = server.answer(headers, path, body, now=now)
    replayed = server.answer(headers, path, body, now=now)

    assert [changed["code"], taken["code"], replayed["code"]] == ["BAD_SIGNATURE", "OK", "STALE"]


def test_sms_to_a_number_is_capped_by_the_provider(url: str) -> None:
    mobile, sms = a_mobile(), Sms(access(url))
    for _ in range(10):
        sms.send(message(), Address(mobile), kind=SmsKind.CODE)

    with pytest.raises(ChannelError) as refused:
        sms.send(message(), Address(mobile), kind=SmsKind.CODE)

    assert (refused.value.reason, refused.value.retry_after) == ("too_fast", 60)


def test_advertisement_needs_the_words_that_stop_it_and_obeys_them(url: str) -> None:
    mobile, sms = a_mobile(), Sms(access(url))
    words = "春茶到店，拒收请回复R"

    with pytest.raises(ChannelError, match="bad_content"):
        sms.send(message("春茶到店"), Address(mobile), kind=SmsKind.MARKETING)
    sms.send(message(words), Address(mobile), kind=SmsKind.MARKETING)
    httpx.post(f"{url}/sandbox/sms/refuse", params={"to": mobile})
    with pytest.raises(ChannelError, match="opted_out"):
        sms.send(message(words), Address(mobile), kind=SmsKind.MARKETING)

    assert arrived(url, mobile) == [f"【知味】{words}"]


@pytest.mark.parametrize(
    ("how", "is_unsure", "reason"),
    [("error", False, "platform_busy"), ("down", True, "no_answer"), ("drop", True, "no_answer")],
)
def test_sms_says_whether_a_fault_may_have_sent_it(
    url: str, how: str, reason: str, *, is_unsure: bool
) -> None:
    httpx.post(f"{url}/sandbox/misbehave", json={"server": "sms", "how": how}).raise_for_status()

    with pytest.raises(ChannelError) as failed:
        Sms(access(url)).send(message(), Address(a_mobile()), kind=SmsKind.CODE)

    assert (failed.value.reason, failed.value.is_unsure) == (reason, is_unsure)


def test_sms_to_nowhere_was_surely_not_sent() -> None:
    began = time.monotonic()

    with pytest.raises(ChannelError) as failed:
        Sms(access("http://127.0.0.1:9")).send(message(), Address(a_mobile()), kind=SmsKind.CODE)

    assert (failed.value.reason, failed.value.is_unsure) == ("not_reached", False)
    assert time.monotonic() - began < 4


def test_every_code_of_the_provider_has_one_meaning() -> None:
    assert {cause.is_permanent or bool(cause.retry_after) for cause in CAUSES.values()} == {True}


def test_sms_access_shows_no_secret() -> None:
    assert SECRET not in repr(access("http://sms.test"))
