"""How like a sentence is to the exemplars of each wish: by meaning, and by sound.

Meaning is the cosine of the sentences' vectors, seen from their middle. Sound is the cosine of
their rare runs of pinyin letters, which finds pinyin, homophones and other slips of the hand that
a model has never read. Two readings of both are added: the nearest exemplars of a wish, and a
ridge regression over all of them, which knows what sets the wishes apart.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from bot import sentences
from content.exemplars import Exemplar
from content.keywords import normal
from content.phrases import Intent
from content.spelling import sounds

Numbers = NDArray[np.float64]

# Chosen on tests/understanding/development.csv; the measure there hardly moves around them.
_SOUND = 0.8
_RIDGE = 0.5
_SMOOTHING = 0.5
_NEAREST = 3
_RUNS = (3, 4, 5)
# What the regression aims at: most exemplars belong to other wishes, so those pull less.
_OURS, _NOT_OURS = 1.9, -0.1


class Likeness:
    """The exemplars, prepared once for many sentences."""

    def __init__(self, exemplars: Sequence[Exemplar]) -> None:
        texts = [exemplar.text for exemplar in exemplars]
        owners = [exemplar.intent for exemplar in exemplars]
        self.wishes: list[Intent | None] = list(dict.fromkeys(owners))
        self._members = [
            np.array([i for i, owner in enumerate(owners) if owner == wish]) for wish in self.wishes
        ]
        self._sound = _Sound(texts)
        rows: Numbers = sentences.kept_vectors(texts).astype(np.float64)
        self._middle: Numbers = rows.mean(axis=0)
        self._rows = self._seen_from_middle(rows)
        self._weights = self._regression(texts)

    def scores(self, text: str) -> dict[Intent | None, float]:
        """How like the text is to each wish, and to no wish at all (none)."""
        alike = self._alike(text, sentences.vectors([text])[0].astype(np.float64))
        near = [np.sort(alike[ones])[-_NEAREST:].mean() for ones in self._members]
        total = np.array(near) + _RIDGE * (alike @ self._weights)
        return dict(zip(self.wishes, map(float, total), strict=True))

    def _alike(self, text: str, vector: Numbers) -> Numbers:
        seen = self._seen_from_middle(vector[None])[0]
        alike: Numbers = self._rows @ seen + _SOUND * self._sound.likeness(text)
        return alike

    def _regression(self, texts: Sequence[str]) -> Numbers:
        """For each exemplar and wish a weight, so that likeness times weights tells the wish."""
        sound = np.stack([self._sound.likeness(text) for text in texts])
        kernel = self._rows @ self._rows.T + _SOUND * sound
        targets = np.full((len(texts), len(self.wishes)), _NOT_OURS)
        for column, ones in enumerate(self._members):
            targets[ones, column] = _OURS
        weights: Numbers = np.linalg.solve(kernel + _SMOOTHING * np.eye(len(texts)), targets)
        return weights

    def _seen_from_middle(self, rows: Numbers) -> Numbers:
        moved = rows - self._middle
        lengths: Numbers = np.sqrt((moved**2).sum(axis=1, keepdims=True))
        return moved / np.maximum(lengths, 1e-9)


class _Sound:
    """An index of the exemplars by their runs of letters, the rare ones weighing more."""

    def __init__(self, texts: Sequence[str]) -> None:
        runs = [Counter(_runs(text)) for text in texts]
        found = Counter(chain.from_iterable(runs))
        self._size = len(texts)
        self._rarity = {run: np.log((1 + len(texts)) / (1 + n)) + 1 for run, n in found.items()}
        self._unknown = np.log(1 + len(texts)) + 1
        self._posts = self._index(runs)

    def likeness(self, text: str) -> Numbers:
        """The cosine with each exemplar."""
        alike = np.zeros(self._size)
        for run, weight in self._weighed(Counter(_runs(text))).items():
            if run in self._posts:
                where, weights = self._posts[run]
                alike[where] += weight * weights
        return alike

    def _index(self, runs: Iterable[Counter[str]]) -> dict[str, tuple[NDArray[np.intp], Numbers]]:
        posts: dict[str, tuple[list[int], list[float]]] = {}
        for number, counted in enumerate(runs):
            for run, weight in self._weighed(counted).items():
                where, weights = posts.setdefault(run, ([], []))
                where.append(number)
                weights.append(weight)
        return {run: (np.array(where), np.array(ws)) for run, (where, ws) in posts.items()}

    def _weighed(self, counted: Counter[str]) -> dict[str, float]:
        weighed = {run: n * self._rarity.get(run, self._unknown) for run, n in counted.items()}
        length = float(np.sqrt(sum(weight**2 for weight in weighed.values()))) or 1.0
        return {run: weight / length for run, weight in weighed.items()}


def _runs(text: str) -> list[str]:
    """The runs of letters in the text as it sounds, its ends marked."""
    marked = f"^{sounds(normal(text)).lower()}$"
    return [marked[i : i + n] for n in _RUNS for i in range(len(marked) - n + 1)]
