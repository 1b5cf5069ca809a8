"""Delivery: past the fence once, sent once, and written down whatever happens in between."""

import threading
from collections.abc import Mapping
from datetime import timedelta

import pytest
from redis import Redis
from sqlmodel import select

from bot import delivery, polling
from bot.channels import base
from bot.channels.base import Address, Cause, Outgoing, Receipt
from bot.channels.recording import RecordingChannel
from bot.channels.wechat_custom import WechatService
from bot.channels.wecom_broadcast import Result, WecomBroadcast
from bot.wechat.client import WechatClients
from store import consents, notices, relations
from store.accounts import Account
from store.jobs import Job
from store.members import Identity
from store.notices import Notice, NoticeForm, NoticeKind, NoticeState
from store.organisation import Guide, GuideStatus
from store.relations import Friendship
from store.touches import Category, Evidence, Touch, TouchState
from store.touches import Channel as ChannelName
from tests.bot.builders import LI
from tests.bot.delivering import BROADCAST, SERVICE, House, failing

_SERVICE, _BROADCAST = SERVICE, BROADCAST
_PERMANENT = {"no_window": Cause("no_window"), "gone": base.GONE, "content": base.BAD_CONTENT}


def test_touch_is_sent_once_and_settled(house: House) -> None:
    touch_id = house.ask()

    house.deliver(touch_id)
    house.deliver(touch_id)

    touch = house.touch(touch_id)
    assert house.service.sent == [(Outgoing("touch-1", "您好"), Address(LI))]
    assert (touch.state, touch.evidence) == (TouchState.SENT, Evidence.PLATFORM)


@pytest.mark.race
def test_two_workers_with_one_touch_send_once(house: House) -> None:
    touch_id = house.ask()
    barrier = threading.Barrier(4)

    def work() -> None:
        barrier.wait()
        house.deliver(touch_id)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(house.service.sent) == 1
    assert house.touch(touch_id).state is TouchState.SENT


def test_crash_after_the_fence_is_unknown_and_never_sent_again(house: House) -> None:
    touch_id = house.ask()

    def die(_out: Outgoing) -> Receipt:
        raise KeyboardInterrupt

    house.service.react = die
    with pytest.raises(KeyboardInterrupt):
        house.deliver(touch_id)
    house.service.react = lambda _out: Receipt()
    house.now += timedelta(minutes=6)
    house.sweep()
    house.deliver(touch_id)
    house.sweep()

    assert house.touch(touch_id).state is TouchState.UNKNOWN
    assert len(house.service.sent) == 1


def test_crash_before_the_fence_is_taken_up_again(house: House) -> None:
    touch_id = house.ask()
    house.now += timedelta(minutes=16)

    house.sweep()
    nudged = list(house.nudged)
    house.deliver(touch_id)

    assert nudged == [(Job.DELIVER_TOUCH, touch_id)]
    assert house.touch(touch_id).state is TouchState.SENT


def test_answer_that_never_came_is_unknown(house: House) -> None:
    touch_id = house.ask()
    house.service.react = failing(base.LOST, is_unsure=True)

    house.deliver(touch_id)

    touch = house.touch(touch_id)
    assert (touch.state, touch.failure) == (TouchState.UNKNOWN, "no_answer")


@pytest.mark.parametrize("name", _PERMANENT)
def test_definite_refusal_fails_the_touch_and_frees_its_slot(house: House, name: str) -> None:
    touch_id = house.ask()
    house.service.react = failing(_PERMANENT[name])

    house.deliver(touch_id)

    touch = house.touch(touch_id)
    assert (touch.state, touch.failure) == (TouchState.FAILED, _PERMANENT[name].reason)
    with house.database.transaction() as session:
        identity = session.exec(select(Identity).where(Identity.outside_id == LI)).one()
    assert identity.is_reachable is (name != "gone")


def test_busy_platform_is_tried_again_later(house: House) -> None:
    touch_id = house.ask()
    house.service.react = failing(base.BUSY)
    house.deliver(touch_id)
    waiting = house.touch(touch_id)
    house.service.react = lambda _out: Receipt(evidence=Evidence.PLATFORM)

    house.now += timedelta(seconds=15)
    house.sweep()
    house.deliver(touch_id)

    assert (waiting.state, waiting.failure) == (TouchState.ASKED, "platform_busy")
    assert waiting.retry_at is not None
    assert waiting.retry_at > waiting.asked_at
    assert house.touch(touch_id).state is TouchState.SENT
    assert len(house.service.sent) == 2


def test_busy_platform_is_tried_again_however_long_the_gate_made_the_touch_wait(
    house: House,
) -> None:
    later = house.now + timedelta(days=3)
    with house.database.transaction() as session:
        consents.stop(session, house.li, reason="chat", until=later, now=house.now)
    touch_id = house.ask(_BROADCAST)

    house.now = later
    house.sweep()
    house.deliver(
        touch_id, {_BROADCAST: RecordingChannel(name=_BROADCAST, react=failing(base.BUSY))}
    )

    touch = house.touch(touch_id)
    assert (touch.state, touch.failure) == (TouchState.ASKED, "platform_busy")


def test_touch_waits_while_the_credentials_cannot_be_opened(house: House, redis: Redis) -> None:
    touch_id = house.ask()
    clients = WechatClients("https://wechat.invalid", redis, "not the key that sealed them")

    house.deliver(touch_id, {_SERVICE: WechatService(clients)})

    touch = house.touch(touch_id)
    assert (touch.state, touch.failure) == (TouchState.ASKED, "account_misconfigured")


def test_trouble_that_outlasts_the_deadline_fails(house: House) -> None:
    touch_id = house.ask(deadline_at=house.now + timedelta(minutes=30))
    house.service.react = failing(base.QUOTA)

    house.deliver(touch_id)

    assert house.touch(touch_id).state is TouchState.FAILED


def test_touch_is_not_sent_after_the_member_said_stop(house: House) -> None:
    touch_id = house.ask()
    with house.database.transaction() as session:
        consents.stop(session, house.li, reason="chat", now=house.now)

    house.deliver(touch_id)

    assert house.service.sent == []
    assert house.touch(touch_id).state is TouchState.WITHHELD


def test_touch_without_an_address_fails_and_says_so(house: House) -> None:
    with house.database.transaction() as session:
        for account in session.exec(select(Account)).all():
            account.brand_id, account.app_id = 1, f"{account.app_id}-moved"
    touch_id = house.ask()

    house.deliver(touch_id)

    touch = house.touch(touch_id)
    assert (touch.state, touch.failure) == (TouchState.FAILED, "no_identity")
    assert house.service.sent == []


def test_sms_goes_to_the_members_mobile(house: House) -> None:
    sms = RecordingChannel()
    touch_id = house.ask(ChannelName.SMS, category=Category.SERVICE)

    house.deliver(touch_id, {ChannelName.SMS: sms})

    assert [to.outside_id for _, to in sms.sent] == ["13800005678"]
    assert house.touch(touch_id).state is TouchState.SENT


class _Broadcast(WecomBroadcast):
    """A broadcast channel whose guide does what the test says."""

    def __init__(self) -> None:
        self.sent: list[Address] = []
        self.outcome: Result | None = None
        self.polled: list[str] = []

    def send(self, out: Outgoing, to: Address, account: Account) -> Receipt:  # noqa: ARG002 -- contract
        """Lay it before the guide."""
        self.sent.append(to)
        return Receipt(provider_id="msg-1", is_final=False)

    def results(self, msgid: str, sender: str, account: Account) -> Mapping[str, Result]:  # noqa: ARG002 -- contract
        """What the guide did."""
        self.polled.append(msgid)
        return {"wm-li": self.outcome} if self.outcome else {}


@pytest.mark.parametrize(
    ("outcome", "state", "failure", "is_friend"),
    [
        (None, TouchState.SENDING, None, True),
        (Result(), TouchState.SENT, None, True),
        (Result(cause=Cause("quota")), TouchState.FAILED, "quota", True),
        (Result(cause=base.GONE), TouchState.FAILED, "recipient_gone", False),
    ],
)
def test_broadcast_is_settled_by_what_the_guide_did(
    house: House,
    outcome: Result | None,
    state: TouchState,
    failure: str | None,
    is_friend: bool,
) -> None:
    channel = _Broadcast()
    touch_id = house.ask(_BROADCAST)
    house.deliver(touch_id, {_BROADCAST: channel})
    house.now += timedelta(hours=1)
    house.sweep()
    channel.outcome = outcome

    ended = delivery.poll_broadcasts(house.database, {_BROADCAST: channel}, clock=house.clock)

    touch = house.touch(touch_id)
    with house.database.transaction() as session:
        friendship = session.exec(select(Friendship)).one()
    assert channel.sent == [Address("wm-li", sender="wang")]
    assert ended == (outcome is not None)
    assert (touch.state, touch.failure, touch.provider_id) == (state, failure, "msg-1")
    assert (friendship.until is None) is is_friend


def test_broadcast_is_polled_also_after_the_friendship_ended(house: House) -> None:
    channel = _Broadcast()
    touch_id = house.ask(_BROADCAST)
    house.deliver(touch_id, {_BROADCAST: channel})
    with house.database.transaction() as session:
        relations.unfriend(session, house.wang, "wm-li", now=house.now)
    channel.outcome = Result()

    delivery.poll_broadcasts(house.database, {_BROADCAST: channel}, clock=house.clock)

    touch = house.touch(touch_id)
    assert (touch.state, touch.evidence) == (TouchState.SENT, Evidence.PLATFORM)


def test_broadcast_counts_from_when_its_result_was_heard_not_from_the_start_of_the_round(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = _Broadcast()
    touch_id = house.ask(_BROADCAST)
    house.deliver(touch_id, {_BROADCAST: channel})

    def results(*_: object) -> Mapping[str, Result]:
        """The guide taps while the round is under way."""
        house.now += timedelta(seconds=30)
        return {"wm-li": Result()}

    monkeypatch.setattr(channel, "results", results)
    delivery.poll_broadcasts(house.database, {_BROADCAST: channel}, clock=house.clock)

    touch = house.touch(touch_id)
    assert (touch.state, touch.counted_at) == (TouchState.SENT, house.now)


def test_new_broadcasts_are_polled_however_many_old_ones_wait(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling, "_POLL_LIMIT", 2)
    channel = _Broadcast()
    with house.database.transaction() as session:
        session.add_all(_forgotten(house, number) for number in range(6))
    touch_id = house.ask(_BROADCAST)
    house.deliver(touch_id, {_BROADCAST: channel})

    for _ in range(100):
        delivery.poll_broadcasts(house.database, {_BROADCAST: channel}, clock=house.clock)

    assert len(channel.polled) == 200
    assert "msg-1" in channel.polled


def _forgotten(house: House, number: int) -> Touch:
    """A broadcast of two weeks ago that its guide never confirmed."""
    then = house.now - timedelta(days=14)
    return Touch(
        key=f"forgotten-{number}",
        member_id=house.li,
        channel=_BROADCAST,
        category=Category.CARE,
        brand_id=1,
        guide_id=house.wang,
        state=TouchState.UNKNOWN,
        provider_id=f"old-{number}",
        asked_at=then,
        fenced_at=then,
        counted_at=then,
    )


_CARD = {"title": "Card", "text": "3 members", "rows": [], "url": "https://x.example/guide"}


def _post(house: House, *, key: str = "n1") -> int:
    with house.database.transaction() as session:
        form = NoticeForm(key, house.wang, NoticeKind.CARD, _CARD)
        notices.post(session, form, now=house.now)
        return session.exec(select(Notice.id).where(Notice.key == key)).one()


def _notify(house: House, notice_id: int, app: RecordingChannel) -> Notice:
    delivery.send_notice(house.database, {ChannelName.WECOM_APP: app}, notice_id, clock=house.clock)
    with house.database.transaction() as session:
        return session.get_one(Notice, notice_id)


def test_notice_is_sent_once(house: House) -> None:
    app, notice_id = RecordingChannel(), _post(house)

    _notify(house, notice_id, app)
    notice = _notify(house, notice_id, app)

    assert app.sent == [(Outgoing("n1", "3 members", _CARD), Address("wang"))]
    assert (notice.state, notice.sent_at) == (NoticeState.SENT, house.now)


def test_notice_posted_twice_is_one(house: House) -> None:
    first, second = _post(house), _post(house)

    assert first == second
    assert house.nudged == [(Job.SEND_NOTICE, first)]


@pytest.mark.parametrize(
    ("cause", "is_unsure", "state"),
    [
        (base.BUSY, False, NoticeState.PENDING),
        (base.GONE, False, NoticeState.FAILED),
        (base.LOST, True, NoticeState.UNKNOWN),
    ],
)
def test_notice_that_did_not_go_says_why(
    house: House,
    cause: Cause,
    is_unsure: bool,
    state: NoticeState,
) -> None:
    app = RecordingChannel(react=failing(cause, is_unsure=is_unsure))

    notice = _notify(house, _post(house), app)

    assert (notice.state, notice.failure) == (state, cause.reason)


def test_thirty_first_notice_of_a_minute_waits(house: House) -> None:
    app = RecordingChannel()
    ids = [_post(house, key=f"n{number}") for number in range(31)]

    states = [_notify(house, notice_id, app).state for notice_id in ids]
    house.now += timedelta(seconds=61)
    later = _notify(house, ids[-1], app)

    assert states == [NoticeState.SENT] * 30 + [NoticeState.PENDING]
    assert later.state is NoticeState.SENT


def test_notice_outlasts_an_outage_of_hours(house: House) -> None:
    notice_id, tries = _post(house), 0
    broken, app = RecordingChannel(react=failing(base.QUOTA)), RecordingChannel()
    for _ in range(180):
        if _rested(house):
            _notify(house, notice_id, broken)
            tries += 1
        house.now += timedelta(minutes=1)

    assert tries < 12
    house.now += timedelta(hours=1)
    assert _rested(house) == [notice_id]
    assert _notify(house, notice_id, app).state is NoticeState.SENT


def _rested(house: House) -> list[int]:
    """The notices that the sweeper would nudge now."""
    with house.database.transaction() as session:
        return list(session.exec(notices.waiting(house.now)))


def test_notice_of_a_guide_who_left_fails(house: House) -> None:
    notice_id, app = _post(house), RecordingChannel()
    with house.database.transaction() as session:
        session.get_one(Guide, house.wang).status = GuideStatus.LEFT

    notice = _notify(house, notice_id, app)

    assert (notice.state, app.sent) == (NoticeState.FAILED, [])


def test_notice_whose_sender_died_is_unknown_and_not_sent_again(house: House) -> None:
    notice_id, app = _post(house), RecordingChannel()
    with house.database.transaction() as session:
        notices.claim(session, notice_id, now=house.now)

    house.now += timedelta(minutes=6)
    house.sweep()
    notice = _notify(house, notice_id, app)

    assert (notice.state, app.sent) == (NoticeState.UNKNOWN, [])
