"""`zhiyin understand`: what the bot makes of a sentence, and the file of its exemplars."""

import click

from bot import sentences, understanding
from bot.understanding import Understood
from content import exemplars
from content.phrases import Intent

_NOTHING = "nothing that is done here"


@click.command("understand")
@click.argument("words", required=False)
@click.option("--learn", is_flag=True, help="Put the exemplars on file after a change of theirs.")
def understand(words: str | None, *, learn: bool) -> None:
    """Print which wish WORDS express: intent, score and runner-up."""
    if learn:
        texts = [exemplar.text for exemplar in exemplars.load()]
        click.echo(f"{len(sentences.not_on_file(texts))} of {len(texts)} exemplars are new.")
        sentences.keep(texts)
    if words:
        click.echo(_told(understanding.understand(words)))


def _told(found: Understood) -> str:
    asks = ", ".join(found.choices)
    first = f"asks which of: {asks}" if found.choices else _name(found.intent)
    told = f"{first}  score {found.score:.2f}"
    if found.runner_up_score:
        told += f"  runner-up {_name(found.runner_up)} {found.runner_up_score:.2f}"
    return told


def _name(intent: Intent | None) -> str:
    return intent.value if intent else _NOTHING
