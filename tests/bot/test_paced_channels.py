"""A channel stops by itself before the platform's limit, and says when it may go on."""

from collections.abc import Iterator

import pytest
from redis import Redis

from bot.channels.base import Address, ChannelError, Outgoing
from bot.channels.wecom_app import WecomApp
from bot.wecom.client import WecomClients
from sandbox.app import create_sandbox_app
from sandbox.state import World
from store import accounts, clock
from store.accounts import Account, Platform
from tests.sandbox.builders import AGENT, CORPID, a_world
from tests.sandbox.serving import serving

SECRET_KEY = "a key of the tests"
_A_MINUTE = 30


@pytest.fixture
def world() -> World:
    """The sandbox's memory."""
    return a_world()


@pytest.fixture
def channel(world: World, redis: Redis) -> Iterator[WecomApp]:
    """App messages against the sandbox."""
    with serving(create_sandbox_app(world)) as url:
        yield WecomApp(WecomClients(f"{url}/wecom", redis, SECRET_KEY))


def send(channel: WecomApp, userid: str, number: int) -> ChannelError | None:
    """Send a message that no other equals; gives the refusal."""
    account = Account(
        id=1,
        brand_id=1,
        platform=Platform.WECOM,
        code="care",
        name="care",
        app_id=CORPID,
        agent_id=AGENT,
        secret_sealed=accounts.seal(SECRET_KEY, "care"),
        token_sealed=accounts.seal(SECRET_KEY, "t"),
        aes_key_sealed=accounts.seal(SECRET_KEY, "k"),
        created_at=clock.now(),
    )
    try:
        channel.send(Outgoing(f"m{number}", f"words {number}"), Address(userid), account)
    except ChannelError as error:
        return error
    return None


def test_message_that_wecom_would_drop_in_silence_is_not_sent(
    channel: WecomApp, world: World
) -> None:
    """wecom.md §2.4: the thirty-first to one guide in a minute is answered ok and dropped."""
    went = [send(channel, "WangFang", number) for number in range(_A_MINUTE)]
    refused, other = send(channel, "WangFang", _A_MINUTE), send(channel, "ZhaoLei", 0)

    assert (went, other) == ([None] * _A_MINUTE, None)
    assert refused is not None
    assert (refused.reason, refused.permanent, refused.is_unsure) == (
        "provider_limit",
        False,
        False,
    )
    assert 0 < (refused.retry_after or 0) <= 62
    sent = [one for one in world.journal.entries if one.get("path") == "cgi-bin/message/send"]
    assert len(sent) == _A_MINUTE + 1
