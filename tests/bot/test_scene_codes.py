"""Having codes made by WeChat: between transactions, again when it may help."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr
from redis import Redis
from sqlmodel import Session

from bot import scene_codes
from bot import scenes as packing
from bot.wechat.client import WechatClients
from sandbox.app import create_sandbox_app
from sandbox.state import Switch, World
from store import accounts, scene_subjects, scenes
from store.accounts import AccountForm, Platform
from store.db import Database
from store.organisation import Brand
from store.scene_subjects import SceneKind
from store.scenes import Scene, SceneState
from tests.builders import a_brand, a_shop
from tests.sandbox.builders import AES_KEY, APPID, a_world
from tests.sandbox.serving import serving

SECRET_KEY = "a key of the tests"


@pytest.fixture
def world() -> World:
    """The sandbox's memory."""
    return a_world()


@dataclass
class Press:
    """Has the codes of one shop made against the sandbox."""

    database: Database
    clients: WechatClients
    scene_id: int
    now: datetime

    def make(self) -> Scene:
        """Do the job once; gives the scene as it is then."""
        makers = {Platform.WECHAT: scene_codes.of_wechat(self.clients)}
        scene_codes.make(self.database, makers, self.scene_id, clock=lambda: self.now)
        with Session(self.database.engine) as session:
            return session.get_one(Scene, self.scene_id)


@pytest.fixture
def press(database: Database, redis: Redis, world: World, now: datetime) -> Iterator[Press]:
    """A shop that wants a code for ever."""
    with database.transaction() as session:
        brand = a_brand(session)
        put_account(session, brand, now)
        shop = a_shop(session)
        about = scene_subjects.subject(session, SceneKind.SHOP, shop.code)
        wanted = scenes.want(session, about, life_days=None, now=now).scene
    with serving(create_sandbox_app(world)) as url:
        clients = WechatClients(f"{url}/wechat", redis, SECRET_KEY, (1.0, 2.0))
        yield Press(database, clients, wanted.id, now)


def put_account(session: Session, brand: Brand, now: datetime) -> None:
    """The brand's account, as the sandbox knows it."""
    form = AccountForm(
        brand_id=brand.id,
        platform=Platform.WECHAT,
        code="main",
        name="account",
        app_id=APPID,
        secret=SecretStr("s3cret"),
        token=SecretStr("sandboxToken"),
        aes_key=SecretStr(AES_KEY),
    )
    accounts.register(session, form, secret_key=SECRET_KEY, now=now)


def made_by_wechat(world: World) -> list[tuple[str, bool]]:
    """The scenes of the codes that WeChat made, and whether they are for ever."""
    kept = world.wechat.accounts[APPID].belongings.scenes
    return [(one.value, one.until is None) for one in kept.values()]


def test_wanted_code_is_made_for_ever(press: Press, world: World) -> None:
    scene = press.make()

    assert (scene.state, scene.expires_at) == (SceneState.READY, None)
    assert scene.url.startswith("http://weixin.qq.com/q/")
    assert made_by_wechat(world) == [(packing.pack(scene.kind, scene.token), True)]


def test_temporary_code_ends_after_its_days(press: Press, world: World) -> None:
    with press.database.transaction() as session:
        session.get_one(Scene, press.scene_id).life_days = 30
    scene = press.make()

    assert scene.expires_at == press.now + timedelta(days=30)
    assert made_by_wechat(world) == [(packing.pack(scene.kind, scene.token), False)]


def test_code_is_made_once_however_often_the_job_runs(press: Press, world: World) -> None:
    first, second = press.make(), press.make()

    assert first.url == second.url
    assert len(made_by_wechat(world)) == 1


@pytest.mark.parametrize(
    ("how", "code", "reason"),
    [
        ("error", -1, "platform_busy"),
        ("error", 45009, "quota_used_up"),
        ("error", 48001, "account_misconfigured"),
        ("down", -1, "no_answer"),
        ("drop", -1, "no_answer"),
    ],
)
def test_code_is_made_later_when_wechat_fails_now(
    press: Press, world: World, redis: Redis, how: Any, code: int, reason: str
) -> None:
    world.switches.append(Switch("wechat", "cgi-bin/qrcode/create", how, 1, code))
    failed = press.make()
    too_early = press.make()
    press.now = failed.retry_at
    # By then the pause that follows a used-up quota is over, too.
    redis.flushdb()
    made = press.make()

    assert (failed.state, failed.failure) == (SceneState.WANTED, reason)
    assert failed.retry_at > made.created_at
    assert too_early.state is SceneState.WANTED
    assert (made.state, made.failure) == (SceneState.READY, "")


def test_code_that_wechat_will_never_make_is_refused(press: Press, world: World) -> None:
    world.switches.append(Switch("wechat", "cgi-bin/qrcode/create", "error", 1, 47001))
    scene = press.make()

    assert (scene.state, scene.failure) == (SceneState.REFUSED, "bad_content")


def test_code_waits_when_its_account_was_sealed_with_another_key(press: Press) -> None:
    press.clients.secret_key = "another key"
    scene = press.make()

    assert (scene.state, scene.failure) == (SceneState.WANTED, "account_misconfigured")
