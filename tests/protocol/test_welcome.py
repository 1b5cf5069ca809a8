"""A customer scans a guide's code: real processes, from the callback to the welcome in time."""

import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from sandbox.app import create_sandbox_app
from sandbox.processes import Crew
from sandbox.state import World
from store import accounts, clock
from store.db import Database
from store.organisation import Brand, Guide, Shop
from tests.bot.people.corp import NEW, SECRET_KEY, an_app_form
from tests.sandbox.builders import AGENT, CORPID, a_world
from tests.sandbox.serving import serving

_START_SECONDS = 90.0
# wecom.md §4.2.
_WELCOME_SECONDS = 20.0


@pytest.fixture
def world(
    fresh_database: Database, database_url: str, redis_url: str, tmp_path: Path
) -> Iterator[tuple[World, str]]:
    """The sandbox, with a web process and a worker behind its app's door."""
    with fresh_database.transaction() as session:
        brand = Brand(code="zhiwei", name="知味")
        session.add(brand)
        session.flush()
        shop = Shop(brand_id=brand.id, code="s1", name="中山路店")
        session.add(shop)
        session.flush()
        session.add(Guide(shop_id=shop.id, userid="WangFang", name="王芳"))
        accounts.register(session, an_app_form(brand.id), secret_key=SECRET_KEY, now=clock.now())
    world, port = a_world(), _free_port()
    with serving(create_sandbox_app(world)) as sandbox, Crew(tmp_path) as crew:
        environment = {
            "ZHIYIN_DATABASE_URL": database_url,
            "ZHIYIN_REDIS_URL": redis_url,
            "ZHIYIN_SECRET_KEY": SECRET_KEY,
            "ZHIYIN_VAR_DIR": str(tmp_path / "var"),
            "ZHIYIN_WECOM_API_URL": f"{sandbox}/wecom",
            "ZHIYIN_EMBEDDING_ENABLED": "false",
        }
        run = [sys.executable, "-m", "web.cli"]
        crew.start("web", [*run, "serve", "--port", str(port)], environment)
        crew.start("worker", [*run, "worker"], environment)
        crew.wait_until_answers(f"http://127.0.0.1:{port}/readyz", _START_SECONDS)
        app = world.wecom.apps[f"{CORPID}:{AGENT}"]
        app.door_url = f"http://127.0.0.1:{port}/wecom/guides"
        yield world, sandbox


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.usefixtures("redis")
def test_new_friend_is_welcomed_in_time_and_once(world: tuple[World, str]) -> None:
    corp, sandbox = world
    pair = {"userid": "WangFang", "external_userid": NEW}
    with httpx.Client(base_url=f"{sandbox}/sandbox", trust_env=False, timeout=30) as control:
        control.post("/misbehave", json={"server": "callback", "how": "duplicate"})

        answer = control.post("/wecom/add", json=pair)

    began = time.monotonic()
    while not corp.inboxes[NEW] and time.monotonic() - began < _WELCOME_SECONDS:
        time.sleep(0.05)
    time.sleep(1.0)
    assert answer.status_code == 200
    pushed = [one for one in corp.journal.entries if one["kind"] == "push"]
    # The door answers at once; the work comes after it.
    assert all(one["tries"] == 1 and one["problem"] is None for one in pushed)
    assert ["王芳" in bubble.text for bubble in corp.inboxes[NEW]] == [True]
