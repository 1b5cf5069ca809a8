"""A browser for tests: asks an app in this process, keeps its cookies, follows no redirect."""

import asyncio
from typing import Any

import httpx
from fastapi import FastAPI


class Browser:
    """One person's browser at `host`."""

    def __init__(self, app: FastAPI, host: str) -> None:
        self._app, self._host = app, host
        self.cookies = httpx.Cookies()

    def get(self, path: str, **more: Any) -> httpx.Response:
        """Open a page."""
        return asyncio.run(self._ask("GET", path, **more))

    def post(self, path: str, **more: Any) -> httpx.Response:
        """Send a form."""
        return asyncio.run(self._ask("POST", path, **more))

    def put(self, path: str, **more: Any) -> httpx.Response:
        """Put a thing in its place."""
        return asyncio.run(self._ask("PUT", path, **more))

    def follow(self, answer: httpx.Response) -> httpx.Response:
        """Go where an answer points."""
        return self.get(answer.headers["location"])

    async def _ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        transport = httpx.ASGITransport(app=self._app)
        async with httpx.AsyncClient(
            transport=transport, base_url=self._host, cookies=self.cookies
        ) as client:
            answer = await client.request(method, path, **more)
            self.cookies = client.cookies
        return answer
