"""What the understanding makes of a labelled set, and how that is counted."""

import csv
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bot.understanding import Understood, understand

OUT_OF_SCOPE = "out_of_scope"
_FOLDER = Path(__file__).parent
_CHOICE, _FALLBACK = "(choice)", "(fallback)"


@dataclass(frozen=True)
class Utterance:
    """A line of a set: what is said, which wishes are right, and what makes it hard."""

    text: str
    intents: frozenset[str]
    kind: str


@dataclass(frozen=True)
class Judged:
    """One utterance with what became of it."""

    utterance: Utterance
    outcome: str
    is_right: bool
    is_handed: bool


@dataclass(frozen=True)
class Figures:
    """Shares of a set; `handed_in_scope` leaves out the lines that ask for nothing."""

    right_of_answered: float
    handed: float
    handed_in_scope: float


def utterances(name: str) -> list[Utterance]:
    """The set of that name."""
    with (_FOLDER / f"{name}.csv").open(newline="") as file:
        return [
            Utterance(row["text"], frozenset(row["intent"].split("|")), row["kind"])
            for row in csv.DictReader(file)
        ]


def judged(said: Iterable[Utterance]) -> list[Judged]:
    """Each utterance understood and compared with its label."""
    return [_judge(one, understand(one.text)) for one in said]


def figures(judgements: list[Judged]) -> Figures:
    """The shares that the issue names."""
    answered = [one for one in judgements if not one.is_handed]
    in_scope = [one for one in judgements if OUT_OF_SCOPE not in one.utterance.intents]
    return Figures(
        right_of_answered=sum(one.is_right for one in answered) / len(answered),
        handed=sum(one.is_handed for one in judgements) / len(judgements),
        handed_in_scope=sum(one.is_handed for one in in_scope) / len(in_scope),
    )


def table(judgements: list[Judged]) -> str:
    """By kind, and every utterance that was not answered rightly."""
    kinds = Counter(one.utterance.kind for one in judgements)
    lines = [f"{'kind':<12}{'all':>5}{'right':>7}{'handed':>8}{'wrong':>7}"]
    for kind, total in sorted(kinds.items()):
        ones = [one for one in judgements if one.utterance.kind == kind]
        handed = sum(one.is_handed for one in ones)
        right = sum(one.is_right for one in ones)
        lines.append(f"{kind:<12}{total:>5}{right:>7}{handed:>8}{total - right - handed:>7}")
    for one in judgements:
        if not one.is_right:
            wanted = "|".join(sorted(one.utterance.intents))
            word = "handed" if one.is_handed else "WRONG"
            lines.append(f"{word:<7}{wanted} -> {one.outcome}: {one.utterance.text}")
    return "\n".join(lines)


def _judge(said: Utterance, found: Understood) -> Judged:
    """Of two wishes either is right, and so is the question; nothing asked wants the fallback."""
    if found.choices:
        is_right = said.kind == "two"
        return Judged(said, f"{_CHOICE} {'/'.join(found.choices)}", is_right, not is_right)
    if found.intent is None:
        is_right = OUT_OF_SCOPE in said.intents
        return Judged(said, _FALLBACK, is_right, not is_right)
    return Judged(said, found.intent, found.intent in said.intents, is_handed=False)
