"""Real processes behind a door, and a platform that knocks."""

import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from sandbox.processes import Crew
from store import clock
from store.db import Database
from store.organisation import Brand
from tests.bot.builders import SECRET_KEY, an_account
from tests.protocol.platform import Platform

_START_SECONDS = 120.0
Served = Callable[[int], AbstractContextManager[list[str]]]


@pytest.fixture
def served(fresh_database: Database, database_url: str, redis_url: str, tmp_path: Path) -> Served:
    """Serves the door of one account from so many processes; each writes `web-<n>.log`."""
    with fresh_database.transaction() as session:
        brand = Brand(code="zhiwei", name="Zhiwei")
        session.add(brand)
        session.flush()
        an_account(session, brand, now=clock.now())
    environment = {
        "ZHIYIN_DATABASE_URL": database_url,
        "ZHIYIN_REDIS_URL": redis_url,
        "ZHIYIN_SECRET_KEY": SECRET_KEY,
        "ZHIYIN_VAR_DIR": str(tmp_path / "var"),
    }

    @contextmanager
    def serve(number: int) -> Iterator[list[str]]:
        with Crew(tmp_path) as crew:
            yield [
                f"{_start(crew, f'web-{n + 1}', environment)}/wechat/brand" for n in range(number)
            ]

    return serve


@pytest.fixture
def platform() -> Iterator[Platform]:
    """The other side."""
    platform = Platform()
    yield platform
    platform.close()


def _start(crew: Crew, name: str, environment: dict[str, str]) -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    crew.start(name, [sys.executable, "-m", "web.cli", "serve", "--port", str(port)], environment)
    crew.wait_until_answers(f"http://127.0.0.1:{port}/readyz", _START_SECONDS)
    return f"http://127.0.0.1:{port}"
