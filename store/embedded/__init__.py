"""Servers of our own when the settings name none: PostgreSQL and Valkey from wheels (design.md §5).

One keeper process per `var_dir` owns both servers. Who uses them holds a connection to the keeper;
when the last holder is gone, however it went, the keeper stops the servers and goes, too.
"""

from store.embedded.hold import Servers, hold_servers
from store.embedded.process import EmbeddedServerError

__all__ = ["EmbeddedServerError", "Servers", "hold_servers"]
