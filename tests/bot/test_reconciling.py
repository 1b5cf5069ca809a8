"""Unknown touches: asked after where somebody can say, and left alone where nobody can."""

from collections.abc import Collection
from datetime import datetime, timedelta

import pytest

from bot import dead_letters, reconciling
from bot.channels import base
from bot.channels.base import Address, Channel, ChannelError, Outgoing, Powers, Receipt
from bot.channels.wecom_broadcast import WecomBroadcast
from store import consents
from store.accounts import Account
from store.touches import Category, Evidence, TouchState
from store.touches import Channel as ChannelName
from tests.bot.delivering import BROADCAST, House, failing

_SMS = ChannelName.SMS
_A_DAY = Powers(same_for=timedelta(days=1))


def an_unknown(house: House, powers: Powers = _A_DAY) -> int:
    """An SMS whose answer was lost, a minute ago."""
    house.service.name, house.service.powers = _SMS, powers
    touch_id = house.ask(_SMS, category=Category.SERVICE)
    house.service.react = failing(base.LOST, is_unsure=True)
    house.deliver(touch_id, channels(house))
    house.service.react = lambda _out: Receipt("sms-1", Evidence.EVENT)
    house.now += timedelta(minutes=1)
    return touch_id


def channels(house: House) -> dict[ChannelName, Channel]:
    """SMS alone."""
    return {_SMS: house.service}


def reconcile(house: House) -> None:
    """Do the recurring job."""
    reconciling.reconcile(house.database, channels(house), clock=house.clock)


def test_provider_that_drops_repeats_is_asked_by_repeating(house: House) -> None:
    touch_id = an_unknown(house)

    reconcile(house)
    first_at, house.now = house.now, house.now + timedelta(seconds=30)
    reconcile(house)

    touch = house.touch(touch_id)
    assert (touch.state, touch.provider_id) == (TouchState.SENT, "sms-1")
    # The repeat may have been the first to arrive.
    assert touch.counted_at == first_at
    assert [out.key for out, _ in house.service.sent] == [touch.key, touch.key]


def test_repeat_passes_the_gate_for_it_may_be_the_first_to_arrive(house: House) -> None:
    touch_id = an_unknown(house)
    with house.database.transaction() as session:
        consents.stop(session, house.li, reason="chat", now=house.now)

    reconcile(house)

    assert house.touch(touch_id).state is TouchState.UNKNOWN
    assert len(house.service.sent) == 1


@pytest.mark.parametrize("cause", [base.BUSY, base.GONE])
def test_repeat_that_fails_says_nothing_of_the_first(house: House, cause: base.Cause) -> None:
    touch_id = an_unknown(house)
    house.service.react = failing(cause)

    reconcile(house)

    assert house.touch(touch_id).state is TouchState.UNKNOWN


@pytest.mark.parametrize(
    ("powers", "later"),
    [(Powers(), timedelta(0)), (_A_DAY, timedelta(days=1)), (_A_DAY, timedelta(seconds=-50))],
)
def test_nothing_is_repeated_that_could_arrive_twice(
    house: House, powers: Powers, later: timedelta
) -> None:
    """Without the provider's word, after its memory ends, or while the answer may still come."""
    touch_id = an_unknown(house, powers)
    house.now += later

    reconcile(house)

    assert house.touch(touch_id).state is TouchState.UNKNOWN
    assert len(house.service.sent) == 1


class _Lossy(WecomBroadcast):
    """A platform that took the broadcast and lost its answer; it lists it where it `has` one."""

    def __init__(self, *, has: bool) -> None:
        self.has = has
        self.is_away = False

    def send(self, out: Outgoing, to: Address, account: Account) -> Receipt:  # noqa: ARG002 -- contract
        """Lay it before the guide, and say nothing."""
        raise ChannelError(base.LOST, is_unsure=True)

    def find(
        self,
        text: str,  # noqa: ARG002 -- contract
        to: Address,  # noqa: ARG002 -- contract
        account: Account,  # noqa: ARG002 -- contract
        *,
        made_at: datetime,  # noqa: ARG002 -- contract
        known: Collection[str],  # noqa: ARG002 -- contract
    ) -> str | None:
        """The id of what lies before the guide."""
        if self.is_away:
            raise ChannelError(base.BUSY)
        return "msg-1" if self.has else None


def a_lost_broadcast(house: House, channel: WecomBroadcast) -> int:
    """One whose answer nobody heard, days ago: until now nobody was there to look for it."""
    touch_id = house.ask(BROADCAST)
    house.deliver(touch_id, {BROADCAST: channel})
    house.now += timedelta(days=2)
    return touch_id


def letters_written(house: House) -> int:
    """Do the recurring job that writes them."""
    with house.database.transaction() as session:
        return dead_letters.write_unknown(session, now=house.now)


def test_lost_broadcast_is_found_however_late_and_is_no_letter(house: House) -> None:
    channel = _Lossy(has=True)
    touch_id = a_lost_broadcast(house, channel)

    reconciling.reconcile(house.database, {BROADCAST: channel}, clock=house.clock)

    touch = house.touch(touch_id)
    assert (touch.state, touch.provider_id) == (TouchState.UNKNOWN, "msg-1")
    assert (touch.retry_at, letters_written(house)) == (None, 0)


def test_lost_broadcast_is_a_letter_only_once_it_was_looked_for(house: House) -> None:
    channel = _Lossy(has=False)
    a_lost_broadcast(house, channel)
    written = []

    for channel.is_away in (True, False):
        reconciling.reconcile(house.database, {BROADCAST: channel}, clock=house.clock)
        written.append(letters_written(house))

    assert written == [0, 1]
