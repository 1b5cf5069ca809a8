"""A loaded demo to start from, made once; every test gets a copy of its own."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.showing import INTERRUPTED, Show, left_running


@pytest.fixture(scope="session")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The `var` of a demo that was ended by Ctrl-C after its data had been loaded."""
    var = tmp_path_factory.mktemp("loaded") / "var"
    with Show(var) as show:
        show.until("starting the sandbox")
        assert show.interrupt() == INTERRUPTED
    assert left_running(var) == []
    yield var
    shutil.rmtree(var)


@pytest.fixture
def fresh_var(tmp_path: Path) -> Iterator[Path]:
    """A `var` where nothing was ever run; nothing of it is left, not even when the test fails."""
    yield tmp_path / "var"
    shutil.rmtree(tmp_path / "var", ignore_errors=True)


@pytest.fixture
def var(loaded: Path, fresh_var: Path) -> Path:
    """A copy of the loaded demo."""
    subprocess.run(["/bin/cp", "-a", str(loaded), str(fresh_var)], check=True)
    return fresh_var
