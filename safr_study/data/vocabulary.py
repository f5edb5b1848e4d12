"""Words and their ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

SPECIAL_WORDS = ("<pad>", "<unk>")
"""Words of the ids 0 and 1."""
Bytes = npt.NDArray[np.uint8]


def build_vocabulary(texts: Iterable[str], min_count: int) -> tuple[str, ...]:
    """The words seen ``min_count`` times or more, by falling count, then by the alphabet.

    Returns:
        words by id; the first two stand for padding and for unknown words.
    """
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text.split())
    kept = [(-count, word) for word, count in counts.items() if count >= min_count]
    return (*SPECIAL_WORDS, *(word for _, word in sorted(kept)))


def pack_vocabulary(words: tuple[str, ...]) -> Bytes:
    """One array for all words, cheap to store and to share; no word holds a line break."""
    return np.frombuffer("\n".join(words).encode(), dtype=np.uint8)


def unpack_vocabulary(packed: Bytes) -> tuple[str, ...]:
    """The inverse of ``pack_vocabulary``."""
    return tuple(packed.tobytes().decode().split("\n"))
