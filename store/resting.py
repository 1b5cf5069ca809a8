"""Connections at rest: whether the server still holds the other end."""

from select import POLLIN, poll
from typing import Any

from psycopg import AsyncConnection, Connection

# In seconds. One that rested longer may be forgotten by a firewall, which tells neither side.
LONG = 30.0


def is_silent(raw: Connection[Any] | AsyncConnection[Any]) -> bool:
    """A server that is well says nothing unasked; a look at the socket tells, without a trip."""
    if raw.closed:
        return False
    line = poll()
    line.register(raw.fileno(), POLLIN)
    return not line.poll(0)
