"""Servers of the sandbox tests: the echo door, and a sandbox that pushes to it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from sandbox.app import create_sandbox_app
from sandbox.push import Rules
from sandbox.state import World
from tests.sandbox.builders import a_registration, people
from tests.sandbox.echo_door import Seen, create_echo_app
from tests.sandbox.serving import serving

# A busy machine has the platform's whole patience; only doors that fail are waited for.
PATIENT = Rules(pause_seconds=0.0)


@dataclass(frozen=True)
class Sandbox:
    """A running sandbox: its memory, its address and a browser-like client."""

    world: World
    url: str
    http: httpx.Client

    def post(self, path: str, /, **body: Any) -> Any:
        """Post to the control API and give what it answers."""
        answer = self.http.post(f"/sandbox/{path}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def get(self, path: str) -> Any:
        """Read from the control API."""
        return self.http.get(f"/sandbox/{path}").json()


@pytest.fixture
def seen() -> Seen:
    """What the echo door has seen."""
    return Seen()


@pytest.fixture
def door_url(seen: Seen) -> Iterator[str]:
    """The address of the echo door, without the way it shall answer."""
    with serving(create_echo_app(seen)) as url:
        yield f"{url}/door"


@pytest.fixture
def sandbox(door_url: str) -> Iterator[Sandbox]:
    """A sandbox on a port of its own, filled over its control API, pushing to the echo door."""
    world = World()
    with (
        serving(create_sandbox_app(world, rules=PATIENT)) as url,
        httpx.Client(base_url=url, trust_env=False, timeout=30) as http,
    ):
        running = Sandbox(world, url, http)
        form = a_registration(wechat_door=f"{door_url}/echo")
        form.apps[0].door_url = f"{door_url}/sealed-echo"
        running.post("register", **form.model_dump())
        running.post("people", **people().model_dump(mode="json"))
        yield running
