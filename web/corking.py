"""Corking: what one turn of the event loop writes to a connection goes out as one.

A response comes as its head and its body. Sent one by one they cost two calls of the system, in
which this process does nothing else, and wake who waits for them twice (decision 0008).
"""

from asyncio import AbstractEventLoop, Transport
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# In bytes. What is sent in pieces that are not waited for must not pile up here.
_MOST = 64 * 1024


class Corked:
    """A transport that holds what is written until the loop comes round."""

    def __init__(self, transport: Transport, loop: AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._held: list[bytes] = []
        self._size = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Hold some more."""
        if not self._held:
            self._loop.call_soon(self._pull)
        self._held.append(data)
        self._size += len(data)
        if self._size > _MOST:
            self._pull()

    def close(self) -> None:
        """Send what is held, then close."""
        self._pull()
        self._transport.close()

    def _pull(self) -> None:
        if self._held and not self._transport.is_closing():
            self._transport.write(b"".join(self._held))
        self._held.clear()
        self._size = 0


class CorkedHttp(HttpToolsProtocol):
    """HTTP over a corked connection."""

    def connection_made(  # type: ignore[override]  # uvicorn narrows it in the same way
        self, transport: Transport
    ) -> None:
        """Cork it."""
        corked: Any = Corked(transport, self.loop)
        super().connection_made(corked)
