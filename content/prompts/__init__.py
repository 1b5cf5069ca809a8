"""What a language model is told before it hears a member."""

from pathlib import Path

_FOLDER = Path(__file__).parent


def assistant() -> str:
    """The rules of the assistant that answers members."""
    return (_FOLDER / "assistant.txt").read_text().strip()
