"""Thousands of touches through everything that can go wrong: afterwards every account agrees.

ZHIYIN_CHAOS_TOUCHES says how many; `make chaos` asks for 20,000.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from store import clock
from tests.chaos.ground import Ground
from tests.chaos.storm import Storm

pytestmark = pytest.mark.chaos

_TOUCHES = int(os.environ.get("ZHIYIN_CHAOS_TOUCHES", "20000"))
# Enough for a fault to show.
_FEW = 200


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """A line for whoever watches."""

    def tell(sentence: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"{sentence}\n")
            sys.stdout.flush()

    return tell


@pytest.fixture
def own_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a storm does to this process's clock ends with it."""
    (tmp_path / "clock").write_text("0")
    monkeypatch.setenv(clock.SHIFT_FILE, str(tmp_path / "clock"))


@contextmanager
def _storm(ground: Ground, touches: int, say: Callable[[str], None]) -> Iterator[Storm]:
    storm = Storm(ground, touches, say)
    try:
        yield storm
    finally:
        storm.close()


@pytest.mark.usefixtures("own_clock")
def test_every_promise_to_members_outlasts_a_storm(
    fresh_var: Path, say: Callable[[str], None]
) -> None:
    say("")
    with Ground(fresh_var) as ground, _storm(ground, _TOUCHES, say) as storm:
        storm.prepare()
        storm.rage()
        storm.settle()
        found, facts = storm.reckon(), storm.facts()
    for name, counts in facts.items():
        say(f"  {name}: " + ", ".join(f"{what} {counts[what]}" for what in sorted(counts)))

    assert found == []


@pytest.mark.usefixtures("own_clock")
@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        ("tries again", "was received 2 times"),
        ("believes it went", "was received 0 times"),
        ("counts nothing", "where 2 are allowed"),
    ],
)
def test_a_storm_finds_a_house_that(
    fault: str, complaint: str, fresh_var: Path, say: Callable[[str], None]
) -> None:
    careless = ("tests.chaos.careless", fault)
    worker = (sys.executable, "-m", *careless, "web.cli", "worker")
    with Ground(fresh_var, worker) as ground, _storm(ground, _FEW, say) as storm:
        storm.prepare(asker=(*careless, "tests.chaos.asker"))
        storm.rage()
        storm.settle()
        found = storm.reckon()

    assert any(complaint in line for line in found), found
