"""Broadcasts that nobody confirmed: stopped, asked after once more, and only then given up."""

from collections.abc import Mapping
from datetime import timedelta

from redis import Redis
from sqlmodel import col, select

from bot import dead_letters, stopping
from bot.channels import base
from bot.channels.base import Address, ChannelError, Outgoing, Receipt
from bot.channels.wecom_broadcast import Result, WecomBroadcast
from guide_tasks import progress
from guide_tasks.stopping import GRACE
from sandbox.app import create_sandbox_app
from store.accounts import Account
from store.campaigns import CareTask, TaskState
from store.db import Database
from store.members import Member
from store.organisation import Guide
from store.touches import HUMAN_PATIENCE, Touch, TouchState
from tests.bot.delivering import BROADCAST, SERVICE, House
from tests.bot.people.corp import a_house
from tests.builders import a_campaign, a_care_task
from tests.sandbox.builders import ZHOU_EXTERNAL, a_world
from tests.sandbox.serving import serving

_HOURS = timedelta(hours=1)


class _Broadcast(WecomBroadcast):
    """A platform that tells what the test says, and remembers what it was asked for."""

    def __init__(self) -> None:
        self.outcome: Result | None = None
        self.stopped: list[str] = []
        self.is_away = False
        self.is_silent = False

    def send(self, out: Outgoing, to: Address, account: Account) -> Receipt:  # noqa: ARG002 -- contract
        """Lay it before the guide."""
        return Receipt(provider_id="msg-1", is_final=False)

    def results(self, msgid: str, sender: str, account: Account) -> Mapping[str, Result]:  # noqa: ARG002 -- contract
        """What the guide did."""
        if self.is_silent:
            raise ChannelError(base.GONE)
        return {"wm-li": self.outcome} if self.outcome else {}

    def stop(self, msgid: str, account: Account) -> None:  # noqa: ARG002 -- contract
        """No guide can confirm it any more."""
        if self.is_away:
            raise ChannelError(base.BUSY)
        self.stopped.append(msgid)


def a_tapped_task(house: House, channel: _Broadcast) -> int:
    """Wang has tapped send, and has not confirmed in WeCom; the deadline is in an hour."""
    with house.database.transaction() as session:
        campaign = a_campaign(
            session,
            now=house.now,
            deadline_at=house.now + _HOURS,
            fallback_channels=[SERVICE.value],
        )
        li, wang = session.get_one(Member, house.li), session.get_one(Guide, house.wang)
        task = a_care_task(session, li, campaign=campaign, guide=wang, now=house.now)
        touch = progress.send(session, task, actor="guide:wang", now=house.now)
    house.deliver(touch.id, {BROADCAST: channel})
    return task.id


def stop(house: House, channel: _Broadcast) -> int:
    """Do the recurring job."""
    return stopping.stop_overdue(house.database, {BROADCAST: channel}, clock=house.clock)


def end(house: House, task_id: int) -> tuple[TaskState, list[TouchState]]:
    """How the task stands, and its touches in order."""
    with house.database.transaction() as session:
        task = session.get_one(CareTask, task_id)
        query = select(Touch.state).where(Touch.care_task_id == task_id).order_by(col(Touch.id))
        return task.state, [TouchState(state) for state in session.exec(query).all()]


def test_nothing_is_stopped_before_the_deadline(house: House) -> None:
    channel = _Broadcast()
    a_tapped_task(house, channel)

    assert stop(house, channel) == 0
    assert channel.stopped == []


def test_the_account_speaks_only_after_the_stop_and_its_grace(house: House) -> None:
    channel = _Broadcast()
    task_id = a_tapped_task(house, channel)
    house.now += _HOURS

    at_the_stop = stop(house, channel), end(house, task_id)
    in_the_grace = stop(house, channel), end(house, task_id)
    house.now += GRACE
    after = stop(house, channel), end(house, task_id)

    waiting = (TaskState.SENDING, [TouchState.SENDING])
    assert channel.stopped == ["msg-1"]
    assert (at_the_stop, in_the_grace) == ((0, waiting), (0, waiting))
    assert after == (1, (TaskState.FELL_BACK, [TouchState.FAILED, TouchState.RESERVED]))


def test_who_confirmed_in_the_last_second_has_spoken(house: House) -> None:
    channel = _Broadcast()
    task_id = a_tapped_task(house, channel)
    house.now += _HOURS
    stop(house, channel)
    channel.outcome = Result(sent_at=house.now)
    house.now += GRACE

    ended = stop(house, channel)

    assert ended == 1
    assert end(house, task_id) == (TaskState.DELIVERED, [TouchState.SENT])


def test_what_the_platform_will_never_tell_of_is_left_to_a_person(house: House) -> None:
    channel = _Broadcast()
    task_id = a_tapped_task(house, channel)
    house.now += _HOURS
    stop(house, channel)
    channel.is_silent = True
    house.now += GRACE

    ended = [stop(house, channel) for _ in range(2)]

    with house.database.transaction() as session:
        (view,) = dead_letters.waiting(session)
        assert (view.letter.reason, view.is_unknown) == ("no_result", True)
        dead_letters.drop(session, view.letter.token, actor="hq:song", now=house.now)
    assert ended == [0, 0]
    assert end(house, task_id)[0] is TaskState.FELL_BACK


def test_broadcast_of_no_task_is_stopped_before_the_gate_counts_it_no_more(house: House) -> None:
    channel = _Broadcast()
    touch_id = house.ask(BROADCAST)
    house.deliver(touch_id, {BROADCAST: channel})
    house.now += HUMAN_PATIENCE[BROADCAST] - 2 * _HOURS

    too_early = stop(house, channel), list(channel.stopped)
    house.now += _HOURS
    stop(house, channel)
    house.now += GRACE
    ended = stop(house, channel)

    assert too_early == (0, [])
    assert (ended, channel.stopped) == (1, ["msg-1"])
    assert house.touch(touch_id).state is TouchState.FAILED


def test_while_the_platform_is_away_nobody_else_speaks(house: House) -> None:
    channel = _Broadcast()
    task_id = a_tapped_task(house, channel)
    channel.is_away = True
    house.now += 5 * _HOURS

    for _ in range(3):
        assert stop(house, channel) == 0

    assert end(house, task_id) == (TaskState.SENDING, [TouchState.SENDING])


def test_a_second_stop_is_harmless(database: Database, redis: Redis) -> None:
    """Over a socket, as the platform does it (wecom.md §5.3)."""
    world = a_world()
    with serving(create_sandbox_app(world)) as url:
        house = a_house(database, world, url, redis)
        with database.transaction() as session:
            account = session.exec(select(Account)).one()
        channel = WecomBroadcast(house.clients)
        made = house.api.add_broadcast("WangFang", ZHOU_EXTERNAL, {"text": {"content": "您好"}})

        for _ in range(2):
            channel.stop(str(made["msgid"]), account)

        assert world.wecom.broadcasts[str(made["msgid"])].cancelled_at is not None
        assert channel.results(str(made["msgid"]), "WangFang", account) == {}
