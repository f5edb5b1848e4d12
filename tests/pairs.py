"""Small pairs of texts, for tests of everything that reads pairs."""

from __future__ import annotations

import numpy as np

from safr_study.data import EncodedSplit

FIRSTS = ("a b c", "d", "", "b b a d e", "c")
SECONDS = ("c d", "a e b", "e", "", "a")


def split_of_pairs(
    firsts: tuple[list[int], ...], seconds: tuple[list[int], ...], labels: list[int]
) -> EncodedSplit:
    """A split of pairs of word ids."""
    rows = [(*a, *b) for a, b in zip(firsts, seconds, strict=True)]
    marks = [[0] * len(a) + [1] * len(b) for a, b in zip(firsts, seconds, strict=True)]
    return EncodedSplit(
        tokens=np.concatenate([np.array(row, np.int32) for row in rows]).astype(np.int32),
        offsets=np.cumsum([0, *map(len, rows)]),
        labels=np.array(labels, np.int64),
        second=np.array([mark for row in marks for mark in row], np.int8),
    )


def random_pairs(count: int, *, words: int, seed: int = 0, longest: int = 7) -> EncodedSplit:
    """Pairs of random words from id 3 on, of which some have an empty side."""
    rng = np.random.default_rng(seed)
    sides = [
        tuple(rng.integers(3, words, rng.integers(0, longest)).tolist() for _ in range(count))
        for _ in range(2)
    ]
    return split_of_pairs(sides[0], sides[1], rng.integers(0, 2, count).tolist())
