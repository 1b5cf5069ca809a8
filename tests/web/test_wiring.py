"""What the parts of a process promise to each other."""

import socket
from time import monotonic

import pytest

from store.jobs import Job
from store.settings import Settings
from web import wiring

# WeChat waits five seconds for an answer, and a nudge is only a part of it.
_MOST_SECONDS = 4.0


def test_nudge_to_a_redis_that_hangs_is_given_up_before_a_callback_is_late(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        urls = {
            "database_url": "postgresql://nobody@127.0.0.1:9/nowhere",
            "redis_url": f"redis://127.0.0.1:{silent.getsockname()[1]}/0",
        }
        with wiring.build(settings.model_copy(update=urls)) as parts:
            began = monotonic()
            parts.database._hand_over((Job.SEND_ANSWER, 1))
            took = monotonic() - began

    assert took < _MOST_SECONDS
    assert "nudge lost: send_answer 1 (TimeoutError)" in caplog.text
