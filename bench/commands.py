"""`zhiyin bench NAME`, which joins the command line as an entry point."""

from collections.abc import Callable
from functools import partial

import click

from bench import callback, gate

_BENCHES: dict[str, Callable[[], None]] = {
    "callback": callback.run,
    "gate": gate.run,
    "gate-large": partial(gate.run, is_large=True),
}


@click.command("bench")
@click.argument("name", type=click.Choice(sorted(_BENCHES)))
def bench(name: str) -> None:
    """Measure one thing beside a peer or the floor, and print a table and a JSON line."""
    _BENCHES[name]()
