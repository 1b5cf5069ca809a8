"""Late answers reach the person once, inside their window, or are told to nobody twice."""

from collections.abc import Iterator
from datetime import datetime
from itertools import count

import pytest
from pydantic import SecretStr
from redis import Redis
from sqlmodel import Session

from bot import inbox
from bot.inbox import Desk, Handled
from bot.late import Makers, send_answer
from bot.messages import Answer, Choices, Later, Reply, Text
from bot.wechat import windows
from bot.wechat.client import WechatClients
from sandbox.app import create_sandbox_app
from sandbox.state import World
from store import accounts, clock, members
from store.accounts import AccountForm, Credentials, Platform
from store.inbound import Heard, InboundMessage, LateState
from store.members import IdentityChannel
from tests.bot.builders import SECRET_KEY
from tests.sandbox.builders import AES_KEY, APPID, LI, a_world, li_writes
from tests.sandbox.serving import serving

WHICH = Choices("你想看哪个？", (("points", "积分"), ("coupons", "优惠券")), "点一下就好")
_numbers = count(1)


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


def hear(desk: Desk, account: Credentials, answer: Answer, *, now: datetime) -> int:
    """Li writes and gets this answer; gives the id of the message."""
    heard = Heard(account.account_id, str(next(_numbers)), LI, "text", {"content": "在吗"})
    ids = []

    def handle(session: Session, row: InboundMessage) -> Handled:
        identity = members.meet(
            session,
            channel=IdentityChannel.WECHAT,
            account=APPID,
            outside_id=LI,
            brand_id=account.brand_id,
            now=now,
        )
        row.member_id = identity.member_id
        windows.open_all(session, row, Text("在吗"), account=APPID, now=now)
        ids.append(row.id)
        return Handled(answer)

    assert inbox.answer_once(desk, heard, handle, now=now) is None
    assert inbox.answer_once(desk, heard, handle, now=now) is None
    return ids[0]


def send(
    desk: Desk, clients: WechatClients, row_id: int, now: datetime, makers: Makers | None = None
) -> InboundMessage:
    """What a worker does; gives the message afterwards."""
    send_answer(desk, clients, makers or {}, row_id, clock=lambda: now)
    with desk.database.transaction() as session:
        return session.get_one(InboundMessage, row_id)


def seen(world: World) -> list[tuple[str, str]]:
    """Kind and words of what Li's phone shows."""
    return [(bubble.kind, bubble.text) for bubble in world.inboxes[LI]]


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        (WHICH, ("msgmenu", "你想看哪个？\n积分\n优惠券\n点一下就好")),
        (Later("think"), ("text", "这是答案")),
    ],
)
def test_answer_follows_the_callback_once(
    desk: Desk,
    account: Credentials,
    clients: WechatClients,
    world: World,
    now: datetime,
    answer: Answer,
    shown: tuple[str, str],
) -> None:
    row_id = hear(desk, account, answer, now=now)

    makers = {"think": lambda _turn, _now: Reply("这是答案")}
    rows = [send(desk, clients, row_id, now, makers) for _ in range(2)]

    assert seen(world)[-1:] == [shown]
    assert len(seen(world)) == 1
    assert [(row.late, row.late_attempts) for row in rows] == [(LateState.SENT, 1)] * 2
