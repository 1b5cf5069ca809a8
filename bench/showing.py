"""How a measurement is told: a table for people, and one JSON line for machines (design.md §7)."""

import json
from collections.abc import Mapping, Sequence
from statistics import median

from rich.console import Console
from rich.table import Table


def middle(values: Sequence[float]) -> str:
    """Median and, after it, the range."""
    return f"{median(values):,.1f}  [{min(values):,.1f} to {max(values):,.1f}]"


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table for people; numbers stand to the right."""
    drawn = Table(title=title, title_justify="left")
    for place, column in enumerate(columns):
        drawn.add_column(column, justify="right" if place else "left")
    for row in rows:
        drawn.add_row(*row)
    Console().print(drawn)


def figures(bench: str, values: Mapping[str, float]) -> None:
    """Print the line that machines read; it must be the last one."""
    rounded = {name: round(value, 3) for name, value in values.items()}
    print(json.dumps({"bench": bench, "figures": rounded}))
