"""The pusher against a real door (wechat-oa.md §1, §3, §4; wecom.md §1)."""

import pytest

from sandbox.crypto import is_signed
from sandbox.markup import event_xml, leaf, wrap
from sandbox.push import FAILURE_NOTICE, Delivery, Rules, push_now
from sandbox.state import Door
from tests.sandbox.builders import AES_KEY, AGENT, APPID, CORPID, LI, NOON
from tests.sandbox.conftest import PATIENT
from tests.sandbox.echo_door import TOKEN, Seen

# So that three tries of a silent door do not take fifteen seconds.
_IMPATIENT = Rules(deadline_seconds=1.0, pause_seconds=0.0)


def _push(door_url: str, how: str, *, rules: Rules = PATIENT, text: str = "积分") -> Delivery:
    door = Door(f"{door_url}/{how}", TOKEN, AES_KEY, APPID, "gh_0123456789ab")
    body = leaf("MsgType", "text") + leaf("Content", text) + leaf("MsgId", 1)
    xml = wrap(body, to=door.address, sender=LI, at=NOON)
    return push_now(door, sender=LI, xml=xml, rules=rules)


def _push_to_app(door_url: str, how: str) -> Delivery:
    door = Door(f"{door_url}/{how}", TOKEN, AES_KEY, CORPID, CORPID, AGENT)
    xml = wrap(event_xml("enter_agent"), to=CORPID, sender="WangFang", at=NOON)
    return push_now(door, sender="WangFang", xml=xml, rules=PATIENT)


def test_reply_is_taken_when_it_is_sealed_and_signed(door_url: str) -> None:
    """wechat-oa.md §1.5."""
    delivery = _push(door_url, "echo")

    assert delivery.reply is not None
    assert (delivery.reply.kind, delivery.reply.text) == ("text", "echo: 积分")
    assert (delivery.notice, delivery.problem, delivery.tries) == (None, None, 1)


def test_push_is_signed_twice_and_names_the_person(door_url: str, seen: Seen) -> None:
    """wechat-oa.md §1.3: the query of safe mode."""
    _push(door_url, "success")

    query = seen.queries[0]
    facts = (TOKEN, query["timestamp"], query["nonce"])
    assert is_signed(query["signature"], *facts)
    assert is_signed(query["msg_signature"], *facts, seen.sealed[0])
    assert (query["openid"], query["encrypt_type"]) == (LI, "aes")


def test_text_with_the_end_mark_of_cdata_arrives_whole(door_url: str) -> None:
    """wechat-oa.md §4, CDATA caution."""
    delivery = _push(door_url, "echo", text="a]]><b>&amp;")

    assert delivery.reply is not None
    assert delivery.reply.text == "echo: a]]><b>&amp;"


@pytest.mark.parametrize("how", ["success", "empty"])
def test_bare_answer_means_that_nothing_is_said_now(door_url: str, how: str) -> None:
    """wechat-oa.md §1.5 and §3."""
    delivery = _push(door_url, how)

    assert (delivery.reply, delivery.notice, delivery.tries) == (None, None, 1)


def test_silent_door_gets_the_same_message_three_times(door_url: str, seen: Seen) -> None:
    """wechat-oa.md §3; each try is encrypted afresh, so nobody may key on the ciphertext."""
    delivery = _push(door_url, "silent", rules=_IMPATIENT)

    assert (delivery.tries, delivery.notice) == (3, FAILURE_NOTICE)
    assert delivery.problem == "No answer in 1 s."
    assert len(seen.plaintexts) == 3
    assert len(set(seen.plaintexts)) == 1
    assert len(set(seen.sealed)) == 3


def test_reply_on_the_third_try_is_taken(door_url: str) -> None:
    """wechat-oa.md §3."""
    delivery = _push(door_url, "silent-twice", rules=_IMPATIENT)

    assert delivery.reply is not None
    assert (delivery.tries, delivery.notice) == (3, None)


def test_absent_door_is_tried_three_times() -> None:
    """wechat-oa.md §3: no connection is no answer."""
    delivery = _push("http://127.0.0.1:1/door", "echo")

    assert (delivery.tries, delivery.notice) == (3, FAILURE_NOTICE)


@pytest.mark.parametrize(
    ("how", "problem"),
    [
        ("plaintext", "A plaintext reply is not taken in safe mode."),
        ("json", "It is not well-formed XML."),
        ("unsigned", "The signature of the reply is wrong."),
        ("stranger", "The reply is sealed for another receiver."),
        ("other-person", "The reply is addressed to another person."),
        ("long", "The text of the reply is too long."),
        ("poem", "A reply of the type 'poem' is not known."),
        ("500", "HTTP status 500."),
    ],
)
def test_malformed_answer_shows_the_person_a_notice(door_url: str, how: str, problem: str) -> None:
    """wechat-oa.md §1.5 and §3: no second try for an answer that came."""
    delivery = _push(door_url, how)

    assert (delivery.reply, delivery.notice) == (None, FAILURE_NOTICE)
    assert (delivery.problem, delivery.tries) == (problem, 1)


def test_app_door_is_tried_again_after_a_bad_status(door_url: str, seen: Seen) -> None:
    """wecom.md §1.1: any status other than 200 is a failure; a guide sees no notice."""
    delivery = _push_to_app(door_url, "503")

    assert (delivery.tries, delivery.notice, len(seen.plaintexts)) == (3, None, 3)


def test_app_reply_is_taken_for_the_corp(door_url: str, seen: Seen) -> None:
    """wecom.md §1.2: the receiver is the corp id; the query has no plain signature."""
    delivery = _push_to_app(door_url, "echo")

    assert delivery.reply is not None
    assert delivery.reply.text == "echo: enter_agent"
    assert sorted(seen.queries[0]) == ["msg_signature", "nonce", "timestamp"]
