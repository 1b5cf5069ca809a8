"""The people of the demo, each with a browser or phone of their own and nothing else."""

import re
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import quote

import httpx

_TIMEOUT = httpx.Timeout(30.0)
_TASK = re.compile(r'href="/guide/t/([\w-]+)"')


class ActorStuck(Exception):  # noqa: N818 -- the sentence names who is stuck and where
    """Somebody in the demo met a page or an answer that does not let them go on."""


@dataclass(frozen=True)
class World:
    """Where the brand's pages and the sandbox's phones are."""

    product: str
    sandbox: str
    control: httpx.Client

    def tell(self, path: str, **body: Any) -> dict[str, Any]:
        """Make something happen in the sandbox."""
        answer = self.control.post(f"{self.sandbox}/sandbox/{path}", json=body)
        return _json(answer, path)

    def look(self, path: str) -> dict[str, Any]:
        """See something in the sandbox."""
        return _json(self.control.get(f"{self.sandbox}/sandbox/{path}"), path)


def _json(answer: httpx.Response, where: str) -> dict[str, Any]:
    if answer.is_error:
        raise ActorStuck(f"The sandbox answered {answer.status_code} at {where}.")
    found: dict[str, Any] = answer.json()
    return found


@dataclass
class Browser:
    """A browser with cookies of its own, held by one person of the sandbox."""

    world: World
    who: str = ""
    client: httpx.Client = field(
        default_factory=lambda: httpx.Client(follow_redirects=True, timeout=_TIMEOUT)
    )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def open(self, url: str) -> httpx.Response:
        """Open a page of the product as this person."""
        if self.who:
            url = (
                f"{self.world.sandbox}/sandbox/be?who={quote(self.who)}&next={quote(url, safe='')}"
            )
        return self._seen(self.client.get(url))

    def post(self, url: str, **fields: Any) -> httpx.Response:
        """Send a form and follow to the page that comes after."""
        return self._seen(self.client.post(url, data=fields))

    def _seen(self, answer: httpx.Response) -> httpx.Response:
        if answer.status_code >= httpx.codes.BAD_REQUEST:
            person = self.who or "The operator"
            raise ActorStuck(f"{person} met {answer.status_code} at {answer.request.url.path}.")
        return answer


def log_in(world: World, login: str, password: str) -> Browser:
    """An operator at HQ, in front of the console."""
    browser = Browser(world)
    browser.post(f"{world.product}/hq/login", login=login, password=password)
    return browser


def card_of(world: World, userid: str, key: str) -> str | None:
    """The address behind the newest card in a guide's WeCom that holds `key`."""
    for message in reversed(world.look(f"guides/{userid}/inbox")["messages"]):
        found = re.search(rf"{re.escape(world.product)}/guide/a/[\w-]+", str(message))
        if found and key in found[0]:
            return found[0]
    return None


def tasks_on(page: httpx.Response) -> list[str]:
    """Tokens of the care tasks that a workbench page links to, in its order."""
    return list(dict.fromkeys(_TASK.findall(page.text)))
