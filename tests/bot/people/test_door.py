"""The doors of several apps of one corp: each its own keys, and hostile pushes refused alike."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from sqlmodel import select

from bot.fields import BadCallback
from bot.wecom import inbound as door
from bot.wecom.parsing import Pushed, read
from sandbox import wecom_acts
from sandbox.crypto import seal, sign
from sandbox.push import encode
from store import accounts, clock
from store.accounts import AccountForm, Platform
from store.inbound import InboundMessage
from tests.bot.people.corp import NEW, SECRET_KEY, House
from tests.sandbox.builders import AES_KEY, CORPID, OTHER_AGENT

_OTHER_KEY = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789abcdefg"


def _add_other_app(house: House, *, aes_key: str = _OTHER_KEY) -> None:
    form = AccountForm(
        brand_id=1,
        platform=Platform.WECOM,
        code="boss",
        name="另一个应用",
        app_id=CORPID,
        agent_id=OTHER_AGENT,
        secret=SecretStr("other"),
        token=SecretStr("otherToken"),
        aes_key=SecretStr(aes_key),
    )
    with house.record() as session:
        accounts.register(session, form, secret_key=SECRET_KEY, now=house.now())


def _events(house: House) -> int:
    with house.record() as session:
        return len(session.exec(select(InboundMessage)).all())


def test_push_of_one_app_is_refused_at_the_door_of_another(house: House) -> None:
    _add_other_app(house)
    wecom_acts.add(house.world, "WangFang", NEW, now=house.now())
    push = house.world.wecom.pushes[0]
    query, body = encode(push.door, sender=push.sender, xml=push.xml)

    with pytest.raises(BadCallback):
        door.receive(house.desk, "boss", query, body, now=house.now())

    assert _events(house) == 0


def test_push_sealed_for_another_corp_is_refused(house: House) -> None:
    """wecom.md §1.2: the receiveid is checked after decryption."""
    sealed = seal("<xml></xml>", aes_key=AES_KEY, receiver="wwsomebodyelse000")
    stamp = str(int(clock.now().timestamp()))
    query = {
        "timestamp": stamp,
        "nonce": "1",
        "msg_signature": sign("sandboxToken", stamp, "1", sealed),
    }
    body = f"<xml><Encrypt><![CDATA[{sealed}]]></Encrypt></xml>".encode()

    with pytest.raises(BadCallback):
        door.receive(house.desk, "guides", query, body, now=house.now())


def test_event_told_to_two_apps_is_one_contact_and_one_welcome(house: House) -> None:
    """wecom.md §4.2: every entitled app gets the same code."""
    _add_other_app(house)
    wecom_acts.add(house.world, "WangFang", NEW, now=house.now())
    push = house.world.wecom.pushes[0]
    theirs = type(push.door)(push.door.url, "otherToken", _OTHER_KEY, CORPID, CORPID, OTHER_AGENT)
    query, body = encode(theirs, sender=push.sender, xml=push.xml)
    door.receive(house.desk, "boss", query, body, now=house.now())

    house.hear_all()

    assert _events(house) == 2
    assert house.friends() == {NEW}
    assert len(house.world.inboxes[NEW]) == 1


def test_customer_service_event_that_names_nobody_is_kept(house: House) -> None:
    """wecom.md §1.4: kf_msg_or_event has no FromUserName."""
    xml = (
        f"<xml><ToUserName>{CORPID}</ToUserName><CreateTime>1348831860</CreateTime>"
        "<MsgType>event</MsgType><Event>kf_msg_or_event</Event><Token>t</Token>"
        "<OpenKfId>wk1</OpenKfId></xml>"
    )
    own = next(iter(house.world.wecom.apps.values())).door
    query, body = encode(own, sender="sys", xml=xml)

    assert door.receive(house.desk, "guides", query, body, now=house.now()) == ""
    house.work()
    assert _events(house) == 1


_NAMES = st.sampled_from(
    (
        *("ToUserName", "FromUserName", "CreateTime", "MsgType", "Event", "ChangeType", "UserID"),
        *("ExternalUserID", "State", "WelcomeCode", "TaskId", "ResponseCode", "Id"),
        "SelectedItems",
    )
)
_TEXT = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="<>&"), max_size=80
)
_NESTED = st.builds(
    lambda text: f"<SelectedItem><QuestionKey>{text}</QuestionKey></SelectedItem>", _TEXT
)


@given(st.lists(st.tuples(_NAMES, _TEXT | _NESTED), max_size=12))
def test_any_xml_is_a_push_or_refused(fields: list[tuple[str, str]]) -> None:
    xml = "".join(f"<{name}>{text}</{name}>" for name, text in fields)
    try:
        pushed = read(f"<xml>{xml}</xml>".encode())
    except BadCallback:
        return

    assert isinstance(pushed, Pushed)
    assert len(pushed.platform_id) == 64
    assert all(value for value in pushed.payload.values())


def test_any_garbled_push_is_refused_and_leaves_no_trace(house: House) -> None:
    """Never a fault, whatever comes: flipped bytes, cut bodies, other queries."""
    wecom_acts.add(house.world, "WangFang", NEW, now=house.now())
    push = house.world.wecom.pushes[0]
    draw = random.Random(7)  # noqa: S311 -- the same bodies in every run
    refused = 0
    for _ in range(300):
        query, body = encode(push.door, sender=push.sender, xml=push.xml)
        at = draw.randrange(len(body))
        wrong = body[:at] + bytes([draw.randrange(256)]) + body[at + draw.choice((1, 20)) :]
        if draw.random() < 0.3:
            query = {key: value[::-1] for key, value in query.items()}
        try:
            door.receive(house.desk, "guides", query, wrong, now=house.now())
        except BadCallback:
            refused += 1

    # What was touched outside of the sealed part is still a good push, once.
    assert refused > 200
    assert _events(house) <= 1
