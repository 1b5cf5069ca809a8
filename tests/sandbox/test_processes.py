"""The crew: what it starts is watched, and nothing of it is left, however the end comes."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sandbox.processes import Crew, CrewError, free_port
from tests.ctrl_c import hear_ctrl_c

# A hand as difficult as they come: deaf to SIGTERM, with a child in a process group of its own.
_STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], process_group=0)
print(os.getpid(), child.pid, flush=True)
time.sleep(600)
"""
_WILLING = _STUBBORN.replace("SIG_IGN", "SIG_DFL")
_PARENT = """
import sys
from pathlib import Path
from sandbox.processes import Crew
with Crew(Path(sys.argv[1])) as crew:
    crew.start("web", [sys.executable, "-c", sys.argv[2]], {})
    crew.start("worker", [sys.executable, "-c", sys.argv[2].replace("SIG_IGN", "SIG_DFL")], {})
    print("started", flush=True)
    crew.watch()
"""
# Far more than is needed, and less than the programs above would last: on a machine with much else
# to do, six interpreters take long to start.
_PATIENCE_SECONDS = 120
_SERVER = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1"]


@pytest.mark.parametrize(
    ("number", "program"),
    [
        (signal.SIGINT, _STUBBORN),
        (signal.SIGTERM, _WILLING),
        (signal.SIGHUP, _WILLING),
        (signal.SIGKILL, _STUBBORN),
    ],
)
def test_nothing_is_left_running_when_the_parent_gets(
    number: signal.Signals, program: str, tmp_path: Path
) -> None:
    with _parent(tmp_path, program) as parent:
        pids = _pids(tmp_path / "web.log") + _pids(tmp_path / "worker.log")

        os.killpg(parent.pid, number)
        parent.wait(_PATIENCE_SECONDS)

        assert len(pids) == 4
        assert _within(_PATIENCE_SECONDS, lambda: not any(_runs(pid) for pid in pids))


def test_crew_names_the_dead_and_its_last_words(tmp_path: Path) -> None:
    with Crew(tmp_path) as crew:
        crew.start("worker", [sys.executable, "-c", "print('I give up'); raise SystemExit(3)"], {})

        with pytest.raises(CrewError) as told:
            crew.watch(_PATIENCE_SECONDS)

    assert str(told.value) == (
        "The worker process ended by itself (exit code 3). "
        f"The end of {tmp_path / 'worker.log'}:\nI give up"
    )


def test_crew_notices_when_a_hand_is_killed(tmp_path: Path) -> None:
    with Crew(tmp_path) as crew:
        crew.start("worker", [sys.executable, "-c", _STUBBORN], {})
        pids = _pids(tmp_path / "worker.log")
        os.kill(pids[0], signal.SIGKILL)

        with pytest.raises(CrewError, match=r"worker .*exit code 137"):
            crew.watch(_PATIENCE_SECONDS)

    assert [_runs(pid) for pid in pids] == [False, False]


def test_crew_waits_until_a_server_answers(tmp_path: Path) -> None:
    port = _some_port()
    with Crew(tmp_path) as crew:
        crew.start("web", [*_SERVER, str(port)], {})

        crew.wait_until_answers(f"http://127.0.0.1:{port}/", _PATIENCE_SECONDS)

    assert free_port(port) == port


def test_crew_says_so_when_a_server_never_answers(tmp_path: Path) -> None:
    port = _some_port()

    with Crew(tmp_path) as crew, pytest.raises(CrewError, match=r"did not answer within 0 s"):
        crew.wait_until_answers(f"http://127.0.0.1:{port}/", 0.2)


def test_a_busy_port_is_replaced_in_one_sentence() -> None:
    said: list[str] = []
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]

        other = free_port(port, said.append)

    assert other != port
    assert said == [f"Port {port} is busy; using {other} instead."]


def test_a_port_is_kept_from_another_demo_before_anybody_listens() -> None:
    said: list[str] = []
    port = _some_port()

    ports = [free_port(port, said.append), free_port(port, said.append)]

    assert ports[0] == port != ports[1]
    assert said == [f"Port {port} is busy; using {ports[1]} instead."]


def _some_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _parent(logs: Path, program: str) -> Iterator[subprocess.Popen[bytes]]:
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT, str(logs), program],
        stdout=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=hear_ctrl_c,
    )
    assert parent.stdout is not None
    try:
        with parent.stdout as lines:
            assert lines.readline() == b"started\n"
            yield parent
    finally:
        # Left running after a failure, it would be warned about in the middle of another test.
        parent.kill()
        parent.wait()


def _pids(log: Path) -> list[int]:
    assert _within(_PATIENCE_SECONDS, lambda: log.read_text().endswith("\n"))
    return [int(word) for word in log.read_text().split()]


def _runs(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def _within(seconds: float, happens: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not happens():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
