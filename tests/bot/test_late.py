"""Late answers reach the person once, inside their window, or are told to nobody twice."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import count

import pytest
from pydantic import SecretStr
from redis import Redis
from sqlalchemy import text
from sqlmodel import Session, select

from bot import inbox
from bot.dialogue import HUMAN
from bot.inbox import Desk, Handled
from bot.late import Makers, send_answer, sweep_answers
from bot.messages import Answer, Card, Choices, Later, Reply, Silence, Text, Turn
from bot.wechat import windows
from bot.wechat.client import WechatClients
from content import phrases
from sandbox.app import create_sandbox_app
from sandbox.state import Switch, World
from store import accounts, clock, erasure, late, members
from store.accounts import AccountForm, Credentials, Platform
from store.db import Database
from store.errors import WrongState
from store.grants import Grant
from store.inbound import Heard, InboundMessage, LateState, asked_last, begin_talk
from store.jobs import Job
from store.members import IdentityChannel, Member
from store.touches import Category, Channel, Touch, TouchState
from tests.bot.builders import SECRET_KEY
from tests.races.racing import waiting
from tests.sandbox.builders import AES_KEY, APPID, LI, a_world, li_writes
from tests.sandbox.serving import serving

WHICH = Choices("你想看哪个？", (("points", "积分"), ("coupons", "优惠券")), "点一下就好")
_PATH = "cgi-bin/message/custom/send"
_numbers = count(1)
_SOMEBODY_WAITS = text(
    "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE :pid = ANY (pg_blocking_pids(pid)))"
)


@pytest.fixture
def now() -> datetime:
    """The sandbox goes by the real clock."""
    return clock.now()


@pytest.fixture
def world(now: datetime) -> World:
    """The platform's memory: Li has written."""
    world = a_world()
    li_writes(world, now=now)
    return world


@pytest.fixture
def clients(world: World, redis: Redis) -> Iterator[WechatClients]:
    """The product's clients, speaking to the sandbox."""
    with serving(create_sandbox_app(world)) as url:
        yield WechatClients(f"{url}/wechat", redis, SECRET_KEY, (1.0, 0.4))


@pytest.fixture
def account(desk: Desk, now: datetime) -> Credentials:
    """The account that the sandbox knows, behind the door of the tests' desk."""
    form = AccountForm(
        brand_id=1,
        platform=Platform.WECHAT,
        code="brand",
        name="account",
        app_id=APPID,
        secret=SecretStr("s3cret"),
        token=SecretStr("sandboxToken"),
        aes_key=SecretStr(AES_KEY),
    )
    with desk.database.transaction() as session:
        return accounts.opened(
            accounts.register(session, form, secret_key=SECRET_KEY, now=now),
            secret_key=SECRET_KEY,
        )


@dataclass
class Talk:
    """Li's chat, heard by a desk and answered by workers."""

    desk: Desk
    account: Credentials
    clients: WechatClients
    world: World
    now: datetime

    def hear(self, answer: Answer, *, opens: bool = True) -> int:
        """Li writes and gets this answer; gives the id of the message."""
        number = str(next(_numbers))
        heard = Heard(self.account.account_id, number, LI, "text", {"content": "在吗"})

        def handle(session: Session, row: InboundMessage) -> Handled:
            row.member_id = self._met(session)
            if opens:
                windows.open_all(session, row, Text("在吗"), account=APPID, now=self.now)
            return Handled(answer)

        spoken = [inbox.answer_once(self.desk, heard, handle, now=self.now) for _ in range(2)]
        assert isinstance(answer, Reply) or spoken == [None, None]
        with self.desk.database.transaction() as session:
            found = select(InboundMessage.id).where(InboundMessage.platform_id == number)
            return session.exec(found).one()

    def _met(self, session: Session) -> int:
        return members.meet(
            session,
            channel=IdentityChannel.WECHAT,
            account=APPID,
            outside_id=LI,
            brand_id=self.account.brand_id,
            now=self.now,
        ).member_id

    def send(self, row_id: int, makers: Makers | None = None) -> InboundMessage:
        """What a worker does; gives the message afterwards."""
        send_answer(self.desk, self.clients, makers or {}, row_id, clock=lambda: self.now)
        return self.row(row_id)

    def row(self, row_id: int) -> InboundMessage:
        """The message as it stands."""
        with self.desk.database.transaction() as session:
            return session.get_one(InboundMessage, row_id)

    def waiting(self) -> list[int]:
        """What the sweeper would nudge."""
        with self.desk.database.transaction() as session:
            return list(session.exec(late.waiting(self.now)).all())

    def seen(self) -> list[tuple[str, str]]:
        """Kind and words of what Li's phone shows."""
        return [(bubble.kind, bubble.text) for bubble in self.world.inboxes[LI]]


@pytest.fixture
def talk(
    desk: Desk, account: Credentials, clients: WechatClients, world: World, now: datetime
) -> Talk:
    """Li's chat."""
    return Talk(desk, account, clients, world, now)


def a_touch_sent(grant: Grant, number: int, now: datetime) -> Touch:
    """A care message that went out in the window of `grant`."""
    return Touch(
        key=f"touch-{number}",
        member_id=grant.member_id,
        channel=Channel.WECHAT_SERVICE,
        category=Category.CARE,
        brand_id=1,
        state=TouchState.SENT,
        text="好久不见。",
        asked_at=now,
        counted_at=now,
    )


def misbehave(world: World, how: str, *, times: int = 1, code: int = -1) -> None:
    """The platform's next calls go wrong."""
    world.switches.append(Switch("wechat", _PATH, how, times, code, 0.7))


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        (WHICH, ("msgmenu", "你想看哪个？\n积分\n优惠券\n点一下就好")),
        (Later("think"), ("text", "这是答案")),
    ],
)
def test_answer_follows_the_callback_once(
    talk: Talk, answer: Answer, shown: tuple[str, str]
) -> None:
    row_id = talk.hear(answer)

    makers = {"think": lambda _turn, _now: Reply("这是答案")}
    rows = [talk.send(row_id, makers) for _ in range(2)]

    assert talk.seen() == [shown]
    assert [(row.late, row.late_attempts) for row in rows] == [(LateState.SENT, 1)] * 2


def test_maker_knows_who_asked_what(talk: Talk) -> None:
    row_id = talk.hear(Later("think", {"about": "tea"}))
    turns: list[Turn] = []

    def think(turn: Turn, _now: datetime) -> Answer:
        turns.append(turn)
        return Card("龙井", "新到", "https://x.example/m/picks")

    row = talk.send(row_id, {"think": think})

    assert [(turn.message, turn.facts, turn.member_id) for turn in turns] == [
        (Text("在吗"), {"about": "tea"}, row.member_id)
    ]
    assert talk.seen() == [("news", "龙井")]


def test_answer_of_a_model_is_marked_for_the_platform(talk: Talk) -> None:
    row_id = talk.hear(Later("think"))

    talk.send(row_id, {"think": lambda _turn, _now: Reply("这是答案", is_ai=True)})

    assert [bubble.facts for bubble in talk.world.inboxes[LI]] == [{"is_ai": True}]


def test_nudge_is_given_when_the_answer_is_to_follow(talk: Talk) -> None:
    nudged: list[object] = []
    database = Database(talk.desk.database.engine, nudged.append)
    told = replace(talk, desk=replace(talk.desk, database=database))

    told.hear(Reply("现在就答"))
    row_id = told.hear(WHICH)

    assert nudged == [(Job.SEND_ANSWER, row_id)]


def test_platform_that_is_busy_is_tried_again(talk: Talk) -> None:
    row_id = talk.hear(WHICH)
    misbehave(talk.world, "error", code=-1)

    first = talk.send(row_id)
    too_soon = talk.send(row_id)
    talk.now += timedelta(seconds=6)
    later = talk.send(row_id)

    assert (first.late, first.late_failure) == (LateState.PENDING, "platform_busy")
    assert too_soon.late_attempts == 1
    assert (later.late, later.late_failure) == (LateState.SENT, None)
    assert len(talk.seen()) == 1


@pytest.mark.parametrize("code", [45009, 45011, 48001, 99999])
def test_answer_goes_out_within_its_ten_minutes_whatever_pause_the_platform_wants(
    talk: Talk, redis: Redis, code: int
) -> None:
    row_id = talk.hear(WHICH)
    misbehave(talk.world, "error", code=code)

    first = talk.send(row_id)
    talk.now += timedelta(seconds=60)
    for key in redis.keys("zhiyin:calls:*:pause"):
        redis.delete(key)
    row = talk.send(row_id)

    assert first.late is LateState.PENDING
    assert (row.late, row.late_failure, len(talk.seen())) == (LateState.SENT, None, 1)


def test_platform_that_is_busy_is_tried_for_ten_minutes_ever_less_often(talk: Talk) -> None:
    row_id = talk.hear(WHICH)
    misbehave(talk.world, "error", times=100, code=-1)
    began = talk.now
    tried: list[float] = []

    while talk.row(row_id).late is LateState.PENDING:
        if talk.send(row_id).late_attempts > len(tried):
            tried.append((talk.now - began).total_seconds())
        talk.now += timedelta(seconds=5)

    assert tried[:5] == [0, 5, 15, 35, 75]
    assert 500 < tried[-1] <= 600
    assert talk.row(row_id).late_failure == "platform_busy"


def test_answer_that_reached_nobody_uses_up_no_window(talk: Talk) -> None:
    row_id = talk.hear(WHICH)
    misbehave(talk.world, "error", times=3, code=-1)

    for _ in range(3):
        talk.send(row_id)
        talk.now += timedelta(minutes=1)
    row = talk.send(row_id)

    with talk.desk.database.transaction() as session:
        left = session.exec(select(Grant.allowance)).one()
    assert (row.late, left) == (LateState.SENT, 4)


@pytest.mark.parametrize("how", ["slow", "drop", "down"])
def test_answer_that_may_have_arrived_is_never_sent_again(talk: Talk, how: str) -> None:
    row_id = talk.hear(WHICH)
    misbehave(talk.world, how)

    unsure = talk.send(row_id)
    talk.now += timedelta(minutes=5)
    again = talk.send(row_id)

    assert (unsure.late, again.late) == (LateState.UNKNOWN, LateState.UNKNOWN)
    assert again.late_attempts == 1
    assert talk.waiting() == []


@pytest.mark.parametrize(
    ("code", "reason"), [(45015, "no_window"), (45047, "window_used_up"), (43004, "recipient_gone")]
)
def test_answer_that_the_platform_does_not_take_is_given_up(
    talk: Talk, code: int, reason: str
) -> None:
    row_id = talk.hear(WHICH)
    misbehave(talk.world, "error", code=code)

    row = talk.send(row_id)

    assert (row.late, row.late_failure) == (LateState.FAILED, reason)
    assert talk.waiting() == []


def test_answers_take_from_the_window_what_touches_left(talk: Talk) -> None:
    first_id = talk.hear(WHICH)
    talk.send(first_id)
    with talk.desk.database.transaction() as session:
        grant = session.exec(select(Grant)).one()
        left = grant.allowance
        for number in range(left):
            session.add(a_touch_sent(grant, number, talk.now))

    second = talk.send(talk.hear(WHICH, opens=False))

    assert left == 4
    assert (second.late, second.late_failure) == (LateState.FAILED, "no_window")
    assert len(talk.seen()) == 1


def test_answer_nobody_waits_for_any_more_is_not_sent(talk: Talk) -> None:
    row_id = talk.hear(WHICH)
    talk.now += timedelta(minutes=11)

    row = talk.send(row_id)

    assert (row.late, row.late_failure) == (LateState.FAILED, "too_late")
    assert talk.seen() == []


def test_bot_keeps_still_when_a_person_answers_meanwhile(talk: Talk) -> None:
    row_id = talk.hear(Later("think"))

    def think(turn: Turn, _now: datetime) -> Answer:
        with talk.desk.database.transaction() as session:
            until = talk.now + timedelta(hours=4)
            begin_talk(session, turn.identity_id, HUMAN, facts={}, now=talk.now, until=until)
        return Reply("这是答案")

    row = talk.send(row_id, {"think": think})

    assert (row.late, row.late_failure) == (LateState.FAILED, "with_a_person")
    assert talk.seen() == []


def test_answer_of_who_was_forgotten_meanwhile_goes_nowhere(talk: Talk) -> None:
    row_id = talk.hear(Later("think"))

    def think(turn: Turn, _now: datetime) -> Answer:
        with talk.desk.database.transaction() as session:
            erasure.erase(session, turn.member_id, secret_key=SECRET_KEY, now=talk.now)
        return Reply("这是答案")

    row = talk.send(row_id, {"think": think})

    assert (row.late, row.reply) == (LateState.FAILED, None)
    assert talk.seen() == []


@pytest.mark.race
def test_person_is_locked_before_the_message_as_whoever_forgets_them_does(talk: Talk) -> None:
    row_id = talk.hear(WHICH)
    member_id = talk.row(row_id).member_id
    assert member_id is not None

    with talk.desk.database.transaction() as session:
        members.lock(session, member_id)
        sending = threading.Thread(target=talk.send, args=[row_id])
        sending.start()
        _until_waited_for(talk, session)
        erasure.erase(session, member_id, secret_key=SECRET_KEY, now=talk.now)
    sending.join()

    assert (talk.row(row_id).late, talk.seen()) == (LateState.FAILED, [])


def _until_waited_for(talk: Talk, session: Session) -> None:
    """Until somebody else waits for what `session` holds."""
    pid = session.execute(text("SELECT pg_backend_pid()")).scalar_one()
    ends = time.monotonic() + 30
    while time.monotonic() < ends:
        with talk.desk.database.transaction() as other:
            if other.execute(_SOMEBODY_WAITS, {"pid": pid}).scalar_one():
                return
        time.sleep(0.05)
    raise AssertionError


def test_yes_is_to_no_question_when_an_earlier_one_came_last(talk: Talk) -> None:
    earlier, later = talk.hear(Later("think")), talk.hear(WHICH)
    other = Choices("不再接收吗？", (("stop", "不再接收"), ("cancel", "先不用")))

    def asked() -> list[str]:
        with talk.desk.database.transaction() as session:
            member_id = session.get_one(InboundMessage, later).member_id
            assert member_id is not None
            return asked_last(session, member_id, now=talk.now)

    talk.send(later)
    in_order = asked()
    talk.now += timedelta(seconds=10)
    talk.send(earlier, {"think": lambda _turn, _now: other})

    assert (in_order, asked()) == (["points", "coupons"], [])


def test_nothing_follows_when_there_is_nothing_to_say(talk: Talk) -> None:
    row = talk.send(talk.hear(Later("think")), {"think": lambda _turn, _now: Silence()})

    assert (row.late, row.late_failure) == (LateState.FAILED, "nothing_to_say")
    assert talk.seen() == []


def test_sweeper_takes_up_what_a_dead_worker_left(talk: Talk) -> None:
    row_id = talk.hear(Later("think"))

    def dies(_turn: Turn, _now: datetime) -> Answer:
        raise SystemExit

    before = talk.waiting()
    with pytest.raises(SystemExit):
        talk.send(row_id, {"think": dies})
    at_work = talk.waiting()
    talk.now += timedelta(seconds=61)
    left = talk.waiting()
    row = talk.send(row_id, {"think": lambda _turn, _now: Reply("这是答案")})

    assert (before, at_work, left) == ([row_id], [], [row_id])
    assert (row.late, talk.seen()) == (LateState.SENT, [("text", "这是答案")])


def test_maker_that_always_fails_ends_in_a_sentence(talk: Talk) -> None:
    row_id = talk.hear(Later("think"))

    def fails(_turn: Turn, _now: datetime) -> Answer:
        raise RuntimeError("138 0000 0000")

    for _ in range(3):
        with pytest.raises(RuntimeError):
            talk.send(row_id, {"think": fails})
        talk.now += timedelta(seconds=61)
    row = talk.send(row_id, {"think": fails})

    assert row.late is LateState.SENT
    assert talk.seen() == [("text", phrases.FAULT)]


def test_sender_that_fell_silent_leaves_an_answer_unknown(talk: Talk) -> None:
    row_id = talk.hear(WHICH)
    with talk.desk.database.transaction() as session:
        assert late.take_up(session, row_id, now=talk.now)
        assert late.fence(session, row_id, attempt=1, reply={"kind": "silence"}, now=talk.now)

    sweep_answers(talk.desk.database, now=talk.now + timedelta(minutes=4))
    trusted = talk.row(row_id).late
    sweep_answers(talk.desk.database, now=talk.now + timedelta(minutes=6))

    assert (trusted, talk.row(row_id).late) == (LateState.SENDING, LateState.UNKNOWN)
    assert talk.send(row_id).late is LateState.UNKNOWN
    assert talk.seen() == []


def test_late_answer_makes_only_the_moves_of_its_life(talk: Talk) -> None:
    row_id = talk.hear(WHICH)
    talk.send(row_id)

    with pytest.raises(WrongState):
        late.move(talk.row(row_id), LateState.PENDING)


@pytest.mark.race
def test_two_workers_at_once_send_one_answer(talk: Talk) -> None:
    row_id = talk.hear(WHICH)

    _two_workers(talk, row_id)

    assert len(talk.seen()) == 1


@pytest.mark.race
def test_without_the_locks_two_workers_send_two_answers(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    row_id = talk.hear(WHICH)

    def unlocked(session: Session, row_id: int, **_: bool) -> InboundMessage | None:
        return session.get(InboundMessage, row_id)

    monkeypatch.setattr(late, "_locked", waiting(2, unlocked))
    monkeypatch.setattr(members, "lock", lambda session, one: session.get_one(Member, one))
    _two_workers(talk, row_id)

    assert len(talk.seen()) == 2


def _two_workers(talk: Talk, row_id: int) -> None:
    barrier = threading.Barrier(2)

    def work() -> None:
        barrier.wait()
        send_answer(talk.desk, talk.clients, {}, row_id, clock=lambda: talk.now)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
