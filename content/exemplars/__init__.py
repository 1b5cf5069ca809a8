"""What members say for each wish, one sentence a line, and what they say that is no wish here.

`vectors.npz` holds the sentences as the model of `bot.sentences` sees them, so that a process need
not read a thousand sentences before its first answer. `zhiyin understand --learn` writes it anew.
"""

from dataclasses import dataclass
from pathlib import Path

from content.phrases import Intent

FOLDER = Path(__file__).parent
VECTORS = FOLDER / "vectors.npz"
_OUT_OF_SCOPE = "out_of_scope"


@dataclass(frozen=True)
class Exemplar:
    """A sentence and the wish behind it; none when it asks for nothing that is done here."""

    text: str
    intent: Intent | None


def load() -> list[Exemplar]:
    """Every exemplar, always in the same order."""
    return [
        Exemplar(line, None if path.stem == _OUT_OF_SCOPE else Intent(path.stem))
        for path in sorted(FOLDER.glob("*.txt"))
        for line in path.read_text().splitlines()
    ]
