"""Priority bands: named ranges of `priority`, and how much of a cap each may hold in advance.

A band ranks by its floor. Scheduled touches of a band hold capacity against the bands below it;
`share_percent` is the most of a rule's cap that they hold, so that the bands below never starve.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from store.errors import Refusal

LOWEST, HIGHEST = 0, 100
_WHOLE = 100


def _is_whole(number: object) -> bool:
    return isinstance(number, int) and not isinstance(number, bool)


class BadBand(Refusal):
    """A band, or a set of bands, that cannot be meant."""

    def __init__(self, band: str, sentence: str) -> None:
        self.band = band
        super().__init__(f"The band {band!r} {sentence}")


@dataclass(frozen=True, slots=True)
class Band:
    """Touches of `floor` and above, up to the next band; without a share it holds nothing."""

    name: str
    floor: int
    share_percent: int | None = None

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise BadBand(self.name, "needs a name.")
        if not _is_whole(self.floor) or not LOWEST <= self.floor <= HIGHEST:
            raise BadBand(
                self.name,
                f"begins at {self.floor!r}; give a whole number from {LOWEST} to {HIGHEST}.",
            )
        share = self.share_percent
        if share is not None and not (_is_whole(share) and 1 <= share <= _WHOLE):
            raise BadBand(
                self.name,
                f"holds {share!r} percent of a cap; give 1 to {_WHOLE}, or leave it out to hold"
                " nothing.",
            )

    def budget(self, cap: int) -> int:
        """How many touches of a cap its holds may take: a part of it, and one at the least."""
        return 0 if self.share_percent is None else max(1, cap * self.share_percent // _WHOLE)


DEFAULT_BANDS = (Band("must", 90, 67), Band("high", 70, 50), Band("normal", 30, 34), Band("low", 0))


def check_bands(bands: Sequence[Band]) -> None:
    """Refuse bands that leave a priority without one, or that do not stand highest first."""
    if not bands or bands[-1].floor != LOWEST:
        name = bands[-1].name if bands else ""
        raise BadBand(name, f"is the last one and must begin at {LOWEST}.")
    for higher, lower in pairwise(bands):
        if higher.floor <= lower.floor:
            raise BadBand(lower.name, f"must begin below {higher.name!r}, which stands before it.")
    names = [band.name for band in bands]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise BadBand(twice[0], "stands twice; names must differ.")


def held(cap: int, holds: Iterable[Band]) -> int:
    """How much of a cap the holds of these bands take, each band no more than its budget.

    One touch of every cap above 1 is left to the bands below, whatever is held.
    """
    counts: dict[Band, int] = {}
    for band in holds:
        counts[band] = counts.get(band, 0) + 1
    taken = sum(min(number, band.budget(cap)) for band, number in counts.items())
    return min(taken, max(1, cap - 1))
