"""Ctrl-C at any moment: one sentence about what was done, and nothing is left running."""

from pathlib import Path

import pytest

from tests.chaos.showing import INTERRUPTED, Show, left_running

pytestmark = pytest.mark.chaos


@pytest.mark.parametrize(
    "moment", ["Making the database", "bringing the database", "loading a year", "orders: write"]
)
def test_nothing_is_left_after_ctrl_c_in_a_first_run(fresh_var: Path, moment: str) -> None:
    with Show(fresh_var) as show:
        show.until(moment)
        code, told = show.interrupt(), show.said()

        assert (code, left_running(fresh_var)) == (INTERRUPTED, [])
        assert told.endswith("Stopped: every process of the demo has ended. ")


@pytest.mark.parametrize("moment", ["starting the sandbox", "introducing members", "Ctrl-C stops"])
def test_nothing_is_left_after_ctrl_c_in_a_later_run(var: Path, moment: str) -> None:
    with Show(var) as show:
        show.until(moment)
        code, told = show.interrupt(), show.said()

        assert (code, left_running(var)) == (INTERRUPTED, [])
        assert told.endswith("Stopped: every process of the demo has ended. ")


@pytest.mark.parametrize(
    "moment", ["HQ picks", "guides open", "guides confirm", "members open", "the deadline passes"]
)
def test_nothing_is_left_after_ctrl_c_in_the_middle_of_the_case(var: Path, moment: str) -> None:
    with Show(var, "--once") as show:
        show.until(moment)
        code, told = show.interrupt(), show.said()

        assert (code, left_running(var)) == (INTERRUPTED, [])
        assert told.endswith("Stopped: every process of the demo has ended. ")
