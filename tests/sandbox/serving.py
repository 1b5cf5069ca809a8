"""A real web server on a loopback port, in a thread, for the length of a `with`."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from web.corking import CorkedHttp

_SECONDS_TO_START = 60.0


@contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """Serve an application and give its address."""
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="critical", http=CorkedHttp)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield f"http://127.0.0.1:{_port(server)}"
    finally:
        server.should_exit = True
        thread.join()


def _port(server: uvicorn.Server) -> int:
    end = time.monotonic() + _SECONDS_TO_START
    while not server.started:
        assert time.monotonic() < end, "The test server did not start."
        time.sleep(0.01)
    port: int = server.servers[0].sockets[0].getsockname()[1]
    return port
