"""Whatever the channel: what a member stops between the gate and the call is not sent."""

import pytest
from sqlmodel import Session

from bot.channels import base
from bot.channels.base import Channel, Receipt
from store import consents
from store.consents import Purpose
from store.grants import Trigger, open_window
from store.members import Member
from store.touches import CHOSEN, Category, Evidence, TouchState, chosen_as
from store.touches import Channel as ChannelName
from tests.bot.builders import APP_ID, LI
from tests.bot.delivering import House, failing

_TO_MEMBERS = [name for name in ChannelName if name is not ChannelName.WECOM_APP]
# The member's own business needs no consent, and a stop holds all the same.
_SERVICES = {ChannelName.WECHAT_TEMPLATE, ChannelName.WECOM_WELCOME}
_ADDRESSES = {
    ChannelName.SMS: "13800005678",
    ChannelName.WECOM_BROADCAST: "wm-li",
    ChannelName.WECOM_SIDEBAR: "wm-li",
    # The code that came with the event knows whom.
    ChannelName.WECOM_WELCOME: "",
}
_WITH_CONSENT = [name for name in _TO_MEMBERS if name not in _SERVICES]


@pytest.fixture
def open_house(house: House) -> House:
    """Li agreed to everything, and allowed one notice."""
    with house.database.transaction() as session:
        for name in CHOSEN:
            _agree(session, house, name, is_granted=True)
        open_window(
            session, house.li, Trigger.ACCEPTANCE, account=APP_ID, source_id="a1", now=house.now
        )
    house.service.react = lambda _out: Receipt("p1", Evidence.EVENT)
    return house


def _agree(session: Session, house: House, name: ChannelName, *, is_granted: bool) -> None:
    consents.state(
        session,
        house.li,
        name,
        Purpose.CARE,
        is_granted=is_granted,
        text_version="2",
        source="test",
        now=house.now,
    )


def _sent(house: House, name: ChannelName, touch_id: int) -> TouchState:
    channels: dict[ChannelName, Channel] = {name: house.service}
    house.deliver(touch_id, channels)
    return house.touch(touch_id).state


def _ask(house: House, name: ChannelName) -> int:
    category = Category.SERVICE if name in _SERVICES else Category.CARE
    touch_id = house.ask(name, category=category)
    assert house.touch(touch_id).state is TouchState.RESERVED, house.touch(touch_id).verdict
    return touch_id


@pytest.mark.parametrize("name", _TO_MEMBERS)
def test_touch_goes_to_the_members_address_there(open_house: House, name: ChannelName) -> None:
    assert _sent(open_house, name, _ask(open_house, name)) is TouchState.SENT

    (_, to) = open_house.service.sent[0]
    assert to.outside_id == _ADDRESSES.get(name, LI)


@pytest.mark.parametrize("everywhere", [False, True])
@pytest.mark.parametrize("name", _TO_MEMBERS)
def test_stop_after_the_reservation_holds(
    open_house: House, name: ChannelName, *, everywhere: bool
) -> None:
    touch_id = _ask(open_house, name)
    place = consents.EVERYWHERE if everywhere else chosen_as(name)
    with open_house.database.transaction() as session:
        consents.stop(session, open_house.li, channel=place, reason="chat", now=open_house.now)

    assert _sent(open_house, name, touch_id) is TouchState.WITHHELD
    assert open_house.service.sent == []


@pytest.mark.parametrize("name", _WITH_CONSENT)
def test_consent_that_is_taken_back_after_the_reservation_holds(
    open_house: House, name: ChannelName
) -> None:
    touch_id = _ask(open_house, name)
    with open_house.database.transaction() as session:
        _agree(session, open_house, chosen_as(name), is_granted=False)

    assert _sent(open_house, name, touch_id) is TouchState.WITHHELD
    assert open_house.service.sent == []


def test_sms_needs_a_mobile(open_house: House) -> None:
    with open_house.database.transaction() as session:
        session.get_one(Member, open_house.li).mobile = None

    touch_id = open_house.ask(ChannelName.SMS)

    assert open_house.touch(touch_id).state is TouchState.WITHHELD


def test_number_that_the_provider_has_closed_is_stopped_for_sms_alone(open_house: House) -> None:
    touch_id = _ask(open_house, ChannelName.SMS)
    open_house.service.react = failing(base.GONE)
    _sent(open_house, ChannelName.SMS, touch_id)

    with open_house.database.transaction() as session:
        stops = consents.stops(session, open_house.li, open_house.now)
    assert [stop.channel for stop in stops] == [ChannelName.SMS]
