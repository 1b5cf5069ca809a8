"""`zhiyin letters`: messages that wait for a person's decision, without the console."""

import click

from bot import dead_letters
from store import circuits, clock
from web.entrance import read_settings, record

_ACTOR = "cli"
_ACTS = {
    "retry": dead_letters.retry,
    "confirm": dead_letters.confirm,
    "drop": dead_letters.drop,
}


@click.group("letters")
def letters() -> None:
    """Messages that did not get through, or may not have: list, retry, confirm, drop."""


@letters.command("list")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
def listed(limit: int) -> None:
    """Show the open letters, the oldest first, and the ways that are paused now."""
    with record(read_settings()) as database, database.transaction() as session:
        for one in circuits.troubled(session):
            until = f"{one.retry_at:%Y-%m-%d %H:%M:%S}Z" if one.retry_at else "-"
            click.echo(f"paused  {one.channel} of {one.account}: {one.reason}, until {until}")
        found = dead_letters.waiting(session, limit=limit)
        for letter in found:
            state = "unknown" if letter.is_unknown else "failed"
            facts = (letter.letter.token, state, letter.touch.channel, letter.letter.reason)
            click.echo("  ".join(facts))
    click.echo(f"{len(found)} letters wait." if found else "No letter waits.")


def _command(name: str, says: str) -> click.Command:
    @click.argument("token")
    def decide(token: str) -> None:
        with record(read_settings()) as database, database.transaction() as session:
            touch = _ACTS[name](session, token, actor=_ACTOR, now=clock.now())
            state = touch.state.value
        click.echo(f"Done; the message is {state} now.")

    return click.command(name, help=says)(decide)


letters.add_command(_command("retry", "Ask the gate for the message once more."))
letters.add_command(_command("confirm", "The message arrived after all."))
letters.add_command(_command("drop", "Let it be; an unknown one did not arrive."))
