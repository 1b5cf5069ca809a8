"""`zhiyin bench NAME`, which joins the command line as an entry point."""

from collections.abc import Callable
from functools import partial

import click

from bench import callback, delivery, gate, launch, workbench

_BENCHES: dict[str, Callable[[], None]] = {
    "callback": callback.run,
    "delivery": delivery.run,
    "gate": gate.run,
    "gate-large": partial(gate.run, is_large=True),
    "launch": launch.run,
}
_SIZED = "workbench"


@click.command("bench")
@click.argument("name", type=click.Choice(sorted([*_BENCHES, _SIZED])))
@click.option("--members", default=workbench.MEMBERS, help="The size of `workbench`.")
def bench(name: str, members: int) -> None:
    """Measure one thing beside a peer or the floor, and print a table and a JSON line."""
    if name == _SIZED:
        workbench.run(members)
        return
    _BENCHES[name]()
