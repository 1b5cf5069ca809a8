"""Understanding: what a sentence asks for, by the words of the house first and then by meaning.

A wish is taken as understood when it leads by a margin; when several are close the person is asked.
The numbers were chosen on tests/understanding/development.csv, never on the set that measures them.
"""

import re
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from threading import Lock

from bot.likeness import Likeness
from content import denials, exemplars, keywords
from content.phrases import Intent

# Below, the sentence is like nothing that is known.
_FLOOR = 0.3
# How far the best must lead to need no question.
_MARGIN = 0.13
# How far behind the best another wish may be to be offered as a choice.
_WITHIN = 0.3
# Half a sentence must be clearer than a whole one to count as a wish of its own.
_CLEAR = 0.8
_MOST_CHOICES = 3
# What is meant stands early; a longer text would only take longer.
_MOST_LETTERS = 200
_SMALL_TALK = frozenset({Intent.GREETING, Intent.THANKS, Intent.CANCEL})
# Nobody taps "say hello", and "none of these" is the help.
_NO_CHOICE = _SMALL_TALK | {Intent.HELP}
# Words of pinyin are parted by spaces, wishes are not.
_MARKS = r"[,.!?;~，。！？；、～…]+|(?<=[^\x00-\xff])\s+"
# People say the same again and again.
_REMEMBERED = 2048
_opening = Lock()


@dataclass(frozen=True)
class Understood:
    """One wish, or several to choose from, or neither: then it is nothing that is done here."""

    intent: Intent | None = None
    choices: tuple[Intent, ...] = ()
    score: float = 0.0
    runner_up: Intent | None = None
    runner_up_score: float = 0.0


@lru_cache(_REMEMBERED)
def understand(text: str) -> Understood:
    """What the sentence asks for."""
    text = text[:_MOST_LETTERS]
    whole = _guess(text)
    if whole.intent is None and not whole.choices:
        return whole
    wishes = _wishes_of_parts(text)
    if len(wishes) > 1:
        return replace(whole, intent=None, choices=wishes[:_MOST_CHOICES])
    if wishes and (whole.choices or whole.intent is Intent.CANCEL):
        return replace(whole, intent=wishes[0], choices=())
    return whole


def warm() -> None:
    """Open the model before the first sentence comes."""
    _likeness()


def _guess(text: str) -> Understood:
    """What the text as a whole asks for, and not what it says is not wanted."""
    word = keywords.wish(text)
    if word is not None:
        return Understood(word, score=1.0)
    found = _nearest(text)
    best = found.intent or next(iter(found.choices), None)
    instead = denials.without(text, best) if best is not None else None
    return found if instead is None else replace(found, intent=instead, choices=())


def _nearest(text: str) -> Understood:
    """The wish whose exemplars the text is most like, or those that are close."""
    scores = _likeness().scores(text)
    best, *others = sorted(scores, key=scores.__getitem__, reverse=True)
    # What the words deny is no rival and no choice.
    ranked = [best, *(one for one in others if not (one and denials.without(text, one)))]
    second = ranked[1]
    found = Understood(best, (), scores[best], second, scores[second])
    if found.score < _FLOOR:
        return replace(found, intent=None)
    if found.score - found.runner_up_score >= _MARGIN:
        return found
    close = [wish for wish in ranked[:_MOST_CHOICES] if found.score - scores[wish] <= _WITHIN]
    choices = tuple(wish for wish in close if wish and wish not in _NO_CHOICE)
    return replace(found, intent=None, choices=choices) if choices else found


def _wishes_of_parts(text: str) -> tuple[Intent, ...]:
    """The different wishes that parts of the text clearly ask for; courtesies are none."""
    parts = [part for part in re.split(_joints(), text) if _says_enough(part)]
    if len(parts) < 2:
        return ()
    wanting = [part for part in parts if not denials.is_told(part)]
    clear = [guess for guess in map(_guess, wanting) if guess.score >= _CLEAR]
    wishes = dict.fromkeys(guess.intent for guess in clear if guess.intent)
    return tuple(wish for wish in wishes if wish not in _SMALL_TALK)


def _says_enough(part: str) -> bool:
    return len(keywords.normal(part)) > 1 or keywords.wish(part) is not None


@cache
def _joints() -> re.Pattern[str]:
    return re.compile("|".join([_MARKS, *map(re.escape, keywords.joints())]))


def _likeness() -> Likeness:
    with _opening:
        return _read_exemplars()


@cache
def _read_exemplars() -> Likeness:
    return Likeness(exemplars.load())
