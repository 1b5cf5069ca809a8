"""The scene of the workbench."""

from datetime import datetime

import pytest
from redis import Redis

from store.db import Database
from store.settings import Settings
from tests.web.scene import HOST, Scene, parts_of, set_up


@pytest.fixture
def scene(settings: Settings, database: Database, redis: Redis, now: datetime) -> Scene:
    """A shop with two guides."""
    here = settings.model_copy(update={"public_url": HOST})
    return set_up(parts_of(here, database, redis, now), now)
