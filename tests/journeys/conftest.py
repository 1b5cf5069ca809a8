"""The town, opened once for all journeys, and the browsers that walk through it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import sync_playwright
from pydantic_settings import SettingsConfigDict
from redis import Redis
from sqlalchemy import make_url, text

from sandbox.browser import chromium_path
from store.db import Database, make_engine
from store.embedded import Servers
from store.settings import Settings
from tests.journeys.browsing import Watched, running
from tests.journeys.town import Town, open_town

# Where journeys keep what they put into an outside Redis, unless its URL names another database.
_REDIS_NUMBER = 14


class _Settings(Settings):
    """Settings that do not read the `.env` of whoever runs the tests."""

    model_config = SettingsConfigDict(env_file=None)


@pytest.fixture(scope="package")
def browser_path() -> str:
    """The browser; without one there is nothing to walk with."""
    path = chromium_path()
    if path is None:
        pytest.skip("journeys need a browser: install chromium, or name one in ZHIYIN_CHROMIUM")
    return path


@pytest.fixture(scope="package")
def town(
    browser_path: str,
    servers: Servers,
    template_name: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Town]:
    """Sandbox, web, worker and cron on a database of their own."""
    del browser_path
    var = tmp_path_factory.mktemp("town")
    with _database(servers, template_name) as database, _redis_url(servers) as redis_url:
        settings = _Settings(database_url=None, redis_url=None, var_dir=var)
        with open_town(database, servers, redis_url, settings) as town:
            yield town


@pytest.fixture(scope="package")
def people(town: Town, browser_path: str) -> Iterator[Watched]:
    """Browsers for everybody in town."""
    with sync_playwright() as playwright, running(playwright, browser_path) as browser:
        yield Watched(browser, (town.product, town.sandbox))


@contextmanager
def _database(servers: Servers, template: str) -> Iterator[Database]:
    name = f"zhiyin_test_{os.getpid()}_journeys"
    admin = make_engine(servers.database_url, pool_size=1).execution_options(
        isolation_level="AUTOCOMMIT"
    )
    with admin.connect() as connection:
        connection.execute(text(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'))
        url = make_url(servers.database_url).set(database=name)
        engine = make_engine(url.render_as_string(hide_password=False))
        try:
            yield Database(engine)
        finally:
            engine.dispose()
            connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))
            connection.close()
            admin.dispose()


@contextmanager
def _redis_url(servers: Servers) -> Iterator[str]:
    """A Redis database, empty before and after."""
    url = servers.redis_url
    if not servers.embedded and not url.rsplit("/", 1)[-1].isdecimal():
        url = f"{url.rstrip('/')}/{_REDIS_NUMBER}"
    with Redis.from_url(url) as client:
        client.flushdb()
        yield url
        client.flushdb()
