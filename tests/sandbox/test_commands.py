"""The demo's command tells Ctrl-C from a fault, whatever it came through."""

import fcntl
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from sandbox import commands, demo
from sandbox.processes import CrewError


def _pressed() -> None:
    raise KeyboardInterrupt


def _pressed_while_a_driver_cleans_up() -> None:
    try:
        raise KeyboardInterrupt
    finally:
        raise RuntimeError("can't change 'autocommit' now")


def _somebody_fell() -> None:
    raise CrewError("The worker process ended by itself (exit code 137).")


@pytest.mark.parametrize(
    ("what", "code", "told"),
    [
        (_pressed, 130, "every process of the demo has ended"),
        (_pressed_while_a_driver_cleans_up, 130, "every process of the demo has ended"),
        (_somebody_fell, 1, "Everything else has been stopped"),
    ],
)
def test_demo_ends_with_a_sentence(
    what: Callable[[], None], code: int, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "run", lambda *_args, **_facts: what())

    found = CliRunner().invoke(commands.demo, ["--once"])

    assert found.exit_code == code
    assert told in " ".join(found.output.split())


def test_fault_of_the_demo_itself_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object, **_facts: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(demo, "run", fail)

    assert isinstance(CliRunner().invoke(commands.demo, ["--once"]).exception, ZeroDivisionError)


def test_a_second_demo_leaves_the_first_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZHIYIN_VAR_DIR", str(tmp_path))
    monkeypatch.setenv("ZHIYIN_DATABASE_URL", "postgresql://127.0.0.1:1/nobody")
    monkeypatch.setenv("ZHIYIN_REDIS_URL", "redis://127.0.0.1:1/0")

    with (tmp_path / "demo").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = CliRunner().invoke(commands.demo, ["--once"])

    assert found.exit_code == 1
    assert "stop it with Ctrl-C first" in " ".join(found.output.split())
    assert [kept.name for kept in tmp_path.iterdir()] == ["demo"]
