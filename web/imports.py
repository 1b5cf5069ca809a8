"""`zhiyin import KIND FILE.csv`: the importers at the command line (docs/import.md)."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from store import clock, silences
from store.imports.run import KINDS, Options, Report, import_file
from store.imports.staging import Progress as Watcher
from web.entrance import read_settings, record

# On a pipe or in a log, a line for every tenth of a step is enough.
_PARTS_OF_A_STEP = 10


@click.command("import")
@click.argument("kind", type=click.Choice(sorted(KINDS)))
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Write nothing; say what would happen.")
@click.option(
    "--errors",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where refused rows go with their reasons; FILE.errors.csv otherwise.",
)
@click.option("--brand", help="Code of the brand; the only one otherwise.")
@click.option("--source", default="csv", show_default=True, help="Where the orders come from.")
@click.option("--account", help="The appid of the official account that the openids belong to.")
@click.option(
    "--wecom-account", help="The corp id of the WeCom that the external_userids belong to."
)
def import_(  # noqa: PLR0913 -- click hands every option over by name
    kind: str,
    file: Path,
    *,
    dry_run: bool,
    errors: Path | None,
    brand: str | None,
    source: str,
    account: str | None,
    wecom_account: str | None,
) -> None:
    """Import members, orders, products, shops, guides or coupon plans from a CSV file."""
    options = Options(
        brand=brand,
        source=source,
        wechat_account=account,
        wecom_account=wecom_account,
        errors_path=errors,
        is_dry_run=dry_run,
    )
    settings = read_settings()
    with record(settings) as database, watcher(kind) as progress:
        report = import_file(
            database, kind, file, options=options, progress=progress, now=clock.now()
        )
        # Whoever was erased is not to hear from us because a file brought the number back.
        with database.transaction() as session:
            silences.recall_all(session, secret_key=settings.secret, now=clock.now())
    for line in told(report):
        click.echo(line)
    if report.refused:
        sys.exit(1)


def told(report: Report) -> Iterator[str]:
    """What happened, in sentences."""
    if report.ignored_columns:
        yield f"Columns that are not read: {', '.join(report.ignored_columns)}."
    verb = "Dry run, nothing was written; this would be:" if report.is_dry_run else "Done:"
    yield (
        f"{verb} {report.added:,} {report.kind} added, {report.updated:,} updated,"
        f" {report.unchanged:,} unchanged; {report.refused:,} of {report.rows:,} rows refused."
    )
    for complaint in report.complaints:
        yield f"  {complaint}"
    if report.refused > len(report.complaints):
        yield f"  … and {report.refused - len(report.complaints):,} more."
    if report.errors_path:
        yield f"The refused rows are in {report.errors_path}; mend them and import that file."


@contextmanager
def watcher(subject: str) -> Iterator[Watcher]:
    """Shows progress on standard error: a bar on a terminal, plain lines elsewhere."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines(subject)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        yield _Bars(progress, subject)


class _Bars:
    """One bar per step."""

    def __init__(self, progress: Progress, subject: str) -> None:
        self._progress, self._subject = progress, subject
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, step: str, done: int, total: int) -> None:
        if step not in self._tasks:
            self._tasks[step] = self._progress.add_task(f"{self._subject}: {step}")
        # A step that tells nothing on its way pulses until it is over.
        known = total if total > 1 or done else None
        self._progress.update(self._tasks[step], completed=done, total=known)


class _Lines:
    """A line when a step begins and at every tenth of it."""

    def __init__(self, subject: str) -> None:
        self._subject = subject
        self._said: dict[str, int] = {}

    def __call__(self, step: str, done: int, total: int) -> None:
        part = done * _PARTS_OF_A_STEP // max(total, 1)
        if part > self._said.get(step, -1):
            self._said[step] = part
            percent = part * 100 // _PARTS_OF_A_STEP
            click.echo(f"{self._subject}: {step} {percent}%", err=True)
