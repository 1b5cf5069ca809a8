"""The scene of the member pages, with WeChat's stand-in at the other end."""

from collections.abc import Iterator
from datetime import datetime

import pytest
from redis import Redis

from sandbox.app import create_sandbox_app
from store.db import Database
from store.settings import Settings
from tests.sandbox.builders import a_world
from tests.sandbox.serving import serving
from tests.web.scene import HOST, Scene, parts_of, set_up


@pytest.fixture(scope="session")
def sandbox_url() -> Iterator[str]:
    """The address of a sandbox that knows Li and her guides."""
    with serving(create_sandbox_app(a_world())) as url:
        yield url


@pytest.fixture
def scene(
    sandbox_url: str, settings: Settings, database: Database, redis: Redis, now: datetime
) -> Scene:
    """A shop with two guides."""
    urls = {
        "public_url": HOST,
        "oauth_url": f"{sandbox_url}/oauth",
        "wechat_api_url": f"{sandbox_url}/wechat",
        "wecom_api_url": f"{sandbox_url}/wecom",
    }
    return set_up(parts_of(settings.model_copy(update=urls), database, redis, now), now)
