"""A real browser whose every page is watched: what it complains of, and whom it asks."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Frame,
    Page,
    Playwright,
    Request,
)

from sandbox.browser import FLAGS, PHONE

_PATIENCE_MILLISECONDS = 20_000


@contextmanager
def running(playwright: Playwright, path: str) -> Iterator[Browser]:
    """The browser, closed at the end."""
    browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
    yield browser
    browser.close()


@dataclass
class Watched:
    """Browsers of several people; `complaints` collects whatever no page should do."""

    browser: Browser
    hosts: tuple[str, ...]
    complaints: list[str] = field(default_factory=list)

    def person(self, size: tuple[int, int] = PHONE, *, has_scripts: bool = True) -> Page:
        """An empty page in a browser of somebody's own, with cookies of their own."""
        context = self.browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            locale="zh-CN",
            timezone_id="Asia/Shanghai",
            java_script_enabled=has_scripts,
        )
        context.set_default_timeout(_PATIENCE_MILLISECONDS)
        self._watch(context)
        return context.new_page()

    def forgive(self, status: str) -> None:
        """Forget that the browser noted an answer with this status: the test asked for it."""
        self.complaints = [one for one in self.complaints if f"status of {status}" not in one]

    def forgive_words(self, words: str) -> None:
        """Forget what the browser noted in these words: the test took its network away."""
        self.complaints = [one for one in self.complaints if words not in one]

    def _watch(self, context: BrowserContext) -> None:
        context.on("console", self._hear)
        context.on("weberror", lambda error: self.complaints.append(f"script: {error.error}"))
        context.on("request", self._see)

    def _hear(self, message: ConsoleMessage) -> None:
        # The phone shows pages in a frame, where browsers never focus by themselves; WeChat does.
        if message.type in {"error", "warning"} and "autofocusing" not in message.text:
            self.complaints.append(f"console: {message.text} at {message.location.get('url')}")

    def _see(self, request: Request) -> None:
        if not request.url.startswith((*self.hosts, "data:")):
            self.complaints.append(f"outside: {request.url}")


def faults_of(page: Page | Frame) -> list[str]:
    """What every page has to be: Chinese, named, and no wider than its window."""
    found: Any = page.evaluate(
        "() => ({lang: document.documentElement.lang, title: document.title.trim(),"
        " spill: document.documentElement.scrollWidth - document.documentElement.clientWidth})"
    )
    faults = []
    if found["lang"] != "zh-CN":
        faults.append(f"{page.url} has the language {found['lang']!r}")
    if not found["title"]:
        faults.append(f"{page.url} has no title")
    if found["spill"] > 0:
        faults.append(f"{page.url} is {found['spill']} px too wide")
    return faults
