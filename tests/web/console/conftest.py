"""The scene of the console: a shop, and Song, who works at headquarters."""

from datetime import datetime

import pytest
from redis import Redis

from content import ready_pieces
from store.db import Database
from store.organisation import add_operator
from store.settings import Settings
from tests.web.browser import Browser
from tests.web.scene import HOST, Scene, parts_of, set_up
from web.sessions import Door

LOGIN, PASSWORD = "song", "calm-and-kind"


@pytest.fixture
def scene(settings: Settings, database: Database, redis: Redis, now: datetime) -> Scene:
    """A shop with two guides and the pieces that ship with the product."""
    here = settings.model_copy(update={"public_url": HOST})
    scene = set_up(parts_of(here, database, redis, now), now)
    with database.transaction() as session:
        ready_pieces.seed(session, now=now)
    return scene


@pytest.fixture
def song(scene: Scene) -> Browser:
    """The browser of an operator who is logged in."""
    with scene.database.transaction() as session:
        operator = add_operator(session, LOGIN, "宋知远", PASSWORD)
    return scene.at_door(Door.CONSOLE, operator.id)
