"""The deployment's secret: made once, as a whole, and never empty."""

from pathlib import Path

import pytest

from store import settings as module
from store.settings import EmptySecret, Settings


def test_the_secret_of_the_first_process_is_everybodys(tmp_path: Path) -> None:
    path = tmp_path / "secret_key"
    first = Settings(var_dir=tmp_path).secret

    # A process that had looked before the file was there.
    module._make_secret(path)

    assert Settings(var_dir=tmp_path).secret == first
    assert (len(first), path.stat().st_mode & 0o777) == (64, 0o600)
    assert list(tmp_path.iterdir()) == [path]


def test_an_empty_secret_signs_nothing(tmp_path: Path) -> None:
    """What a process leaves that is killed, or finds the disk full, between making and writing."""
    (tmp_path / "secret_key").touch()

    with pytest.raises(EmptySecret):
        _ = Settings(var_dir=tmp_path).secret
