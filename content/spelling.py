"""Chinese as it is typed: traditional characters made simplified, and words as they sound.

`traditional.txt` holds pairs of a traditional and its simplified character, and of a wrong one that
is widely typed for another. `syllables.txt` holds,
for each syllable of pinyin, the first character that has it in the first level of GB 2312, whose
3,755 characters stand in the order of their sounds (GB 2312-1980): so a character's syllable is
found by halving. Of a character with several readings this knows one, which is enough to compare.
"""

from bisect import bisect_right
from functools import cache
from pathlib import Path

_HERE = Path(__file__).parent
_FIRST, _LAST = (letter.encode("gb2312") for letter in "啊座")


def simplified(text: str) -> str:
    """The text with traditional characters replaced; all others stay."""
    return text.translate(_pairs())


def sounds(text: str) -> str:
    """The text as toneless pinyin, small letters; what has no pinyin stays as it is."""
    return "".join(map(_syllable, text))


@cache
def _syllable(letter: str) -> str:
    try:
        code = letter.encode("gb2312")
    except UnicodeEncodeError:
        return letter
    if not _FIRST <= code <= _LAST:
        return letter.lower()
    firsts, syllables = _syllables()
    return syllables[bisect_right(firsts, code) - 1]


@cache
def _pairs() -> dict[int, str]:
    words = (_HERE / "traditional.txt").read_text().split()
    return {ord(pair[0]): pair[1] for pair in words}


@cache
def _syllables() -> tuple[list[bytes], list[str]]:
    words = (_HERE / "syllables.txt").read_text().split()
    return [word[0].encode("gb2312") for word in words], [word[1:] for word in words]
