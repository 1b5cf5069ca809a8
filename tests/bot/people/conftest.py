"""The house and the corp, one fixture."""

from collections.abc import Iterator

import pytest
from redis import Redis

from sandbox.app import create_sandbox_app
from sandbox.state import World
from store.db import Database
from tests.bot.people.corp import House, a_house
from tests.sandbox.builders import a_world
from tests.sandbox.serving import serving


@pytest.fixture
def world() -> World:
    """Li is a customer of Wang and Zhao, Zhou of Wang."""
    return a_world()


@pytest.fixture
def house(database: Database, world: World, redis: Redis) -> Iterator[House]:
    """The product beside a served sandbox."""
    with serving(create_sandbox_app(world)) as url:
        yield a_house(database, world, url, redis)
