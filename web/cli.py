"""The command line: `zhiyin …`. Other parts add commands through entry points `zhiyin.commands`."""

import sys
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import click
from redis.exceptions import ConnectionError as NoRedis
from sqlalchemy.exc import ArgumentError, OperationalError

from store import migrate
from store.clock import now
from store.embedded import EmbeddedServerError
from store.errors import Refusal
from web import doctor, grasp, imports, introduce, letters, people, run
from web.entrance import read_settings, servers

_GROUP = "zhiyin.commands"


class _Commands(click.Group):
    """Own commands, and those of entry points, which are imported only when they are run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *_entries()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        own = super().get_command(ctx, cmd_name)
        entry = _entries().get(cmd_name)
        if own is not None or entry is None:
            return own
        command = entry.load()
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List without importing what other parts bring; `zhiyin NAME --help` says more."""
        own = {name: command.get_short_help_str(70) for name, command in self.commands.items()}
        names = self.list_commands(ctx)
        with formatter.section("Commands"):
            formatter.write_dl(
                [(one, own.get(one, f"See `zhiyin {one} --help`.")) for one in names]
            )

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse bytes that are no text: neither a database nor a terminal takes them."""
        if not all(map(_is_text, args)):
            raise click.UsageError("An argument is not UTF-8; set the terminal to UTF-8.")
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Turn what a person can mend into one sentence."""
        try:
            return super().invoke(ctx)
        except (EmbeddedServerError, Refusal) as fault:
            raise click.ClickException(str(fault)) from fault
        except (ArgumentError, OperationalError, NoRedis) as fault:
            what = "Redis" if isinstance(fault, NoRedis) else "The database"
            why = str(getattr(fault, "orig", fault)).splitlines()[0].rstrip(".")
            raise click.ClickException(
                f"{what} cannot be used: {why}. `zhiyin doctor` says what to do."
            ) from fault


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="zhiyin")
def main() -> None:
    """Zhiyin, a WeChat guide assistant for retail brands."""


@main.command("migrate")
def migrate_command() -> None:
    """Bring the database to the newest revision."""
    with servers(read_settings()) as held:
        before = migrate.current(held.database_url)
        migrate.upgrade(held.database_url)
        after = migrate.current(held.database_url)
    change = "already there" if before == after else f"it was at {before or 'nothing'}"
    click.echo(f"The database is at revision {after} ({change}).")


@main.command("doctor")
def doctor_command() -> None:
    """Check settings, servers, migrations, credentials, clock and disk, and say what to do."""
    settings = read_settings()
    findings = doctor.check_settings(settings)
    _show(findings)
    try:
        with servers(settings) as held:
            answers = doctor.check_servers(settings, held, now)
    except EmbeddedServerError as fault:
        answers = [doctor.Finding("servers", is_ok=False, says=str(fault))]
    _show(answers)
    problems = sum(not one.is_ok for one in findings + answers)
    click.echo(f"{problems} of these need you." if problems else "All is well.")
    sys.exit(1 if problems else 0)


for _command in (
    run.serve,
    run.work,
    run.tick,
    imports.import_,
    grasp.understand,
    letters.letters,
    *introduce.COMMANDS,
    *people.COMMANDS,
):
    main.add_command(_command)


def _entries() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=_GROUP)}


def _is_text(word: str) -> bool:
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


def _show(findings: list[doctor.Finding]) -> None:
    for one in findings:
        word = click.style("ok     ", fg="green") if one.is_ok else click.style("problem", fg="red")
        click.echo(f"{word}  {one.subject:<12} {one.says}")


if __name__ == "__main__":
    main()
