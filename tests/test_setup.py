"""Set-up and make: from nothing to an installation, and one clear sentence when it cannot be."""

import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[1]
_FILES = (".ci", "Makefile", "pyproject.toml", "requirements.lock")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The files of the set-up in a folder with an awkward name, and no .venv."""
    folder = tmp_path / "a checkout, 知音"
    folder.mkdir()
    for name in _FILES:
        source = _ROOT / name
        copy = shutil.copytree if source.is_dir() else shutil.copy2
        copy(source, folder / name)
    return folder


def test_setup_asks_for_python_when_there_is_none_new_enough(
    checkout: Path, tmp_path: Path
) -> None:
    old = tmp_path / "bin"
    old.mkdir()
    for tool in ("bash", "sh", "cat", "cksum", "dirname", "flock", "mkdir"):
        (old / tool).symlink_to(str(shutil.which(tool)))
    (old / "python3").write_text("#!/bin/sh\nexit 1\n")
    (old / "python3").chmod(0o755)

    done = _run(checkout, ["bash", ".ci/setup"], {"PATH": str(old)})

    assert done.returncode == 1
    assert "Zhiyin needs Python 3.11 or newer with its venv module" in done.stdout
    assert not (checkout / ".venv").exists()


def test_setup_leaves_no_stamp_when_the_installation_fails(checkout: Path) -> None:
    done = _run(checkout, ["bash", ".ci/setup"], {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": ""})

    assert done.returncode == 1
    assert "Run the same command again to take it up." in done.stdout
    assert not (checkout / ".venv/.installed").exists()


def test_setup_makes_an_unfinished_venv_anew(checkout: Path) -> None:
    (checkout / ".venv/bin").mkdir(parents=True)
    (checkout / ".venv/bin/python").write_text("#!/bin/sh\nexit 1\n")

    done = _run(checkout, ["bash", ".ci/setup"], {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": ""})

    assert "making it anew" in done.stdout
    assert _run(checkout, [".venv/bin/python", "-m", "pip", "--version"], {}).returncode == 0


def test_setup_does_nothing_when_the_stamp_agrees(checkout: Path) -> None:
    (checkout / ".venv/bin").mkdir(parents=True)
    (checkout / ".venv/bin/python").symlink_to(shutil.which("true") or "")
    fingerprint = "{ pwd -P; cat requirements.lock pyproject.toml; } | cksum"
    stamp = _run(checkout, ["bash", "-c", fingerprint], {}).stdout
    (checkout / ".venv/.installed").write_text(stamp)

    done = _run(checkout, ["make", "setup"], {})

    assert (done.returncode, done.stdout) == (0, "")


def test_make_names_its_targets_in_a_path_with_spaces(checkout: Path) -> None:
    said = _run(checkout, ["make"], {}).stdout

    targets = re.findall(r"^  make (\w+) ", said, re.MULTILINE)

    wanted = {"demo", "test", "lint", "fix", "races", "journeys", "chaos", "bench", "migrate"}
    assert set(targets) >= wanted | {"clean", "lock"}


def test_ci_runs_make_test_and_nothing_else() -> None:
    commands = [
        line for line in (_ROOT / ".ci/run").read_text().splitlines() if not line.startswith("#")
    ]

    assert commands == [
        "set -eu",
        'cd "$(dirname "$0")/.."',
        "CI=${CI:-1} exec make test </dev/null",
    ]


def test_lock_pins_every_dependency_with_hashes() -> None:
    lock = (_ROOT / "requirements.lock").read_text()
    blocks = [block for block in re.split(r"\n(?=\S)", lock) if not block.startswith("#")]
    pinned = {_name(block.split("==")[0]) for block in blocks}
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    wanted = {_name(one) for one in [*project["dependencies"], *(x for e in extras for x in e)]}

    assert [block for block in blocks if "==" not in block or "--hash=sha256:" not in block] == []
    assert wanted - pinned == set()
    assert "://" not in lock


def _run(
    folder: Path, command: list[str], environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    program = shutil.which(command[0]) or command[0]
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    return subprocess.run(
        [program, *command[1:]],
        cwd=folder,
        env={**inherited, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def _name(requirement: str) -> str:
    bare = re.split(r"[\[=<>;! ]", requirement.strip())[0]
    return bare.lower().replace("_", "-")
