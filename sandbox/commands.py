"""`zhiyin demo` and `zhiyin sandbox`, which join the command line as entry points."""

import sys
from pathlib import Path

import click
from rich.console import Console

from sandbox import app
from sandbox import demo as stageplay
from sandbox.actors import ActorStuck
from sandbox.processes import CrewError
from web.entrance import read_settings

_MIN_MEMBERS = 20
_STOPPED = "Everything else has been stopped. The same command goes on with what is there."


@click.command("demo")
@click.option(
    "--once", is_flag=True, help="Play the whole case without a person, write the report."
)
@click.option("--members", type=click.IntRange(min=_MIN_MEMBERS), help="Load a slice of the data.")
def demo(*, once: bool, members: int | None) -> None:
    """Run the classic case on real retail data, on this machine."""
    settings = read_settings()
    console = Console()
    try:
        stageplay.run(stageplay.Demo(settings, console, members), is_once=once)
    except BaseException as fault:
        if _is_ctrl_c(fault):
            console.print("Stopped: every process of the demo has ended.")
            sys.exit(130)
        if isinstance(fault, stageplay.DemoRunsError):
            raise click.ClickException(str(fault)) from fault
        if isinstance(fault, ActorStuck | CrewError):
            raise click.ClickException(f"{fault}\n{_STOPPED}") from fault
        raise


def _is_ctrl_c(fault: BaseException | None) -> bool:
    """Whether Ctrl-C is at the bottom: where it meets a driver's cleaning up, that may fail too."""
    while fault is not None and not isinstance(fault, KeyboardInterrupt):
        fault = fault.__cause__ or fault.__context__
    return fault is not None


@click.command("sandbox")
@click.option("--port", type=click.IntRange(1, 65535), default=8100, show_default=True)
@click.option(
    "--receipts",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Add what people receive to this file, one JSON object a line.",
)
def sandbox(port: int, receipts: Path | None) -> None:
    """Run the stand-in for WeChat's and WeCom's servers alone."""
    app.run(port, receipts=receipts)
